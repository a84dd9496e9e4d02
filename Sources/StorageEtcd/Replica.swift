internal import Glibc
internal import Storage
internal import Synchronization

/// What this process knows of etcd's keys: all of them, as of the last revision that the watch has brought, and who
/// waits for further ones.
///
///     watch ──▶ apply(batch) ──▶ index ──▶ followers ──▶ currentRevision ──▶ writers and readers that wait
///
/// The watch covers every key of etcd, also those of others, so that every revision brings at least one change: how far
/// the replica has come needs no progress messages (which may overtake changes before etcd 3.4.25 and 3.5.8), and a
/// change that is missing shows as a gap.
///
/// `@unchecked Sendable`: everything below `lock` is used under it. It is recursive because a follower may start another
/// one from its callback.
final class Replica: @unchecked Sendable {
  struct Waiter {
    var id: UInt64
    var revision: Revision
    var since: ContinuousClock.Instant
    var continuation: CheckedContinuation<Void, any Error>
  }

  private let lock = RecursiveLock()
  private let published = Atomic<UInt64>(0)
  private let compacted = Atomic<UInt64>(0)
  private var index: [String: StoredValue] = [:]
  private var recent: RecentEvents
  private var followers: [Follower] = []
  private var waiters: [Waiter] = []
  private var lastID: UInt64 = 0
  private var closed = false

  init(recentEvents: Int) { recent = RecentEvents(capacity: recentEvents) }

  var currentRevision: Revision { published.load(ordering: .acquiring) }
  var compactedRevision: Revision { compacted.load(ordering: .acquiring) }

  func noteCompaction(_ revision: Revision) {
    compacted.max(revision, ordering: .acquiringAndReleasing)
  }

  // MARK: The watch's side

  /// Takes the whole state at a revision: at the start, and when changes were compacted before the watch could bring them.
  func reset(_ values: [StoredValue], revision: Revision) {
    let ready = lock.withLock { () -> [Waiter] in
      index = Dictionary(values.map { ($0.key, $0) }, uniquingKeysWith: { $1 })
      recent.removeAll(floor: revision)
      for follower in followers where follower.isActive {
        follower.onSnapshot(snapshot(follower.prefix), revision)
      }
      return publish(revision)
    }
    for waiter in ready { waiter.continuation.resume() }
  }

  /// Takes what the watch brought. False when a revision is missing.
  func apply(_ changes: [WatchResponse.Change]) -> Bool {
    let result = lock.withLock { () -> [Waiter]? in
      var revision = currentRevision
      var events: [StorageEvent] = []
      events.reserveCapacity(changes.count)
      for change in changes {
        let next = change.revision
        // A repeated one was delivered before the watch broke.
        guard next > currentRevision else { continue }
        guard next == revision || next == revision + 1 else { return nil }
        revision = next
        switch change {
        case .put(let item, _):
          let previous = index.updateValue(item.value, forKey: item.value.key)
          events.append(StorageEvent(kind: .put, current: item.value, previous: previous))
        case .delete(let key, let revision, _):
          guard let previous = index.removeValue(forKey: key) else { continue }
          var last = previous
          last.modRevision = revision
          events.append(StorageEvent(kind: .delete, current: last, previous: previous))
        case .compaction(_, let target): noteCompaction(target)
        case .foreign: break
        }
      }
      guard revision > currentRevision else { return [] }
      recent.append(events, through: revision)
      if !events.isEmpty { deliver(events, revision) }
      return publish(revision)
    }
    guard let ready = result else { return false }
    for waiter in ready { waiter.continuation.resume() }
    return true
  }

  private func deliver(_ events: [StorageEvent], _ revision: Revision) {
    var ended = false
    for follower in followers {
      guard follower.isActive else {
        ended = true
        continue
      }
      let batch =
        follower.prefix == "/" ? events : events.filter { $0.current.key.hasPrefix(follower.prefix) }
      if !batch.isEmpty { follower.onEvents(batch, revision) }
    }
    if ended { followers.removeAll { !$0.isActive } }
  }

  /// Lets the new revision be seen; returns who waited for it.
  private func publish(_ revision: Revision) -> [Waiter] {
    published.store(revision, ordering: .releasing)
    if waiters.isEmpty { return [] }
    var ready: [Waiter] = []
    var rest: [Waiter] = []
    for waiter in waiters {
      if waiter.revision <= revision { ready.append(waiter) } else { rest.append(waiter) }
    }
    waiters = rest
    return ready
  }

  // MARK: Readers

