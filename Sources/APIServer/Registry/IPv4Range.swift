/// A range of IPv4 addresses in CIDR form.
struct IPv4Range: Sendable, CustomStringConvertible {
  let base: UInt32
  let prefix: Int
  var size: UInt64 { 1 << UInt64(32 - prefix) }
  var description: String { "\(Self.text(base))/\(prefix)" }

  init?(_ text: String) {
    let parts = text.split(separator: "/")
    guard parts.count == 2, let address = Self.parse(String(parts[0])), let prefix = Int(parts[1]),
      (0...30).contains(prefix)
    else { return nil }
    self.prefix = prefix
    let mask: UInt32 = prefix == 0 ? 0 : ~UInt32(0) << UInt32(32 - prefix)
    base = address & mask
  }

  /// Neither the network's nor the broadcast address.
  func contains(_ address: UInt32) -> Bool {
    address > base && UInt64(address) < UInt64(base) + size - 1
  }

  func address(_ offset: UInt64) -> UInt32 { base + UInt32(offset) }

  static func parse(_ text: String) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let byte = UInt8(part), part == "\(byte)" else { return nil }
      value = value << 8 | UInt32(byte)
    }
    return value
  }

  static func text(_ address: UInt32) -> String {
    "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
  }
}
