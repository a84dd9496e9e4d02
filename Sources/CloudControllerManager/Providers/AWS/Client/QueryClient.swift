import FoundationEssentials
import HTTP
import Logging
import Synchronization

/// The parameters of a Query request, in order.
struct QueryParameters: Sendable {
  private(set) var pairs: [(String, String)] = []

  init(_ pairs: KeyValuePairs<String, String?> = [:]) {
    for (key, value) in pairs { set(key, value) }
  }

  /// Adds a parameter, unless the value is nil.
  mutating func set(_ key: String, _ value: String?) {
    if let value { pairs.append((key, value)) }
  }

  /// Adds `key.1`, `key.2` …
  mutating func list(_ key: String, _ values: [String]) {
    for (index, value) in values.enumerated() { pairs.append(("\(key).\(index + 1)", value)) }
  }

  /// `application/x-www-form-urlencoded`.
  var encoded: [UInt8] {
    Array(pairs.map { "\(percentEncoded($0.0))=\(percentEncoded($0.1))" }.joined(separator: "&").utf8)
  }
}

/// Speaks the Query protocol with one service: a form goes out, XML comes back.
final class QueryClient: Sendable {
  private struct State {
    var quota = RetryQuota()
    var rate: AdaptiveRate
    /// What the service's clock is ahead of ours, in seconds.
    var skew = 0.0
  }

  let service: AWSService
  let endpoint: AWSEndpoint
  private let http: HTTPClient
  private let credentials: (any CredentialSource)?
  private let retry: RetryPolicy
  private let timeout: Duration
  private let observer: (@Sendable (String) -> Void)?
  private let logger: Logger
  private let state: Mutex<State>
  private let started = ContinuousClock.now

  /// No credentials: requests are not signed. `observer` is told of each action that is sent.
  init(
    service: AWSService, endpoint: AWSEndpoint, http: HTTPClient, credentials: (any CredentialSource)?,
    retry: RetryPolicy = RetryPolicy(), timeout: Duration = .seconds(30), logger: Logger,
    observer: (@Sendable (String) -> Void)? = nil
  ) {
    self.service = service
    self.endpoint = endpoint
    self.http = http
    self.credentials = credentials
    self.retry = retry
    self.timeout = timeout
    self.logger = logger
    self.observer = observer
    state = Mutex(State(rate: AdaptiveRate(now: 0)))
  }

  private var now: Double { (ContinuousClock.now - started) / .seconds(1) }

  /// Asks for an action, again where that may help, and returns the answer's root element.
  func call(_ action: String, _ parameters: QueryParameters = .init()) async throws -> XMLElement {
    var form = QueryParameters(["Action": action, "Version": service.version])
    for (key, value) in parameters.pairs { form.set(key, value) }
    let body = form.encoded
    var attempt = 0
    var renewed = false
    var lastTimeout = false
    while true {
      let wait = state.withLock { $0.rate.acquire(now: now) }
      if wait > 0 { try await Task.sleep(for: .seconds(wait)) }
      do {
        observer?(action)
        let answer = try await attemptOnce(action, body)
        state.withLock { s in
          s.rate.settle(throttled: false, now: now)
          s.quota.succeeded(afterRetry: attempt > 0, timeout: lastTimeout)
        }
        return answer
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        try Task.checkCancellation()
        let failure = Failure(error)
        state.withLock { $0.rate.settle(throttled: failure == .throttled, now: now) }
        switch failure {
        case .final: throw error
        case .renewable:
          // Once with fresh credentials, or with the clock put right.
          guard !renewed else { throw error }
          renewed = true
          await credentials?.invalidate()
          continue
        case .throttled, .transient, .timeout: break
        }
        lastTimeout = failure == .timeout
        attempt += 1
        guard attempt < retry.maxAttempts, state.withLock({ $0.quota.take(timeout: lastTimeout) }) else { throw error }
        let delay = retry.delay(
          attempt: attempt - 1, throttled: failure == .throttled, unit: Double.random(in: 0..<1))
        logger.debug("\(service.id) \(action): attempt \(attempt) failed, next in \(delay) s: \(error)")
        try await Task.sleep(for: .seconds(delay))
      }
    }
  }

  private enum Failure {
    case final, renewable, throttled, transient, timeout

    init(_ error: any Error) {
      switch error {
      case let error as AWSError:
        if error.isThrottle {
          self = .throttled
        } else if error.isTransient {
          self = .transient
        } else {
          self = error.suspectsCredentials || error.suspectsClock ? .renewable : .final
        }
      case HTTPClientError.timeout: self = .timeout
      case HTTPClientError.badURL, HTTPClientError.shutDown, HTTPClientError.upgradeRefused: self = .final
      case is HTTPClientError: self = .transient
      default: self = .final
      }
    }
  }

  private func attemptOnce(_ action: String, _ body: [UInt8]) async throws -> XMLElement {
    var headers = [
      ("host", endpoint.origin.authority), ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
      ("user-agent", "apus"), ("amz-sdk-invocation-id", UUID().uuidString.lowercased()),
    ]
    if let credentials {
      let signer = SigV4(
        credentials: try await credentials.credentials(), region: endpoint.signingRegion, service: endpoint.signingName)
      let date = Date().addingTimeInterval(state.withLock { $0.skew })
      headers += signer.headers(
        for: .init(method: "POST", path: endpoint.path, headers: Array(headers.prefix(2)), body: body), at: date)
    }
    let sent = Date()
    let response = try await http.send(
      HTTPClientRequest(
        method: "POST", origin: endpoint.origin, target: endpoint.path, headers: HTTPFields(headers),
        body: .bytes(body), timeout: timeout))
    if response.status == 200 {
      do {
        return try XMLReader.parse(response.body)
      } catch {
        throw AWSError(
          operation: "\(service.id): \(action)", code: "InternalFailure", message: "\(error)", status: 502,
          requestID: "")
      }
    }
    let error = self.error(action, response)
    if error.suspectsClock, let date = response.headers["date"].flatMap(Timestamp.parseHTTP) {
      state.withLock { $0.skew = date.timeIntervalSince(sent) }
    }
    throw error
  }

  private func error(_ action: String, _ response: HTTPClientResponse) -> AWSError {
    let root = try? XMLReader.parse(response.body)
    let element = root?.find("Errors", "Error") ?? root?.child("Error")
    var id = response.headers["x-amzn-requestid"] ?? response.headers["x-amz-request-id"] ?? ""
    for name in ["RequestID", "RequestId"] where id.isEmpty { id = root?.string(name) ?? "" }
    return AWSError(
      operation: "\(service.id): \(action)", code: element?.string("Code") ?? "UnknownError",
      message: element?.string("Message") ?? String(decoding: response.body.prefix(200), as: UTF8.self),
      status: response.status, requestID: id)
  }

  /// Asks for all pages of an action: `token` names the parameter, and the element of the answer, that lead to the next.
  func pages(
    _ action: String, _ parameters: QueryParameters, request token: String, next: (XMLElement) -> String
  ) async throws -> [XMLElement] {
    var pages: [XMLElement] = []
    var position = ""
    while true {
      var asked = parameters
      if !position.isEmpty { asked.set(token, position) }
      let page = try await call(action, asked)
      pages.append(page)
      let following = next(page)
      guard !following.isEmpty else { return pages }
      guard following != position else {
        throw AWSError(
          operation: "\(service.id): \(action)", code: "InternalFailure", message: "the next page is the same page",
          status: 200, requestID: "")
      }
      position = following
    }
  }
}
