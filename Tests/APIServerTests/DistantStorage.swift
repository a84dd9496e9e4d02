import Storage
import StorageSQLite
import Synchronization

/// A store as a server sees it that is not alone: others write to it directly, what they write arrives later, and it can
/// be away.
final class DistantStorage: Storage {
  private struct State {
    var isHeld = false
    var isAway = false
    var delivered: Revision
    var followers: [(@Sendable ([StorageEvent], Revision) -> Void, @Sendable ([StoredValue], Revision) -> Void)] = []
    var waiting: [([StorageEvent], Revision)] = []
  }

  private let base: SQLiteStorage
  private let state: Mutex<State>

  init(_ base: SQLiteStorage) {
    self.base = base
    state = Mutex(State(delivered: base.currentRevision))
  }

  /// From now on nothing arrives.
  func hold() { state.withLock { $0.isHeld = true } }

  func release() {
    state.withLock { state in
      state.isHeld = false
      for (events, revision) in state.waiting { Self.deliver(events, revision, &state) }
      state.waiting = []
    }
  }

  /// Whether calls fail.
  func set(away: Bool) { state.withLock { $0.isAway = away } }

  /// What was held is lost; the whole state comes instead.
  func loseHistory() async throws {
    let page = try await base.list(prefix: "/registry/")
    state.withLock { state in
      state.waiting = []
      state.isHeld = false
      for (_, onSnapshot) in state.followers { onSnapshot(page.items, page.revision) }
      state.delivered = page.revision
    }
    try await base.compact(to: page.revision)
  }

  private static func deliver(_ events: [StorageEvent], _ revision: Revision, _ state: inout State) {
    for (onEvents, _) in state.followers { onEvents(events, revision) }
    state.delivered = revision
  }

  private func check() throws {
    if state.withLock({ $0.isAway }) { throw StorageError.unavailable("it is away") }
  }

  // MARK: Storage

  var servesCurrentReads: Bool { false }
  var currentRevision: Revision { state.withLock { $0.delivered } }
  var compactedRevision: Revision { base.compactedRevision }

  func latestRevision() async throws -> Revision {
    try check()
    return base.currentRevision
  }

  func follow(
    prefix: String, onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> any StorageSubscription {
    state.withLock { $0.followers.append((onEvents, onSnapshot)) }
    return try base.follow(prefix: prefix, onSnapshot: onSnapshot) { events, revision in
      self.state.withLock { state in
        if state.isHeld {
          state.waiting.append((events, revision))
        } else {
          Self.deliver(events, revision, &state)
        }
      }
    }
  }

  func get(_ key: String) async throws -> StoredValue? {
    try check()
    return try await base.get(key)
  }

  func list(prefix: String, after: String?, limit: Int?, at: Revision?) async throws -> StoragePage {
    try check()
    return try await base.list(prefix: prefix, after: after, limit: limit, at: at)
  }

  func put(_ key: String, _ value: [UInt8], if condition: Precondition, ttl: Int?) async throws -> WriteOutcome {
    try check()
    return try await settled(base.put(key, value, if: condition, ttl: ttl))
  }

  func delete(_ key: String, if condition: Precondition) async throws -> WriteOutcome {
    try check()
    return try await settled(base.delete(key, if: condition))
  }

  /// An answer comes when the caches have what it rests on.
  private func settled(_ outcome: WriteOutcome) async throws -> WriteOutcome {
    try await reach(base.currentRevision)
    return outcome
  }

  func events(prefix: String, after: Revision) async throws -> [StorageEvent] {
    try check()
    return try await base.events(prefix: prefix, after: after)
  }

  func compact(to revision: Revision) async throws { try await base.compact(to: revision) }
  func close() async {}
}
