import Glibc

/// An IPv4 or IPv6 address.
public struct NetworkAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Four or sixteen bytes in network order.
  public let bytes: [UInt8]

  /// Nil unless there are four or sixteen.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.bytes = bytes
  }

  /// Reads the usual notation; nil when it is none.
  public init?(_ text: String) {
    var found = [UInt8](repeating: 0, count: text.contains(":") ? 16 : 4)
    guard inet_pton(text.contains(":") ? AF_INET6 : AF_INET, text, &found) == 1 else { return nil }
    bytes = found
  }

  /// Whether it is one of the older kind.
  public var isIPv4: Bool { bytes.count == 4 }

  /// The address family's number.
  var family: UInt8 { UInt8(isIPv4 ? AF_INET : AF_INET6) }

  public var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(Int32(family), bytes, &text, socklen_t(text.count)) != nil else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  public static func < (left: NetworkAddress, right: NetworkAddress) -> Bool {
    left.bytes.count != right.bytes.count
      ? left.bytes.count < right.bytes.count : left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

/// A range of addresses that share their first bits.
public struct IPPrefix: Hashable, Sendable, CustomStringConvertible {
  /// The first address of the range.
  public let address: NetworkAddress
  /// How many bits are shared.
  public let length: Int

  /// The range of that length around an address; nil when the length is impossible.
  public init?(_ address: NetworkAddress, length: Int) {
    guard (0...address.bytes.count * 8).contains(length) else { return nil }
    var bytes = address.bytes
    for index in bytes.indices {
      let bits = max(0, min(8, length - index * 8))
      bytes[index] &= UInt8(truncatingIfNeeded: 0xff00 >> bits)
    }
    guard let first = NetworkAddress(bytes: bytes) else { return nil }
    self.address = first
    self.length = length
  }

  /// Reads `address/length`; nil when it is none.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = NetworkAddress(String(parts[0])), let length = Int(parts[1]) else {
      return nil
    }
    self.init(address, length: length)
  }

  /// Whether an address lies in the range.
  public func contains(_ other: NetworkAddress) -> Bool {
    other.bytes.count == address.bytes.count && IPPrefix(other, length: length)?.address == address
  }

  /// Whether another range lies in this one.
  public func contains(_ other: IPPrefix) -> Bool { other.length >= length && contains(other.address) }

  public var description: String { "\(address)/\(length)" }
}

/// A link-layer address of six bytes.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible {
  /// Six bytes.
  public let bytes: [UInt8]

  /// Nil unless there are six.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 6 else { return nil }
    self.bytes = bytes
  }

  /// Reads `02:00:00:00:00:01`; nil when it is none.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let found = parts.compactMap { $0.count <= 2 ? UInt8($0, radix: 16) : nil }
    guard parts.count == 6, found.count == 6 else { return nil }
    bytes = found
  }

  public var description: String {
    bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined(separator: ":")
  }
}
