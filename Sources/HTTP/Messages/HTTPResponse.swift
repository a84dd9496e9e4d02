public import NIOCore

/// What follows the response head.
public enum HTTPResponseBody: Sendable {
  case none
  case bytes([UInt8])
  /// Written one after the other; none is copied into a common buffer first.
  case slices([ArraySlice<UInt8>])
  /// Called on the event loop whenever the peer can take more; nil ends the body.
  case pull(@Sendable () -> ByteBuffer?)
  /// Runs in a task of its own, is cancelled when the peer goes away, and ends the body when it returns.
  case stream(@Sendable (HTTPBodyWriter) async throws -> Void)
}

/// A response. `content-length` is the server's business where the length is known.
public struct HTTPResponse: Sendable {
  public var status: Int
  public var headers: HTTPFields
  public var body: HTTPResponseBody

  public init(status: Int = 200, headers: HTTPFields = .init(), body: HTTPResponseBody = .none) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// A response whose whole body is at hand.
  public init(status: Int = 200, contentType: String, bytes: [UInt8]) {
    self.init(status: status, headers: HTTPFields([("content-type", contentType)]), body: .bytes(bytes))
  }
}

/// A request as a handler gets it.
public struct HTTPServerRequest: Sendable {
  public var head: HTTPRequestHead
  /// The whole body; empty when the handler asked for a stream.
  public var body: [UInt8]
  /// The body went beyond the server's limit; `body` is then empty and the caller answers 413.
  public var bodyTooLarge: Bool
  /// The body as it arrives, for handlers whose `wantsBodyStream` said so.
  public var bodyStream: HTTPBodyStream?

  public init(
    head: HTTPRequestHead, body: [UInt8] = [], bodyTooLarge: Bool = false, bodyStream: HTTPBodyStream? = nil
  ) {
    self.head = head
    self.body = body
    self.bodyTooLarge = bodyTooLarge
    self.bodyStream = bodyStream
  }
}

/// What becomes of a request that asks to leave HTTP.
public enum UpgradeDecision: Sendable {
  case refuse(HTTPResponse)
  /// Answers 101 with these fields and hands over the bytes. The connection closes when the closure returns.
  case accept(headers: HTTPFields, @Sendable (UpgradedConnection) async -> Void)
}

/// Answers requests.
public protocol HTTPHandler: Sendable {
  /// Runs to completion on the event loop, for requests without a body; nil means: call `handle`.
  func handleSync(_ head: HTTPRequestHead) -> HTTPResponse?
  /// Runs in a task that is cancelled when the client goes away.
  func handle(_ request: HTTPServerRequest) async -> HTTPResponse
  /// For `Connection: Upgrade` requests; nil treats the request as an ordinary one.
  func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision?
  /// Whether the body shall be handed over as it arrives instead of collected.
  func wantsBodyStream(_ head: HTTPRequestHead) -> Bool
}

extension HTTPHandler {
  public func handleSync(_ head: HTTPRequestHead) -> HTTPResponse? { nil }
  public func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision? { nil }
  public func wantsBodyStream(_ head: HTTPRequestHead) -> Bool { false }
}
