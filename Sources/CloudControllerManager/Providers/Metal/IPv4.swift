import Glibc

/// An IPv4 address.
public struct IPv4: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The address as a number, the first byte the highest.
  public let value: UInt32

  /// The address of a number.
  public init(_ value: UInt32) { self.value = value }

  /// Nil for what is no dotted quad.
  public init?(_ text: String) {
    var address = in_addr()
    guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
    value = UInt32(bigEndian: address.s_addr)
  }

  /// Takes four bytes of a packet.
  init(_ bytes: ArraySlice<UInt8>) { value = bytes.reduce(0) { $0 << 8 | UInt32($1) } }

  /// The bytes in network order.
  var bytes: [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }

  public var description: String { bytes.map(String.init).joined(separator: ".") }

  public static func < (a: IPv4, b: IPv4) -> Bool { a.value < b.value }
}