  func follow(
    prefix: String, onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> Follower {
    let follower = Follower(prefix: prefix, onSnapshot: onSnapshot, onEvents: onEvents)
    try lock.withLock {
      if closed { throw StorageError.closed }
      onSnapshot(snapshot(prefix), applying ?? currentRevision)
      followers.append(follower)
    }
    return follower
  }

  /// The events of this revision are in the index while it is being delivered.
  private var applying: Revision? { recent.last > currentRevision ? recent.last : nil }

  private func snapshot(_ prefix: String) -> [StoredValue] {
    var found = prefix == "/" ? Array(index.values) : index.values.filter { $0.key.hasPrefix(prefix) }
    found.sort { $0.key < $1.key }
    return found
  }

  /// The write of a key at a revision, if it is among the recent ones.
  func event(_ key: String, at revision: Revision) -> StorageEvent? {
    lock.withLock { recent.event(key, at: revision) }
  }

  /// The events after a revision up to now, nil when they are no longer all here.
  func events(prefix: String, after: Revision) -> [StorageEvent]? {
    lock.withLock { recent.events(after: after) }?.filter { $0.current.key.hasPrefix(prefix) }
  }

  // MARK: Waiting

  /// Returns when the watch has brought a revision.
  func reach(_ revision: Revision) async throws {
    if currentRevision >= revision { return }
    let id = lock.withLock {
      lastID += 1
      return lastID
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        let result = lock.withLock { () -> Result<Void, any Error>? in
          if closed { return .failure(StorageError.closed) }
          if Task.isCancelled { return .failure(CancellationError()) }
          if currentRevision >= revision { return .success(()) }
          waiters.append(Waiter(id: id, revision: revision, since: .now, continuation: continuation))
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      fail(CancellationError()) { $0.id == id }
    }
  }

  /// How long somebody has been waiting for a revision that is known to exist.
  func longestWait(upTo revision: Revision, _ now: ContinuousClock.Instant) -> Duration? {
    lock.withLock { waiters.filter { $0.revision <= revision }.map { now - $0.since }.max() }
  }

  func failWaiters(olderThan age: Duration, _ now: ContinuousClock.Instant) {
    fail(StorageError.timeout("the watch of etcd does not bring what was written")) { now - $0.since > age }
  }

  func close() {
    lock.withLock {
      closed = true
      followers = []
    }
    fail(StorageError.closed) { _ in true }
  }

  private func fail(_ error: any Error, _ which: (Waiter) -> Bool) {
    let failed = lock.withLock { () -> [Waiter] in
      let failed = waiters.filter(which)
      if !failed.isEmpty { waiters.removeAll(where: which) }
      return failed
    }
    for waiter in failed { waiter.continuation.resume(throwing: error) }
  }
}

/// One `follow`.
final class Follower: StorageSubscription {
  let prefix: String
  let onSnapshot: @Sendable ([StoredValue], Revision) -> Void
  let onEvents: @Sendable ([StorageEvent], Revision) -> Void
  private let cancelled = Atomic<Bool>(false)

  init(
    prefix: String, onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) {
    self.prefix = prefix
    self.onSnapshot = onSnapshot
    self.onEvents = onEvents
  }

  var isActive: Bool { !cancelled.load(ordering: .acquiring) }
  func cancel() { cancelled.store(true, ordering: .releasing) }
}

/// The last events, in order of revision.
struct RecentEvents {
  private let capacity: Int
  private var events: [StorageEvent] = []
  /// Every event after this revision is here.
  private var floor: Revision = 0
  private(set) var last: Revision = 0

  init(capacity: Int) { self.capacity = max(1, capacity) }

  mutating func removeAll(floor: Revision) {
    events = []
    self.floor = floor
    last = floor
  }

  mutating func append(_ new: [StorageEvent], through revision: Revision) {
    events.append(contentsOf: new)
    last = revision
    // Twice the capacity before anything moves, so that moving costs little for each event.
    guard events.count > 2 * capacity else { return }
    let surplus = events.count - capacity
    floor = events[surplus - 1].revision
    events.removeFirst(surplus)
  }

  /// The position of the first event after a revision.
  private func position(after revision: Revision) -> Int {
    var low = 0
    var high = events.count
    while low < high {
      let middle = (low + high) / 2
      if events[middle].revision <= revision { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func events(after revision: Revision) -> [StorageEvent]? {
    revision < floor ? nil : Array(events[position(after: revision)...])
  }

  func event(_ key: String, at revision: Revision) -> StorageEvent? {
    var at = position(after: revision - 1)
    while at < events.count, events[at].revision == revision {
      if events[at].current.key == key { return events[at] }
      at += 1
    }
    return nil
  }
}

/// A lock that its holder may take again.
final class RecursiveLock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  init() {
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func withLock<T>(_ body: () throws -> T) rethrows -> T {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }
}
