import Synchronization

/// What a TLS client proved about itself, once per connection.
public final class TLSPeer: Sendable {
  /// The presented chain, leaf first, in DER. Empty when the client presented none.
  public let certificates: [[UInt8]]
  /// Whether the server's client verifier accepted the chain.
  public let verified: Bool
  private let memo = Mutex<(any Sendable)?>(nil)

  public init(certificates: [[UInt8]], verified: Bool) {
    self.certificates = certificates
    self.verified = verified
  }

  /// Whatever a handler wants to remember with the connection (the user read from the certificate).
  public var remembered: (any Sendable)? {
    get { memo.withLock { $0 } }
    set { memo.withLock { $0 = newValue } }
  }
}

/// The protocol a request arrived with.
public enum HTTPVersion: Sendable, Hashable { case http10, http11, http2 }

/// A request line and its header fields.
public struct HTTPRequestHead: Sendable {
  public var method: String
  /// The path without query, percent-decoded.
  public var path: String
  /// The request target as sent, with query.
  public var rawTarget: String
  public var headers: HTTPFields
  public var version: HTTPVersion
  /// `:authority` or `Host`.
  public var authority: String
  /// Nil on plain connections.
  public var tls: TLSPeer?
  /// The client's address without port (`@` on a unix socket).
  public var remoteAddress: String

  public init(
    method: String, target: String, headers: HTTPFields = .init(), version: HTTPVersion = .http11,
    authority: String = "", tls: TLSPeer? = nil, remoteAddress: String = ""
  ) {
    self.method = method
    self.rawTarget = target
    self.headers = headers
    self.version = version
    self.authority = authority
    self.tls = tls
    self.remoteAddress = remoteAddress
    self.path = percentDecoded(Self.path(of: target), plusIsSpace: false)
  }

  /// The path as sent, without query.
  public var rawPath: String { String(Substring(Self.path(of: rawTarget))) }

  private static func path(of target: String) -> Substring.UTF8View {
    target[..<(target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)].utf8
  }

  /// The query as sent, without the question mark.
  public var rawQuery: Substring {
    guard let mark = rawTarget.utf8.firstIndex(of: UInt8(ascii: "?")) else { return "" }
    return rawTarget[rawTarget.utf8.index(after: mark)...]
  }

  /// The decoded query parameters in order.
  public var query: [(String, String)] { parseQuery(rawQuery) }
}

/// Decodes `a=b&c=d`, with `+` for space, as in a query or a form.
public func parseQuery(_ text: Substring) -> [(String, String)] {
  guard !text.isEmpty else { return [] }
  return text.utf8.split(separator: UInt8(ascii: "&")).map { pair in
    guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else {
      return (percentDecoded(pair, plusIsSpace: true), "")
    }
    return (
      percentDecoded(pair[..<equals], plusIsSpace: true),
      percentDecoded(pair[pair.index(after: equals)...], plusIsSpace: true)
    )
  }
}

/// Decodes percent escapes; a malformed escape stays as it is.
public func percentDecoded(_ text: Substring.UTF8View, plusIsSpace: Bool) -> String {
  guard text.contains(where: { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }) else {
    return String(Substring(text))
  }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(text.count)
  var index = text.startIndex
  while index != text.endIndex {
    let byte = text[index]
    let next = text.index(after: index)
    if byte == UInt8(ascii: "%"), next != text.endIndex, let high = hexValue(text[next]) {
      let second = text.index(after: next)
      if second != text.endIndex, let low = hexValue(text[second]) {
        bytes.append(high << 4 | low)
        index = text.index(after: second)
        continue
      }
    }
    bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
    index = next
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// Percent-encodes everything but unreserved characters (and `/` when asked to keep it).
public func percentEncoded(_ text: String, keepingSlash: Bool = false) -> String {
  var bytes: [UInt8] = []
  bytes.reserveCapacity(text.utf8.count)
  let digits = Array("0123456789ABCDEF".utf8)
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
      UInt8(ascii: "~"):
      bytes.append(byte)
    case UInt8(ascii: "/") where keepingSlash: bytes.append(byte)
    default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}

private func hexValue(_ byte: UInt8) -> UInt8? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
  default: nil
  }
}
