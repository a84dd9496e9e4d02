import APIMachinery
import DequeModule
import Storage
import Synchronization

/// Every object of one resource, in order, and its recent changes.
///
/// The store's thread applies changes before the writes that caused them are acknowledged, so a reader that
/// starts after an acknowledged write sees it.
final class ResourceCache: Sendable {
  /// A consistent state of the resource.
  struct Snapshot: Sendable {
    var objects: OrderedChunks<CachedObject>
    var revision: Revision
  }

  /// How a watch begins.
  enum Start: Sendable {
    /// The state now, then changes.
    case state(Snapshot)
    /// Changes since the asked revision that are already known, then later ones.
    case events([CacheEvent])
    /// The asked revision is older than the ring: the history must come from the store.
    case tooOld(oldest: Revision)
  }

  private struct State {
    var objects = OrderedChunks<CachedObject>()
    var ring: Deque<CacheEvent> = []
    var ringBytes = 0
    /// Every change after this revision is in the ring.
    var ringFloor: Revision = 0
    var last: Revision = 0
    var watchers: [Watcher] = []
    var subscribers: [@Sendable (CacheEvent) -> Void] = []
    var byIndex: [String: Set<String>] = [:]
  }

  let prefix: String
  private let index: [StaticString]?
  private let clock: RevisionClock
  private let state = Mutex(State())
  private static let ringMaxEvents = 4096
  private static let ringMaxBytes = 2 << 20

  init(prefix: String, index: [StaticString]?, clock: RevisionClock) {
    self.prefix = prefix
    self.index = index
    self.clock = clock
  }

  // MARK: - The store's side

  /// Takes the whole state: at the start, and again when the store lost part of the history. Then watchers end, because
  /// nobody knows what they missed; they come again from their revision and are told that it is too old. Subscribers get
  /// the difference.
  func fill(_ values: [StoredValue], revision: Revision) {
    let old = state.withLock { $0.objects }
    var entries = values.map { value in
      let key = String(value.key.dropFirst(prefix.utf8.count))
      if let known = old[key], known.revision == value.modRevision {
        return OrderedChunks<CachedObject>.Entry(key: key, value: known)
      }
      return OrderedChunks<CachedObject>.Entry(
        key: key, value: CachedObject(key: key, bytes: value.value, revision: value.modRevision, index: index))
    }
    entries.sort { $0.key < $1.key }
    let (subscribers, watchers) = state.withLock { state in
      defer { state.watchers = [] }
      state.objects = OrderedChunks(sorted: entries)
      state.ring = []
      state.ringBytes = 0
      state.ringFloor = revision
      state.last = revision
      state.byIndex = [:]
      if index != nil {
        for entry in entries { Self.insertIndex(&state, entry.value) }
      }
      return (state.subscribers, state.watchers)
    }
    for watcher in watchers { watcher.close() }
    if subscribers.isEmpty { return }
    for event in Self.difference(old, entries, revision) {
      for subscriber in subscribers { subscriber(event) }
    }
  }

  /// The changes that lead from one state to another, the deletions first.
  private static func difference(
    _ old: OrderedChunks<CachedObject>, _ new: [OrderedChunks<CachedObject>.Entry], _ revision: Revision
  ) -> [CacheEvent] {
    var kept: Set<String> = []
    var changes: [CacheEvent] = []
    for entry in new {
      let before = old[entry.key]
      let isSame = before?.uid == entry.value.uid
      if isSame { kept.insert(entry.key) }
      if before?.revision == entry.value.revision { continue }
      changes.append(
        CacheEvent(kind: isSame ? .modified : .added, object: entry.value, previous: isSame ? before : nil))
    }
    var gone: [CacheEvent] = []
    old.forEach(prefix: "") { key, object in
      if !kept.contains(key) {
        gone.append(
          CacheEvent(kind: .deleted, object: CachedObject(deleted: object, revision: revision), previous: object))
      }
      return true
    }
    return gone + changes.sorted { $0.revision < $1.revision }
  }

