import API

/// Exponential back-off per key, as client-go's `flowcontrol.Backoff`: doubles at every event, and forgets after
/// twice the longest wait without one.
struct BackOff: Sendable {
  let initial: Duration
  let longest: Duration
  private var entries: [String: (wait: Duration, last: ContinuousTime)] = [:]

  init(initial: Duration = .seconds(10), longest: Duration = .seconds(300)) {
    self.initial = min(initial, longest)
    self.longest = longest
  }

  /// The current wait of a key.
  func wait(_ key: String) -> Duration { entries[key]?.wait ?? .zero }

  /// Counts an event.
  mutating func next(_ key: String, at event: ContinuousTime, now: ContinuousTime) {
    if let entry = entries[key], !expired(entry, event) {
      entries[key] = (min(entry.wait * 2, longest), now)
    } else {
      entries[key] = (initial, now)
    }
  }

  /// Whether so little time has passed since the event that the key has to wait.
  func isWaiting(_ key: String, since event: ContinuousTime, now: ContinuousTime) -> Bool {
    guard let entry = entries[key], !expired(entry, event) else { return false }
    return event.duration(to: now) < entry.wait
  }

  /// Whether the key has to wait, counted from the last event rather than from a given one.
  func isWaitingSinceUpdate(_ key: String, now: ContinuousTime) -> Bool {
    guard let entry = entries[key], !expired(entry, now) else { return false }
    return entry.last.duration(to: now) < entry.wait
  }

  /// When the wait that `isWaiting` reports ends.
  func end(_ key: String, since event: ContinuousTime) -> ContinuousTime { event + wait(key) }

  mutating func reset(_ key: String) { entries[key] = nil }

  /// Forgets what has long been quiet.
  mutating func collect(now: ContinuousTime) { entries = entries.filter { !expired($0.value, now) } }

  private func expired(_ entry: (wait: Duration, last: ContinuousTime), _ event: ContinuousTime) -> Bool {
    entry.last.duration(to: event) > longest * 2
  }
}

/// A moment in nanoseconds since 1970: the runtime's clock and ours, so that both can be compared.
struct ContinuousTime: Sendable, Comparable, Hashable {
  var nanoseconds: Int64

  static func < (a: ContinuousTime, b: ContinuousTime) -> Bool { a.nanoseconds < b.nanoseconds }
  static func + (a: ContinuousTime, b: Duration) -> ContinuousTime {
    ContinuousTime(nanoseconds: a.nanoseconds + b.wholeNanoseconds)
  }
  func duration(to later: ContinuousTime) -> Duration { .nanoseconds(later.nanoseconds - nanoseconds) }
  var time: Time { Time(seconds: nanoseconds / 1_000_000_000) }
}

extension Duration {
  var wholeNanoseconds: Int64 {
    let parts = components
    return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
  }

  /// As Go prints a duration.
  var goText: String { GoDuration(nanoseconds: wholeNanoseconds).description }
}
