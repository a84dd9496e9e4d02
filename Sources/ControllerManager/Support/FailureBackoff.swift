import API
import APIMachinery

/// How long something that fails again and again is left alone: a second, and twice as long each time: a value.
struct FailureBackoff: Sendable {
  private static let first: Int64 = 1
  private static let longest: Int64 = 900
  private var entries: [String: (delay: Int64, since: Time)] = [:]

  /// Zero takes the turn and lengthens the next wait; else the seconds until the next turn.
  mutating func wait(_ key: String, now: Time) -> Int64 {
    // Whoever did well for long starts afresh.
    entries = entries.filter { now.seconds(since: $0.value.since) <= 2 * Self.longest }
    if let entry = entries[key] {
      let left = entry.since.adding(seconds: entry.delay).seconds(since: now)
      if left > 0 { return left }
    }
    let delay = entries[key].map { min($0.delay * 2, Self.longest) } ?? Self.first
    entries[key] = (delay, now)
    return 0
  }
}
