import Glibc

/// An IP address of either family in network order.
struct AddressBytes: Hashable, Sendable {
  let bytes: [UInt8]

  /// Nil for what is no address.
  init?(_ text: String) {
    for (family, length) in [(AF_INET, 4), (AF_INET6, 16)] {
      var bytes = [UInt8](repeating: 0, count: length)
      if inet_pton(family, text, &bytes) == 1 {
        self.bytes = bytes
        return
      }
    }
    return nil
  }
}

/// A range of addresses.
struct AddressRange: Hashable, Sendable {
  let first: [UInt8]
  let prefix: Int

  /// Nil for what is no range in CIDR form.
  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = AddressBytes(String(parts[0])), let prefix = Int(parts[1]),
      (0...address.bytes.count * 8).contains(prefix)
    else { return nil }
    self.prefix = prefix
    first = Self.mask(address.bytes, prefix)
  }

  /// Whether all of the other range is in this one.
  func contains(_ other: AddressRange) -> Bool {
    other.first.count == first.count && other.prefix >= prefix && Self.mask(other.first, prefix) == first
  }

  private static func mask(_ bytes: [UInt8], _ prefix: Int) -> [UInt8] {
    bytes.enumerated().map { index, byte in
      let bits = min(8, max(0, prefix - index * 8))
      return bits == 0 ? 0 : byte & (0xff << UInt8(8 - bits))
    }
  }
}
