/// Which of several servers requests go to. Pure: time comes in from outside.
///
/// ```
///  preferred ──fails──▶ next ──fails──▶ … (around)
///      ▲                 │ serves
///      └──probe answers──┘   the first probe after `firstProbe`, later ones at twice the distance up to `lastProbe`
/// ```
struct ServerChoice: Sendable {
  typealias Instant = ContinuousClock.Instant

  static let firstProbe: Duration = .seconds(15)
  static let lastProbe: Duration = .seconds(120)

  /// How many servers there are.
  let count: Int
  /// The server that requests go to first.
  private(set) var current = 0
  private var probeAt: Instant?
  private var distance = Self.firstProbe

  init(count: Int) { self.count = count }

  /// The servers in the order in which one request should try them.
  var order: [Int] { (0..<count).map { (current + $0) % count } }

  /// A server did not answer. Only the one in use moves the choice: of many requests that failed together one does.
  mutating func failed(_ server: Int, at now: Instant) {
    guard server == current, count > 1 else { return }
    current = (current + 1) % count
    if current == 0 {
      probeAt = nil
    } else if probeAt == nil {
      distance = Self.firstProbe
      probeAt = now + distance
    }
  }

  /// Another server answered where the current one had not.
  mutating func answered(_ server: Int, at now: Instant) {
    guard server != current, server < count else { return }
    let wasPreferred = current == 0
    current = server
    if server == 0 { probeAt = nil } else if wasPreferred || probeAt == nil { probeAt = now + distance }
  }

  /// Whether the preferred server should be asked now if it is back. True once for each time it is due.
  mutating func probeIsDue(at now: Instant) -> Bool {
    guard let due = probeAt, now >= due else { return false }
    distance = min(distance * 2, Self.lastProbe)
    probeAt = now + distance
    return true
  }

  /// The preferred server is back.
  mutating func preferredIsBack() {
    current = 0
    probeAt = nil
    distance = Self.firstProbe
  }
}