  func apply(_ change: StorageEvent) {
    let key = String(change.current.key.dropFirst(prefix.utf8.count))
    let subscribers = state.withLock { state -> ([@Sendable (CacheEvent) -> Void], CacheEvent)? in
      let event: CacheEvent
      switch change.kind {
      case .put:
        let object = CachedObject(
          key: key, bytes: change.current.value, revision: change.current.modRevision, index: index)
        let old = state.objects.update(key, object)
        if index != nil {
          if let old { Self.removeIndex(&state, old) }
          Self.insertIndex(&state, object)
        }
        event = CacheEvent(kind: old == nil ? .added : .modified, object: object, previous: old)
      case .delete:
        guard let old = state.objects.remove(key) else { return nil }
        if index != nil { Self.removeIndex(&state, old) }
        event = CacheEvent(
          kind: .deleted, object: CachedObject(deleted: old, revision: change.current.modRevision), previous: old)
      }
      state.last = event.revision
      state.ring.append(event)
      state.ringBytes += event.size
      while state.ring.count > Self.ringMaxEvents || (state.ringBytes > Self.ringMaxBytes && state.ring.count > 64) {
        let gone = state.ring.removeFirst()
        state.ringBytes -= gone.size
        state.ringFloor = gone.revision
      }
      var dropped = false
      for watcher in state.watchers where !watcher.offer(event) { dropped = true }
      if dropped { state.watchers.removeAll { !$0.isOpen } }
      return (state.subscribers, event)
    }
    guard let (list, event) = subscribers else { return }
    for subscriber in list { subscriber(event) }
  }

  private static func insertIndex(_ state: inout State, _ object: CachedObject) {
    guard let value = object.indexed, !value.isEmpty else { return }
    state.byIndex[value, default: []].insert(object.key)
  }

  private static func removeIndex(_ state: inout State, _ object: CachedObject) {
    guard let value = object.indexed, !value.isEmpty else { return }
    state.byIndex[value]?.remove(object.key)
    if state.byIndex[value]?.isEmpty == true { state.byIndex[value] = nil }
  }

  // MARK: - Readers

  var count: Int { state.withLock { $0.objects.count } }

  func object(_ key: String) -> CachedObject? { state.withLock { $0.objects[key] } }

  /// The resource's state and the revision up to which it is complete.
  func snapshot() -> Snapshot {
    state.withLock { state in Snapshot(objects: state.objects, revision: max(clock.current, state.last)) }
  }

  /// The revision of the resource's latest change.
  var lastChange: Revision { state.withLock { $0.last } }

  /// Objects whose indexed field has `value`, in order.
  func indexed(_ value: String) -> (objects: [CachedObject], revision: Revision) {
    state.withLock { state in
      let keys = (state.byIndex[value] ?? []).sorted()
      return (keys.compactMap { state.objects[$0] }, max(clock.current, state.last))
    }
  }

  /// Adds a watcher; nothing is lost between what is returned and what the watcher is offered later.
  func watch(_ watcher: Watcher, from revision: Revision?) -> Start {
    state.withLock { state in
      guard let revision else {
        state.watchers.append(watcher)
        return .state(Snapshot(objects: state.objects, revision: max(clock.current, state.last)))
      }
      if revision < state.ringFloor { return .tooOld(oldest: state.ringFloor) }
      state.watchers.append(watcher)
      var low = 0
      var high = state.ring.count
      while low < high {
        let middle = (low + high) / 2
        if state.ring[middle].revision <= revision { low = middle + 1 } else { high = middle }
      }
      return .events(Array(state.ring[low...]))
    }
  }

  func remove(_ watcher: Watcher) {
    watcher.close()
    state.withLock { state in state.watchers.removeAll { $0 === watcher } }
  }

  /// Ends all watches: what they show has become another thing.
  func endWatches() {
    let watchers = state.withLock { state in
      defer { state.watchers = [] }
      return state.watchers
    }
    for watcher in watchers { watcher.close() }
  }

  /// Queues a bookmark with the revision up to which the watcher has been offered everything.
  func bookmark(_ watcher: Watcher) {
    state.withLock { state in
      _ = watcher.push(.bookmark(max(clock.current, state.last)))
    }
  }

  /// Calls `handler` with the present state, then with every later change, in order, on the store's thread.
  func subscribe(_ initial: (Snapshot) -> Void, _ handler: @escaping @Sendable (CacheEvent) -> Void) {
    state.withLock { state in
      initial(Snapshot(objects: state.objects, revision: max(clock.current, state.last)))
      state.subscribers.append(handler)
    }
  }
}

/// The latest revision whose changes are in every cache.
final class RevisionClock: Sendable {
  private let value = Atomic<UInt64>(0)
  private let storage = Mutex<(any Storage)?>(nil)

  /// The store knows of writes that concern no cache.
  var current: Revision {
    max(value.load(ordering: .acquiring), storage.withLock { $0?.currentRevision ?? 0 })
  }

  func follow(_ storage: any Storage) { self.storage.withLock { $0 = storage } }

  func advance(to revision: Revision) {
    value.store(max(revision, value.load(ordering: .relaxed)), ordering: .releasing)
  }
}
