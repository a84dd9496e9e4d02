internal import Storage
internal import Synchronization

/// One `follow`.
///
/// `@unchecked Sendable`: `batch` belongs to the writer thread; the rest never changes or is atomic.
final class Follower: StorageSubscription, @unchecked Sendable {
  let prefix: String
  let onEvents: @Sendable ([StorageEvent], Revision) -> Void
  let cancelled = Atomic<Bool>(false)
  var batch: [StorageEvent] = []

  init(prefix: String, onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void) {
    self.prefix = prefix
    self.onEvents = onEvents
  }

  func cancel() {
    cancelled.store(true, ordering: .releasing)
  }
}

/// The followers by the resource they follow, so that an event is compared with those of its own resource only.
struct FollowerTable {
  /// `/registry/pods/` and longer: by the part up to the third slash.
  private var byResource: [Substring: [Follower]] = [:]
  /// Shorter prefixes see every event.
  private var wide: [Follower] = []

  mutating func add(_ follower: Follower) {
    if let resource = Self.resource(of: follower.prefix) {
      byResource[resource, default: []].append(follower)
    } else {
      wide.append(follower)
    }
  }

  /// Hands each follower its part of a commit, and forgets the cancelled ones.
  mutating func deliver(_ events: [StorageEvent], revision: Revision) {
    var touched: [Follower] = []
    func give(_ event: StorageEvent, to followers: [Follower]) {
      for follower in followers where event.current.key.hasPrefix(follower.prefix) {
        if follower.batch.isEmpty { touched.append(follower) }
        follower.batch.append(event)
      }
    }
    for event in events {
      if let resource = Self.resource(of: event.current.key), let followers = byResource[resource] {
        give(event, to: followers)
      }
      if !wide.isEmpty { give(event, to: wide) }
    }
    var ended = false
    for follower in touched {
      var batch: [StorageEvent] = []
      swap(&batch, &follower.batch)
      if follower.cancelled.load(ordering: .acquiring) {
        ended = true
      } else {
        follower.onEvents(batch, revision)
      }
    }
    if ended { forgetCancelled() }
  }

  mutating func forgetCancelled() {
    func isLive(_ follower: Follower) -> Bool { !follower.cancelled.load(ordering: .acquiring) }
    wide = wide.filter(isLive)
    byResource = byResource.mapValues { $0.filter(isLive) }.filter { !$0.value.isEmpty }
  }

  private static func resource(of key: String) -> Substring? {
    var slashes = 0
    var index = key.utf8.startIndex
    while index < key.utf8.endIndex {
      if key.utf8[index] == UInt8(ascii: "/") { slashes += 1 }
      index = key.utf8.index(after: index)
      if slashes == 3 { return key[..<index] }
    }
    return nil
  }
}
