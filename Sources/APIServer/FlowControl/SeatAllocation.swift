/// How the server's seats are shared among priority levels: each has its own by its shares, lends what it does not need
/// and borrows from those who do not (KEP-1040, "dynamic adjustment of concurrency limits").
struct SeatAllocation: Sendable {
  struct Level: Sendable, Equatable {
    /// The seats that are its own.
    var nominal: Int
    /// What it keeps whatever happens.
    var least: Int
    /// What it can have at most.
    var most: Int
    /// The seats wanted of late: the highest, and smoothed.
    var peak = 0.0
    var smooth = 0.0
  }

  /// Seats by shares, rounded up. `lendable` and `borrowing` are percents; nil: may borrow without limit.
  static func levels(
    total: Int, _ shares: [(shares: Int, lendable: Int, borrowing: Int?)]
  ) -> [Level] {
    let sum = max(1, shares.reduce(0) { $0 + $1.shares })
    return shares.map { entry in
      let nominal = (total * entry.shares + sum - 1) / sum
      let lent = Int((Double(nominal) * Double(entry.lendable) / 100).rounded())
      let most = entry.borrowing.map { nominal + Int((Double(nominal) * Double($0) / 100).rounded()) } ?? total
      return Level(nominal: nominal, least: nominal - lent, most: max(most, nominal))
    }
  }

  /// The seats that each has until the next look: what it needs of its own first, then what is left in proportion to
  /// what was wanted of late, within each one's bounds.
  static func current(total: Int, _ levels: [Level]) -> [Int] {
    let floors = levels.map { max(Double($0.least), min(Double($0.nominal), $0.peak)) }
    let ceilings = zip(levels, floors).map { max(Double($0.most), $1) }
    let sum = floors.reduce(0, +)
    // Without a single seat a level would stand still until the next look.
    if sum >= Double(total) { return floors.map { max(1, Int($0.rounded(.up))) } }
    let targets = zip(levels, floors).map { max($1, $0.smooth, 1) }
    func given(_ fraction: Double) -> [Double] {
      targets.indices.map { min(ceilings[$0], max(floors[$0], fraction * targets[$0])) }
    }
    var (low, high) = (0.0, Double(total) + 1)
    if given(high).reduce(0, +) <= Double(total) { return given(high).map { Int($0.rounded()) } }
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if given(middle).reduce(0, +) > Double(total) { high = middle } else { low = middle }
    }
    return given(low).map { max(1, Int($0.rounded())) }
  }
}
