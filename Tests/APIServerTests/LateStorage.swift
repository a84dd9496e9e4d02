import Storage
import StorageSQLite
import Synchronization

/// A store as one of several servers sees it, at its worst: what others write comes to this server's followers only when
/// the server asks for it, or writes by itself.
final class LateStorage: Storage {
  private struct State {
    var waiting: [(events: [StorageEvent], revision: Revision)] = []
    var onEvents: (@Sendable ([StorageEvent], Revision) -> Void)?
    var seen: Revision = 0
  }

  private let store: SQLiteStorage
  private let state = Mutex(State())

  init(_ store: SQLiteStorage) { self.store = store }

  var servesCurrentReads: Bool { false }
  var currentRevision: Revision { state.withLock { $0.seen } }
  var compactedRevision: Revision { store.compactedRevision }

  func follow(
    prefix: String, onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> any StorageSubscription {
    state.withLock { $0.onEvents = onEvents }
    return try store.follow(
      prefix: prefix,
      onSnapshot: { [self] values, revision in
        onSnapshot(values, revision)
        state.withLock { $0.seen = revision }
      },
      onEvents: { [self] events, revision in state.withLock { $0.waiting.append((events, revision)) } })
  }

  func latestRevision() async throws -> Revision { store.currentRevision }

  func reach(_ revision: Revision) async throws {
    try await store.reach(revision)
    deliver()
  }

  private func deliver() {
    state.withLock { state in
      for batch in state.waiting {
        state.onEvents?(batch.events, batch.revision)
        state.seen = batch.revision
      }
      state.waiting = []
    }
  }

  func get(_ key: String) async throws -> StoredValue? { try await store.get(key) }

  func list(prefix: String, after: String?, limit: Int?, at: Revision?) async throws -> StoragePage {
    try await store.list(prefix: prefix, after: after, limit: limit, at: at)
  }

  func put(_ key: String, _ value: [UInt8], if precondition: Precondition, ttl: Int?) async throws -> WriteOutcome {
    let outcome = try await store.put(key, value, if: precondition, ttl: ttl)
    if case .committed = outcome { deliver() }
    return outcome
  }

  func delete(_ key: String, if precondition: Precondition) async throws -> WriteOutcome {
    let outcome = try await store.delete(key, if: precondition)
    if case .committed = outcome { deliver() }
    return outcome
  }

  func events(prefix: String, after: Revision) async throws -> [StorageEvent] {
    try await store.events(prefix: prefix, after: after)
  }

  func compact(to revision: Revision) async throws { try await store.compact(to: revision) }

  /// The store belongs to several servers; who opened it closes it.
  func close() async {}
}
