public import API
public import APIMachinery
import Synchronization

/// An API server in memory, for tests of components: every built-in resource with get, list, create, update,
/// patch, delete, deletecollection and watch, resource versions, generations, finalizers, graceful deletion of
/// pods, and the subresources that components use. There is no authentication, defaulting, validation or
/// garbage collection: tests seed what they need.
public final class MemoryAPI: Transport {
  /// A request as tests see it.
  public struct Recorded: Sendable, Equatable {
    /// The method, or `WATCH`.
    public var method: String
    /// Path and query.
    public var path: String
    /// The body.
    public var body: [UInt8]
  }

  let store: Mutex<MemoryStore>
  private let recorded = Mutex<[Recorded]>([])
  private let hook = Mutex<(@Sendable (TransportRequest) throws -> Void)?>(nil)

  /// An empty server. `now` is the server's clock.
  public init(now: @escaping @Sendable () -> Time = { Time.now }) {
    store = Mutex(MemoryStore(now: now))
  }

  /// A client of this server.
  public func client(userAgent: String = "test") -> APIClient { APIClient(transport: self, userAgent: userAgent) }

  /// The writes received since the beginning or the last `clearRequests`, in order.
  public var writes: [Recorded] { recorded.withLock { $0.filter { $0.method != "GET" && $0.method != "WATCH" } } }

  /// Every request received.
  public var requests: [Recorded] { recorded.withLock { $0 } }

  /// Forgets the recorded requests.
  public func clearRequests() { recorded.withLock { $0 = [] } }

  /// Sets a function that sees every request first and may throw a `StatusError` or a failure of the transport.
  public func intercept(_ body: (@Sendable (TransportRequest) throws -> Void)?) { hook.withLock { $0 = body } }

  /// Puts an object there as it is, status included; what it lacks (uid, times, versions) is filled in.
  @discardableResult
  public func seed<T: APIObject>(_ object: T) throws -> T {
    let tree = try JSONValue(parsing: object.encodedWithType())
    let location = ResourceLocation(T.self)
    let stored = try store.withLock { store in
      try store.create(store.resource(location), namespace: object.metadata.namespace, tree, keepStatus: true)
    }
    return try T.decode(stored.encoded())
  }

  /// Reads an object without a request.
  public func object<T: APIObject>(_ type: T.Type, namespace: String = "", name: String) -> T? {
    let key = ObjectKey(namespace: namespace, name: name)
    let group = GroupResource(group: T.group, resource: T.resource)
    guard let tree = store.withLock({ $0.objects[group]?[key] }) else { return nil }
    return try? T.decode(tree.encoded())
  }

  /// Reads every object of a kind without a request, by key.
  public func objects<T: APIObject>(_ type: T.Type, namespace: String? = nil) -> [T] {
    let group = GroupResource(group: T.group, resource: T.resource)
    let trees = store.withLock { $0.objects[group] ?? [:] }
    return trees.sorted { $0.key < $1.key }.filter { namespace == nil || $0.key.namespace == namespace }
      .compactMap { try? T.decode($0.value.encoded()) }
  }

  /// Changes an object's whole state, status included, as if its owner had.
  @discardableResult
  public func modify<T: APIObject>(
    _ type: T.Type, namespace: String = "", name: String, _ change: (inout T) -> Void
  ) throws -> T {
    let key = ObjectKey(namespace: namespace, name: name)
    return try store.withLock { store in
      let resource = try store.resource(ResourceLocation(type))
      guard let tree = store.objects[resource.groupResource]?[key] else {
        throw StatusError.notFound(resource.groupResource, name)
      }
      var object = try T.decode(tree.encoded())
      change(&object)
      let changed = try JSONValue(parsing: object.encodedWithType())
      return try T.decode(try store.replace(resource, key, with: changed, part: .everything).encoded())
    }
  }

  /// Ends every open watch, as a server that restarts does.
  public func endWatches() { store.withLock { $0.endWatches() } }

  /// Forgets the history before now: a watch from an older version gets 410.
  public func expireHistory() { store.withLock { $0.expireHistory() } }

  // MARK: Transport

  public func send(_ request: TransportRequest) async throws -> TransportResponse {
    record(request.method, request)
    do {
      try hook.withLock { $0 }?(request)
      let body = try respond(to: request)
      return (request.method == "POST" ? 201 : 200, [("Content-Type", "application/json")], body)
    } catch let error as StatusError {
      return (error.code, [("Content-Type", "application/json")], error.encoded())
    }
  }

