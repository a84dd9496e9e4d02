import APIMachinery
import HTTP
import NIOCore
import Synchronization

@testable import APIServer

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Answers reviews on loopback, and counts them.
final class FakeWebhook: HTTPHandler {
  private let answer: @Sendable (JSONValue) -> JSONValue?
  private let failure: Int
  private let asked = Mutex<[JSONValue]>([])

  /// `answer`: the status for a spec; nil answers with the status of a failure.
  init(failure: Int = 503, _ answer: @escaping @Sendable (JSONValue) -> JSONValue?) {
    self.failure = failure
    self.answer = answer
  }

  var questions: [JSONValue] { asked.withLock { $0 } }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    guard let review = try? JSONValue(parsing: request.body), let spec = review["spec"] else {
      return HTTPResponse(status: 400)
    }
    asked.withLock { $0.append(review) }
    guard let status = answer(spec) else { return HTTPResponse(status: failure) }
    var result = review
    result["status"] = status
    return HTTPResponse(contentType: "application/json", bytes: result.encoded())
  }

  /// Serves while `body` runs, which gets the path of a kubeconfig.
  func serving(_ body: (String) async throws -> Void) async throws {
    let server = HTTPServer(configuration: .init(address: .tcp(host: "127.0.0.1", port: 0)))
    let port = try await server.start(self)
    let path = "/tmp/apus-webhook-test-\(UInt64.random(in: 0 ... .max)).kubeconfig"
    try writeText(
      """
      apiVersion: v1
      kind: Config
      clusters: [{name: hook, cluster: {server: "http://127.0.0.1:\(port)/review"}}]
      users: [{name: api, user: {token: us}}]
      contexts: [{name: c, context: {cluster: hook, user: api}}]
      current-context: c
      """, path)
    let result = await Result { try await body(path) }
    removeTree(path)
    await server.shutdown(grace: .seconds(0))
    try result.get()
  }
}

func writeText(_ text: String, _ path: String) throws {
  guard let file = fopen(path, "w") else { throw StatusError.internalError("cannot write \(path)") }
  fputs(text, file)
  fclose(file)
}
