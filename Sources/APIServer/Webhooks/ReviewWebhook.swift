import APIMachinery
import HTTP
import Logging

/// Posts reviews (TokenReview, SubjectAccessReview) to a webhook that a kubeconfig describes, and gives their status.
final class ReviewWebhook: Sendable {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private let configuration: WebhookKubeconfig
  private let client: HTTPClient
  private let apiVersion: String
  private let kind: String
  private let timeout: Duration
  private let firstPause: Duration
  private static let attempts = 5

  /// `firstPause`: how long to wait before a second attempt; the next ones wait half as long again each.
  init(
    _ configuration: WebhookKubeconfig, apiVersion: String, kind: String, timeout: Duration = .seconds(30),
    firstPause: Duration = .milliseconds(500), logger: Logger
  ) {
    self.configuration = configuration
    self.apiVersion = apiVersion
    self.kind = kind
    self.timeout = timeout
    self.firstPause = firstPause
    client = configuration.client(logger: logger)
  }

  /// Asks. Throws `Failure` where there is no answer.
  func ask(_ spec: JSONValue) async throws -> JSONValue {
    let body = JSONValue.object([
      "apiVersion": .string(apiVersion), "kind": .string(kind), "metadata": .object(["creationTimestamp": .null]),
      "spec": spec,
    ]).encoded()
    var pause = firstPause
    for attempt in 1... {
      let isLast = attempt == Self.attempts
      do {
        let answer = try await client.send(try configuration.request(body, timeout: timeout))
        if (200..<300).contains(answer.status) { return try status(answer.body) }
        let text = String(decoding: answer.body.prefix(1024), as: UTF8.self)
        let message = (try? JSONValue(parsing: answer.body))?["message"]?.stringValue ?? text
        guard [429, 500, 504].contains(answer.status), !isLast else {
          throw Failure(
            description: message.isEmpty ? "the server responded with the status code \(answer.status)" : message)
        }
      } catch let error as HTTPClientError {
        let mayHaveCome: Bool =
          switch error {
          case .connectionClosed, .refusedStream, .streamReset: true
          default: false
          }
        let said = error.isTimeout ? "context deadline exceeded" : error.description
        guard mayHaveCome, !isLast else { throw Failure(description: "Post \"\(configuration.server)\": \(said)") }
      }
      try await Task.sleep(for: pause)
      pause = pause * 3 / 2
    }
    throw Failure(description: "no attempt was made")
  }

  private func status(_ body: [UInt8]) throws -> JSONValue {
    let tree: JSONValue
    do { tree = try JSONValue(parsing: body) } catch {
      throw Failure(description: "couldn't get version/kind; json parse error: \(error)")
    }
    if let other = tree["kind"]?.stringValue, other != kind {
      throw Failure(description: "the webhook answered with a \(other), not a \(kind)")
    }
    return tree["status"] ?? .object([:])
  }

  func shutdown() async { await client.shutdown() }
}

extension HTTPClientError {
  var isTimeout: Bool { if case .timeout = self { true } else { false } }
}