  public func stream(_ request: TransportRequest) async throws -> TransportStream {
    record("WATCH", request)
    do {
      try hook.withLock { $0 }?(request)
      let route = try MemoryRoute(request)
      return (200, try startWatch(route))
    } catch let error as StatusError {
      let body = error.encoded()
      return (
        error.code,
        AsyncThrowingStream { continuation in
          continuation.yield(body)
          continuation.finish()
        }
      )
    }
  }

  private func record(_ method: String, _ request: TransportRequest) {
    recorded.withLock { $0.append(Recorded(method: method, path: request.path, body: request.body ?? [])) }
  }

  private func respond(to request: TransportRequest) throws -> [UInt8] {
    if request.method == "GET", let document = store.withLock({ $0.discovery(String(request.pathOnly)) }) {
      return document.encoded()
    }
    let route = try MemoryRoute(request)
    return try store.withLock { store in
      let resource = try store.resource(route.location)
      switch (request.method, route.name) {
      case ("GET", nil): return try store.list(resource, route).encoded()
      case ("GET", let name?): return try store.get(resource, route, name).encoded()
      case ("POST", nil):
        return try store.create(resource, namespace: route.namespace, try route.tree(), keepStatus: false).encoded()
      case ("POST", let name?): return try store.postSubresource(resource, route, name).encoded()
      case ("PUT", let name?): return try store.put(resource, route, name, try route.tree()).encoded()
      case ("PATCH", let name?): return try store.patch(resource, route, name).encoded()
      case ("DELETE", let name?): return try store.delete(resource, route.key(name), route.deleteOptions()).encoded()
      case ("DELETE", nil): return try store.deleteCollection(resource, route).encoded()
      default: throw StatusError.methodNotSupported(resource.groupResource, request.method)
      }
    }
  }
}

/// A request's path and query, taken apart.
struct MemoryRoute {
  let location: ResourceLocation
  let namespace: String
  let name: String?
  let subresource: String?
  let query: [String: String]
  let request: TransportRequest

  init(_ request: TransportRequest) throws {
    var parts = request.pathOnly.split(separator: "/").map { PercentCoding.decode($0) }
    var group = ""
    let root = parts.isEmpty ? "" : parts.removeFirst()
    if root == "apis", !parts.isEmpty { group = parts.removeFirst() }
    guard root == "api" || root == "apis", parts.count >= 2 else {
      throw StatusError(code: 404, reason: "NotFound", message: "the server could not find the requested resource")
    }
    let version = parts.removeFirst()
    var namespace = ""
    if parts[0] == "namespaces", parts.count > 2, parts[2] != "status", parts[2] != "finalize" {
      namespace = parts[1]
      parts.removeFirst(2)
    }
    location = ResourceLocation(
      group: group, version: version, resource: parts[0], namespaced: !namespace.isEmpty)
    self.namespace = namespace
    name = parts.count > 1 ? parts[1] : nil
    subresource = parts.count > 2 ? parts[2...].joined(separator: "/") : nil
    query = Dictionary(request.query, uniquingKeysWith: { $1 })
    self.request = request
  }

  func key(_ name: String) -> ObjectKey { ObjectKey(namespace: namespace, name: name) }

  func tree() throws -> JSONValue {
    do { return try JSONValue(parsing: request.body ?? []) } catch { throw StatusError.badRequest("\(error)") }
  }

  func deleteOptions() throws -> DeleteOptions {
    guard let body = request.body, !body.isEmpty else { return DeleteOptions() }
    return try DeleteOptions.decode(body)
  }

  func selection() throws -> MemorySelection {
    MemorySelection(
      labels: try Labels.Selector.parse(query["labelSelector"] ?? ""),
      fields: try Fields.Selector.parse(query["fieldSelector"] ?? ""), namespace: namespace)
  }
}

/// Which objects a list or a watch wants.
struct MemorySelection: Sendable {
  let labels: Labels.Selector
  let fields: Fields.Selector
  let namespace: String

  func matches(_ object: JSONValue) -> Bool {
    let metadata = object["metadata"]
    if !namespace.isEmpty, metadata?["namespace"]?.stringValue != namespace { return false }
    let labels = (metadata?["labels"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
    guard self.labels.matches(labels) else { return false }
    return fields.matches { path in
      var node: JSONValue? = object
      for part in path.split(separator: ".") { node = node?[String(part)] }
      switch node {
      case .string(let text): return text
      case .bool(let flag): return flag ? "true" : "false"
      case .int(let number): return String(number)
      default: return ""
      }
    }
  }
}
