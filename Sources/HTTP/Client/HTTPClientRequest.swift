public import NIOCore

/// Where a client connects to.
public enum HTTPOrigin: Sendable, Hashable {
  case http(host: String, port: Int)
  case https(host: String, port: Int)
  case unix(path: String)

  /// What `Host` and `:authority` say.
  public var authority: String {
    switch self {
    case .http(let host, let port): Self.authority(host, port, usual: 80)
    case .https(let host, let port): Self.authority(host, port, usual: 443)
    case .unix: "localhost"
    }
  }

  private static func authority(_ host: String, _ port: Int, usual: Int) -> String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == usual ? name : "\(name):\(port)"
  }

  var isSecure: Bool {
    if case .https = self { return true }
    return false
  }

  /// Reads `https://host:port/path?query`, and returns the origin with the rest (at least `/`).
  public static func parse(_ url: String) throws -> (origin: HTTPOrigin, target: String) {
    let secure = url.hasPrefix("https://")
    guard secure || url.hasPrefix("http://") else { throw HTTPClientError.badURL(url) }
    let rest = url.dropFirst(secure ? 8 : 7)
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    var authority = rest[..<end]
    if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
    var target = String(rest[end...])
    if !target.hasPrefix("/") { target = "/" + target }
    var host = authority, port = secure ? 443 : 80
    if authority.hasPrefix("["), let close = authority.firstIndex(of: "]") {
      host = authority[authority.index(after: authority.startIndex)..<close]
      let after = authority[authority.index(after: close)...]
      if after.hasPrefix(":") { port = try Self.port(after.dropFirst(), url) }
    } else if let colon = authority.lastIndex(of: ":") {
      host = authority[..<colon]
      port = try Self.port(authority[authority.index(after: colon)...], url)
    }
    guard !host.isEmpty else { throw HTTPClientError.badURL(url) }
    return (secure ? .https(host: String(host), port: port) : .http(host: String(host), port: port), target)
  }

  private static func port(_ text: Substring, _ url: String) throws -> Int {
    guard let port = Int(text), (1...65_535).contains(port) else { throw HTTPClientError.badURL(url) }
    return port
  }
}

/// A request body.
public enum HTTPClientBody: Sendable {
  case none
  case bytes([UInt8])
  case stream(HTTPBodyStream)
}

/// A request to send.
public struct HTTPClientRequest: Sendable {
  public var method: String
  public var origin: HTTPOrigin
  /// Path and query, as they go on the wire.
  public var target: String
  public var headers: HTTPFields
  public var body: HTTPClientBody
  /// For `send` until the last byte, for `stream` and `upgrade` until the response head.
  public var timeout: Duration?

  public init(
    method: String = "GET", origin: HTTPOrigin, target: String, headers: HTTPFields = .init(),
    body: HTTPClientBody = .none, timeout: Duration? = nil
  ) {
    self.method = method
    self.origin = origin
    self.target = target
    self.headers = headers
    self.body = body
    self.timeout = timeout
  }

  public init(
    method: String = "GET", url: String, headers: HTTPFields = .init(), body: HTTPClientBody = .none,
    timeout: Duration? = nil
  ) throws {
    let (origin, target) = try HTTPOrigin.parse(url)
    self.init(method: method, origin: origin, target: target, headers: headers, body: body, timeout: timeout)
  }

  /// Whether it may be sent a second time when the connection turns out to be stale.
  var repeatable: Bool {
    if case .stream = body { return false }
    return ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(method)
  }
}

/// A response with its whole body.
public struct HTTPClientResponse: Sendable {
  public var status: Int
  public var headers: HTTPFields
  public var body: [UInt8]
}

/// A response whose body is still coming.
public struct HTTPClientStreamResponse: Sendable {
  public var status: Int
  public var headers: HTTPFields
  public var body: HTTPResponseStream
}

/// The body of a streamed response. Letting go of it ends the request.
public final class HTTPResponseStream: AsyncSequence, Sendable {
  public typealias Element = ByteBuffer
  public struct AsyncIterator: AsyncIteratorProtocol {
    let owner: HTTPResponseStream
    public mutating func next() async throws -> ByteBuffer? { try await owner.inner.next() }
  }
  let inner: HTTPBodyStream
  init(_ inner: HTTPBodyStream) { self.inner = inner }
  deinit { inner.abandon() }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(owner: self) }
  /// The next bytes; nil at the end.
  public func next() async throws -> ByteBuffer? { try await inner.next() }
  /// Everything that is left, up to a limit.
  public func collect(upTo limit: Int = .max) async throws -> [UInt8] { try await inner.collect(upTo: limit) }
  /// Ends the request.
  public func cancel() { inner.abandon() }
}

/// What became of a request to leave HTTP.
public enum HTTPUpgradeResult: Sendable {
  case upgraded(UpgradedConnection)
  case refused(HTTPClientResponse)
}

/// Why a request failed.
public enum HTTPClientError: Error, Sendable, CustomStringConvertible {
  case badURL(String)
  case connectFailed(String)
  /// The connection ended before the response did; `beforeResponse` when not a byte of it had come.
  case connectionClosed(beforeResponse: Bool)
  /// The peer said that it has not acted on the request.
  case refusedStream
  case timeout
  case streamReset(String)
  case upgradeRefused(status: Int, body: [UInt8])
  case shutDown

  public var description: String {
    switch self {
    case .badURL(let url): "http: cannot parse URL \"\(url)\""
    case .connectFailed(let reason): "http: \(reason)"
    case .connectionClosed: "http: connection closed by the peer"
    case .refusedStream: "http: request refused by the peer"
    case .timeout: "http: request timed out"
    case .streamReset(let code): "http: stream reset by the peer: \(code)"
    case .upgradeRefused(let status, _): "http: unable to upgrade connection: status \(status)"
    case .shutDown: "http: client has been shut down"
    }
  }
}
