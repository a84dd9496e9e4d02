/// One request to the API server, independent of how it travels.
public struct TransportRequest: Sendable {
  /// The HTTP method, upper case.
  public var method: String
  /// The percent-encoded path, with its query.
  public var path: String
  /// Header fields in the order they are sent.
  public var headers: [(String, String)]
  /// The body, `nil` when there is none.
  public var body: [UInt8]?

  /// Makes a request.
  public init(method: String, path: String, headers: [(String, String)] = [], body: [UInt8]? = nil) {
    self.method = method
    self.path = path
    self.headers = headers
    self.body = body
  }

  /// The value of the first header of that name, compared without regard to case.
  public func header(_ name: String) -> String? {
    let wanted = name.lowercased()
    return headers.first { $0.0.lowercased() == wanted }?.1
  }

  /// The path without its query.
  public var pathOnly: Substring {
    path.prefix { $0 != "?" }
  }

  /// The query's pairs, decoded.
  public var query: [(String, String)] {
    guard let mark = path.firstIndex(of: "?") else { return [] }
    return path[path.index(after: mark)...].split(separator: "&").map { pair in
      guard let equals = pair.firstIndex(of: "=") else { return (PercentCoding.decode(pair, plusIsSpace: true), "") }
      return (
        PercentCoding.decode(pair[..<equals], plusIsSpace: true),
        PercentCoding.decode(pair[pair.index(after: equals)...], plusIsSpace: true)
      )
    }
  }
}

/// A whole answer.
public typealias TransportResponse = (status: Int, headers: [(String, String)], body: [UInt8])
/// An answer whose body arrives piece by piece, as a watch's does.
public typealias TransportStream = (status: Int, body: AsyncThrowingStream<[UInt8], any Error>)

/// A way to reach the API server. Components never know which one they were given.
public protocol Transport: Sendable {
  /// Sends a request and waits for the whole answer. Throws only when no answer came.
  func send(_ request: TransportRequest) async throws -> TransportResponse
  /// Sends a request and hands back the body as it arrives. Ending the iteration ends the request.
  func stream(_ request: TransportRequest) async throws -> TransportStream
}

/// No answer came: the connection failed, was refused or broke off.
public struct TransportError: Error, Sendable, CustomStringConvertible {
  /// What went wrong, for a log line.
  public var message: String
  /// What caused it.
  public var cause: (any Error)?

  /// Makes an error.
  public init(_ message: String, cause: (any Error)? = nil) {
    self.message = message
    self.cause = cause
  }

  public var description: String {
    cause.map { "\(message): \($0)" } ?? message
  }
}
