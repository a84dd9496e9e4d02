import API
import APIMachinery
import APIMeta
import Logging
import Storage
import Synchronization

// Typed, in-process reads for the parts of the server that decide by objects: authorization, tokens, admission.
extension Registry {
  /// An object by name; nil if there is none.
  func object<T: APIObject>(_ type: T.Type, namespace: String = "", name: String) -> T? {
    guard let resource = resource(type), let cached = resource.cache?.object(resource.key(namespace, name))
    else { return nil }
    return decode(type, cached)
  }

  /// Every object of a kind, or those of one namespace, in order.
  func list<T: APIObject>(_ type: T.Type, namespace: String = "") -> [T] {
    guard let resource = resource(type), let cache = resource.cache else { return [] }
    var items: [T] = []
    cache.snapshot().objects.forEach(prefix: namespace.isEmpty || !T.namespaced ? "" : namespace + "/") { _, cached in
      if let object = decode(type, cached) { items.append(object) }
      return true
    }
    return items
  }

  /// A change that a subscriber sees.
  enum Change<T: APIObject>: Sendable {
    case added(T)
    case updated(old: T?, new: T)
    case deleted(T)
  }

  /// Calls `initial` with the present objects and `handler` with every later change, in order and before the
  /// write that caused it is acknowledged. `handler` runs on the store's thread and must not block.
  func subscribe<T: APIObject>(
    _ type: T.Type, initial: ([T]) -> Void, handler: @escaping @Sendable (Change<T>) -> Void
  ) {
    guard let resource = resource(type), let cache = resource.cache else { return }
    cache.subscribe(
      { snapshot in
        var items: [T] = []
        snapshot.objects.forEach(prefix: "") { _, cached in
          if let object = decode(type, cached) { items.append(object) }
          return true
        }
        initial(items)
      },
      { event in
        guard let object = Self.decoded(type, event.object) else { return }
        switch event.kind {
        case .added: handler(.added(object))
        case .modified: handler(.updated(old: event.previous.flatMap { Self.decoded(type, $0) }, new: object))
        case .deleted: handler(.deleted(object))
        }
      })
  }

  private func decode<T: APIObject>(_ type: T.Type, _ cached: CachedObject) -> T? {
    guard let object = Self.decoded(type, cached) else {
      logger.error("stored object cannot be read", metadata: ["key": "\(cached.key)", "kind": "\(T.kind)"])
      return nil
    }
    return object
  }

  static func decoded<T: APIObject>(_ type: T.Type, _ cached: CachedObject) -> T? {
    guard var object = try? type.decode(cached.bytes) else { return nil }
    object.metadata.resourceVersion = String(cached.revision)
    return object
  }
}
