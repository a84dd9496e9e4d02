public import API
public import APIMachinery
public import Logging

/// A change that an informer tells its handlers.
public enum InformerEvent<T: APIObject>: Sendable {
  /// An object appeared (also: was there when the handler was added).
  case added(T)
  /// An object changed.
  case updated(old: T, new: T)
  /// An object went away; its last known state.
  case deleted(T)

  /// The object in its newest state.
  public var object: T {
    switch self {
    case .added(let object), .updated(_, let object), .deleted(let object): object
    }
  }
}

/// A local, indexed copy of a collection, kept current by a watch.
public final class Informer<T: APIObject>: Sendable {
  /// Reads the copy.
  public let lister: Lister<T>
  private let cache: ObjectCache<T>
  private let reflector: Reflector<T>

  /// Makes an informer; it does nothing until `run`. Components ask an `InformerFactory` instead.
  ///
  /// `location` overrides where the kind is served; `transform` may shrink an object before it is kept.
  public init(
    client: APIClient, location: ResourceLocation? = nil, namespace: String? = nil, fieldSelector: String? = nil,
    labelSelector: String? = nil, accept: String = "application/json",
    listAccept: String = "application/json",
    strategy: ReflectorMachine.Strategy = .list,
    logger: Logger = Logger(label: "informer"), transform: (@Sendable (inout T) -> Void)? = nil
  ) {
    cache = ObjectCache(transform: transform)
    lister = Lister(cache: cache)
    reflector = Reflector(
      client: client, path: (location ?? ResourceLocation(T.self)).path(namespace: namespace),
      listAccept: listAccept, watchAccept: accept,
      fieldSelector: fieldSelector ?? "", labelSelector: labelSelector ?? "", strategy: strategy, cache: cache,
      logger: logger)
  }

  /// Adds a handler. It is called at once for every object already there, then for each change, in order, on the
  /// informer's task: it must not block, nor add a handler to this informer.
  public func addHandler(_ handler: @escaping @Sendable (InformerEvent<T>) -> Void) {
    cache.addHandler(handler)
  }

  /// Adds an index for `Lister.byIndex`. A name that is taken keeps its first meaning.
  public func addIndex(_ name: String, keys: @escaping @Sendable (T) -> [String]) {
    cache.addIndex(name, keys: keys)
  }

  /// Whether the first state is there and the handlers have heard of it.
  public var hasSynced: Bool { cache.hasSynced }

  /// Waits for `hasSynced`.
  public func waitForSync() async throws { try await cache.waitForSync() }

  /// Keeps the copy current until the task is cancelled.
  public func run() async { await reflector.run() }
}

/// Reads an informer's copy. Objects are values; changing one changes nothing in the copy.
public struct Lister<T: APIObject>: Sendable {
  let cache: ObjectCache<T>

  /// One object.
  public func get(namespace: String = "", name: String) -> T? {
    cache.get(ObjectKey(namespace: namespace, name: name))
  }

  /// One object.
  public func get(_ key: ObjectKey) -> T? { cache.get(key) }

  /// The objects of a namespace, or of all, in no order.
  public func list(namespace: String? = nil, selector: Labels.Selector = .everything) -> [T] {
    let objects = cache.list(namespace: namespace)
    if selector.isEmpty { return objects }
    return objects.filter { selector.matches($0.metadata.labels) }
  }

  /// The objects an index files under a value.
  public func byIndex(_ name: String, _ value: String) -> [T] { cache.byIndex(name, value) }

  /// How many objects there are.
  public var count: Int { cache.count }
}
