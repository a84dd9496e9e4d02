/// Cuts a range of IPv4 addresses into equal parts and hands them out: pure.
struct CIDRAllocator: Sendable {
  private let base: UInt32
  private let mask: Int
  private let count: Int
  private var used: Set<Int> = []
  private var next = 0

  /// Fails for text that is no IPv4 range, or a mask that does not divide it.
  init?(cluster: String, nodeMask: Int) {
    guard let (address, length) = Self.parse(cluster), nodeMask >= length, nodeMask <= 32, nodeMask - length < 24 else {
      return nil
    }
    base = length == 0 ? 0 : address & (UInt32.max << UInt32(32 - length))
    mask = nodeMask
    count = 1 << (nodeMask - length)
  }

  /// Marks a range as taken; false when it is not one of ours.
  @discardableResult
  mutating func occupy(_ cidr: String) -> Bool {
    guard let index = index(of: cidr) else { return false }
    used.insert(index)
    return true
  }

  /// Gives a range back.
  mutating func release(_ cidr: String) {
    if let index = index(of: cidr) { used.remove(index) }
  }

  /// The next free range; nil when there is none. Goes round, so that a range just given back rests a while.
  mutating func allocate() -> String? {
    guard used.count < count else { return nil }
    while used.contains(next) { next = (next + 1) % count }
    let index = next
    used.insert(index)
    next = (next + 1) % count
    return text(index)
  }

  private func text(_ index: Int) -> String {
    let address = base + (mask == 32 ? UInt32(index) : UInt32(index) << UInt32(32 - mask))
    return "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)/\(mask)"
  }

  private func index(of cidr: String) -> Int? {
    guard let (address, length) = Self.parse(cidr), length == mask, address >= base else { return nil }
    let index = Int(address - base) >> (32 - mask)
    return index < count ? index : nil
  }

  private static func parse(_ cidr: String) -> (UInt32, Int)? {
    let halves = cidr.split(separator: "/")
    guard halves.count == 2, let length = Int(halves[1]), (0...32).contains(length) else { return nil }
    let parts = halves[0].split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      guard let part else { return nil }
      address = address << 8 | UInt32(part)
    }
    return (address, length)
  }
}
