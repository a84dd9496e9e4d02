import Foundation
import HTTP
import Logging
import NIOCore
import Synchronization

@testable import CloudControllerManager

/// A small HTTP server that answers as a test says.
final class FakeService: HTTPHandler {
  struct Request: Sendable {
    var method: String
    var path: String
    var headers: HTTPFields
    var form: [String: String]
  }

  private let server = HTTPServer(configuration: .init(address: .tcp(host: "127.0.0.1", port: 0)))
  private let answer: @Sendable (Request, Int) -> HTTPResponse
  private let log = Mutex<[Request]>([])
  private let portBox = Mutex(0)

  /// `answer` gets the request and how many came before it.
  init(_ answer: @escaping @Sendable (Request, Int) -> HTTPResponse) async throws {
    self.answer = answer
    let port = try await server.start(self)
    portBox.withLock { $0 = port }
  }

  var url: String { "http://127.0.0.1:\(portBox.withLock { $0 })" }
  var requests: [Request] { log.withLock { $0 } }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    let form = Dictionary(
      parseQuery(Substring(String(decoding: request.body, as: UTF8.self))), uniquingKeysWith: { $1 })
    let seen = Request(
      method: request.head.method, path: request.head.path, headers: request.head.headers, form: form)
    let index = log.withLock { log in
      log.append(seen)
      return log.count - 1
    }
    return answer(seen, index)
  }

  func stop() async { await server.shutdown(grace: .milliseconds(1)) }

  static func xml(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "text/xml", bytes: Array(text.utf8))
  }
  static func json(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "application/json", bytes: Array(text.utf8))
  }
  static func text(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "text/plain", bytes: Array(text.utf8))
  }
  static func ec2Error(_ code: String, status: Int) -> HTTPResponse {
    xml(
      "<Response><Errors><Error><Code>\(code)</Code><Message>no &amp; no</Message></Error></Errors>"
        + "<RequestID>r-1</RequestID></Response>", status: status)
  }

  func client(
    _ service: AWSService = .ec2, credentials: (any CredentialSource)? = nil, retry: RetryPolicy = .quick,
    timeout: Duration = .seconds(60)
  ) throws -> QueryClient {
    let endpoint = try AWSEndpoints(region: "eu-west-1", environment: ["AWS_ENDPOINT_URL": url]).resolve(service)
    return QueryClient(
      service: service, endpoint: endpoint, http: HTTPClient(), credentials: credentials, retry: retry,
      timeout: timeout, logger: Logger(label: "aws-test"))
  }
}

extension RetryPolicy {
  static let quick = RetryPolicy(maxAttempts: 4, base: 0.001, throttledBase: 0.001, limit: 0.01)
}
