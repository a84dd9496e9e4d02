import API
import APIMachinery
import Storage
import Synchronization

/// All caches, filled and kept current by one subscription to the store.
final class CacheHub: Sendable {
  let clock = RevisionClock()
  private let caches: [String: ResourceCache]
  /// Of whatever else lies in the store: custom resources, known or not yet known.
  private let others = Mutex<(caches: [String: ResourceCache], revision: Revision)>(([:], 0))
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

  /// The cache of objects below `/registry/prefix/`, whether there are any or not.
  func cache(_ prefix: String) -> ResourceCache {
    if let known = caches[prefix] { return known }
    return others.withLock { others in
      if let known = others.caches[prefix] { return known }
      let cache = ResourceCache(prefix: "/registry/\(prefix)/", index: nil, clock: clock)
      // Nothing has been written there since the caches were filled.
      cache.fill([], revision: others.revision)
      others.caches[prefix] = cache
      return cache
    }
  }

  /// The cache of a prefix below which there were objects, or which somebody asked for.
  func existing(_ prefix: String) -> ResourceCache? {
    caches[prefix] ?? others.withLock { $0.caches[prefix] }
  }

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
        self.others.withLock { $0.revision = revision }
        for prefix in byPrefix.keys where caches[prefix] == nil && prefix.contains(".") { _ = self.cache(prefix) }
        for (prefix, cache) in self.others.withLock({ $0.caches }) {
          cache.fill(byPrefix[prefix] ?? [], revision: revision)
        }
        clock.advance(to: revision)
      },
      onEvents: { events, revision in
        for event in events {
          let prefix = Self.prefix(of: event.current.key)
          if let cache = caches[prefix] {
            cache.apply(event)
          } else if prefix.utf8.contains(UInt8(ascii: ".")) {
            self.cache(prefix).apply(event)
          }
        }
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
