import API
import APIMachinery
import Synchronization

/// The objects an informer holds, their indexes, and those who want to hear of changes.
///
/// Two locks: `state` guards the maps and is held only to read or change them; `delivery` is held while a change
/// is made and told, so every handler hears every change once and in order, also one that was added meanwhile.
/// Handlers may read the cache; they must not block, nor add handlers to the same informer.
final class ObjectCache<T: APIObject>: Sendable {
  struct State: Sendable {
    var objects: [ObjectKey: T] = [:]
    var namespaces: [String: Set<ObjectKey>] = [:]
    var indexes: [String: Index] = [:]
    var synced = false
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    var nextWaiter = 0
  }

  struct Index: Sendable {
    let keys: @Sendable (T) -> [String]
    var table: [String: Set<ObjectKey>] = [:]
  }

  private let state = Mutex(State())
  private let delivery = Mutex<[@Sendable (InformerEvent<T>) -> Void]>([])
  private let transform: (@Sendable (inout T) -> Void)?

  init(transform: (@Sendable (inout T) -> Void)?) {
    self.transform = transform
  }

  // MARK: Changes

  func put(_ object: T) {
    var object = object
    transform?(&object)
    delivery.withLock { handlers in
      let event: InformerEvent<T> = state.withLock { state in
        let old = state.set(object)
        return old.map { .updated(old: $0, new: object) } ?? .added(object)
      }
      for handler in handlers { handler(event) }
    }
  }

  func remove(_ object: T) {
    delivery.withLock { handlers in
      // The watch carries the last state; the cache's copy is only proof that the object was known.
      guard state.withLock({ $0.unset(object.key) }) != nil else { return }
      var last = object
      transform?(&last)
      for handler in handlers { handler(.deleted(last)) }
    }
  }

  func replace(with objects: [T]) {
    delivery.withLock { handlers in
      var fresh: [ObjectKey: T] = [:]
      fresh.reserveCapacity(objects.count)
      for var object in objects {
        transform?(&object)
        fresh[object.key] = object
      }
      let events = state.withLock { state in
        var events: [InformerEvent<T>] = []
        for (key, old) in state.objects where fresh[key] == nil {
          state.unset(key)
          events.append(.deleted(old))
        }
        for object in fresh.values {
          if let old = state.objects[object.key] {
            // Same name, other object: its death was missed.
            if old.metadata.uid != object.metadata.uid {
              state.unset(object.key)
              events.append(.deleted(old))
              state.set(object)
              events.append(.added(object))
            } else if old.metadata.resourceVersion != object.metadata.resourceVersion {
              state.set(object)
              events.append(.updated(old: old, new: object))
            }
          } else {
            state.set(object)
            events.append(.added(object))
          }
        }
        return events
      }
      for event in events {
        for handler in handlers { handler(event) }
      }
      // Synced means: the handlers have heard of everything that was there.
      let waiters = state.withLock { state in
        state.synced = true
        defer { state.waiters = [:] }
        return Array(state.waiters.values)
      }
      for waiter in waiters { waiter.resume() }
    }
  }

  // MARK: Subscribers

  func addHandler(_ handler: @escaping @Sendable (InformerEvent<T>) -> Void) {
    delivery.withLock { handlers in
      for object in state.withLock({ Array($0.objects.values) }) { handler(.added(object)) }
      handlers.append(handler)
    }
  }

  func addIndex(_ name: String, keys: @escaping @Sendable (T) -> [String]) {
    state.withLock { state in
      guard state.indexes[name] == nil else { return }
      var index = Index(keys: keys)
      for (key, object) in state.objects {
        for value in keys(object) { index.table[value, default: []].insert(key) }
      }
      state.indexes[name] = index
    }
  }

  var hasSynced: Bool { state.withLock { $0.synced } }

  func waitForSync() async throws {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state in
          if state.synced || Task.isCancelled { return true }
          state.waiters[id] = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
    try Task.checkCancellation()
  }

  // MARK: Reading

  func get(_ key: ObjectKey) -> T? { state.withLock { $0.objects[key] } }

  func list(namespace: String?) -> [T] {
    state.withLock { state in
      guard let namespace else { return Array(state.objects.values) }
      return state.namespaces[namespace]?.compactMap { state.objects[$0] } ?? []
    }
  }

  func byIndex(_ name: String, _ value: String) -> [T] {
    state.withLock { state in
      state.indexes[name]?.table[value]?.compactMap { state.objects[$0] } ?? []
    }
  }

  var count: Int { state.withLock { $0.objects.count } }
}

extension ObjectCache.State {
  @discardableResult
  mutating func set(_ object: T) -> T? {
    let key = object.key
    let old = objects.updateValue(object, forKey: key)
    if old == nil, T.namespaced || !key.namespace.isEmpty { namespaces[key.namespace, default: []].insert(key) }
    for name in indexes.keys { reindex(name, key, old: old, new: object) }
    return old
  }

  @discardableResult
  mutating func unset(_ key: ObjectKey) -> T? {
    guard let old = objects.removeValue(forKey: key) else { return nil }
    namespaces[key.namespace]?.remove(key)
    if namespaces[key.namespace]?.isEmpty == true { namespaces[key.namespace] = nil }
    for name in indexes.keys { reindex(name, key, old: old, new: nil) }
    return old
  }

  private mutating func reindex(_ name: String, _ key: ObjectKey, old: T?, new: T?) {
    guard let keys = indexes[name]?.keys else { return }
    let before = old.map(keys) ?? []
    let after = new.map(keys) ?? []
    guard before != after else { return }
    for value in before {
      indexes[name]?.table[value]?.remove(key)
      if indexes[name]?.table[value]?.isEmpty == true { indexes[name]?.table[value] = nil }
    }
    for value in after { indexes[name]?.table[value, default: []].insert(key) }
  }
}
