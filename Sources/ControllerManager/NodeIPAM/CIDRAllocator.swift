import Linux

/// Cuts a range of addresses, of either family, into equal parts and hands them out: pure.
struct CIDRAllocator: Sendable {
  private let range: IPPrefix
  private let mask: Int
  private let count: Int
  private var used: Set<Int> = []
  private var next = 0

  /// Fails for text that is no range, or a mask that does not divide it.
  init?(cluster: String, nodeMask: Int) {
    // Upstream, too, keeps a bit for each part and so bounds how many there may be.
    guard let range = IPPrefix(cluster), nodeMask >= range.length, nodeMask <= range.address.bytes.count * 8,
      nodeMask - range.length < (range.address.isIPv4 ? 24 : 17)
    else { return nil }
    self.range = range
    mask = nodeMask
    count = 1 << (nodeMask - range.length)
  }

  /// The allocators of a list of ranges, one of each family at most; nil when they make no sense.
  static func list(_ ranges: String, maskIPv4: Int, maskIPv6: Int) -> [CIDRAllocator]? {
    let texts = ranges.split(separator: ",").map(String.init)
    let allocators = texts.compactMap {
      CIDRAllocator(cluster: $0, nodeMask: $0.contains(":") ? maskIPv6 : maskIPv4)
    }
    let families = Set(allocators.map(\.range.address.isIPv4))
    guard !allocators.isEmpty, allocators.count == texts.count, families.count == allocators.count else { return nil }
    return allocators
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

  private func text(_ index: Int) -> String? {
    var bytes = range.address.bytes
    for bit in 0..<(mask - range.length) where index >> bit & 1 == 1 {
      let position = mask - 1 - bit
      bytes[position / 8] |= 128 >> UInt8(position % 8)
    }
    return NetworkAddress(bytes: bytes).flatMap { IPPrefix($0, length: mask) }?.description
  }

  private func index(of cidr: String) -> Int? {
    guard let part = IPPrefix(cidr), part.length == mask, range.contains(part) else { return nil }
    var index = 0
    for position in range.length..<mask {
      index = index << 1 | Int(part.address.bytes[position / 8] >> UInt8(7 - position % 8) & 1)
    }
    return index
  }
}
