import API
import APIMachinery
import Storage
import Synchronization

/// All caches, filled and kept current by one subscription to the store.
final class CacheHub: Sendable {
  let clock = RevisionClock()
  private let caches: [String: ResourceCache]
  private let subscription = Mutex<(any StorageSubscription)?>(nil)

  /// `indexes`: for each resource prefix below `/registry/`, the field to index.
  init(_ indexes: [String: [StaticString]?]) {
    var caches: [String: ResourceCache] = [:]
    for (prefix, index) in indexes {
      caches[prefix] = ResourceCache(prefix: "/registry/\(prefix)/", index: index, clock: clock)
    }
    self.caches = caches
  }

  subscript(prefix: String) -> ResourceCache? { caches[prefix] }

  func start(_ storage: any Storage) throws {
    let caches = caches
    let clock = clock
    clock.follow(storage)
    let new = try storage.follow(
      prefix: "/registry/",
      onSnapshot: { values, revision in
        // Comes again when the store lost part of the history.
        var byPrefix: [String: [StoredValue]] = [:]
        for value in values { byPrefix[Self.prefix(of: value.key), default: []].append(value) }
        for (prefix, cache) in caches { cache.fill(byPrefix[prefix] ?? [], revision: revision) }
        clock.advance(to: revision)
      },
      onEvents: { events, revision in
        for event in events { caches[Self.prefix(of: event.current.key)]?.apply(event) }
        clock.advance(to: revision)
      })
    subscription.withLock { $0 = new }
  }

  func stop() {
    subscription.withLock { current in
      current?.cancel()
      current = nil
    }
  }

  /// The part of a key between `/registry/` and the next slash.
  private static func prefix(of key: String) -> String {
    let rest = key.utf8.dropFirst("/registry/".utf8.count)
    return String(Substring(rest.prefix { $0 != UInt8(ascii: "/") }))
  }
}
