/// The addresses that load balancers may get.
public struct AddressPool: Sendable, Hashable {
  /// The ranges, as given.
  let ranges: [ClosedRange<IPv4>]

  /// Reads ranges separated by commas: `10.77.0.200-10.77.0.220`, `10.77.0.192/28` or one address. Of a range in CIDR
  /// form the first and the last address, which mean the network itself, are left out. Nil for anything else.
  public init?(_ text: String) {
    var ranges: [ClosedRange<IPv4>] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let range = Self.range(String(part.filter { $0 != " " })) else { return nil }
      ranges.append(range)
    }
    self.ranges = ranges
  }

  /// Whether an address belongs to the pool.
  func contains(_ address: IPv4) -> Bool { ranges.contains { $0.contains(address) } }

  /// The first address of the pool that is not taken.
  func first(notIn taken: Set<IPv4>) -> IPv4? {
    for range in ranges {
      // At most as many steps as there are taken addresses.
      var value = range.lowerBound.value
      while taken.contains(IPv4(value)) {
        if value == range.upperBound.value { break }
        value += 1
      }
      if !taken.contains(IPv4(value)) { return IPv4(value) }
    }
    return nil
  }

  private static func range(_ text: String) -> ClosedRange<IPv4>? {
    if let address = IPv4(text) { return address...address }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    if ends.count == 2 {
      guard let first = IPv4(String(ends[0])), let last = IPv4(String(ends[1])), first <= last else { return nil }
      return first...last
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let base = IPv4(String(parts[0])), let prefix = Int(parts[1]), (1...32).contains(prefix)
    else { return nil }
    let hosts = prefix == 32 ? 0 : UInt32.max >> UInt32(prefix)
    let network = base.value & ~hosts
    if prefix >= 31 { return IPv4(network)...IPv4(network | hosts) }
    return IPv4(network + 1)...IPv4((network | hosts) - 1)
  }
}
