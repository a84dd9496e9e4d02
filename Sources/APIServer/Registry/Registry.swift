import API
import APIMachinery
import APIMeta
import APISchema
import HTTP
import Logging
import Storage
import Synchronization

/// Settings of the registry.
struct RegistryConfiguration: Sendable {
  /// Range of cluster addresses.
  var serviceClusterIPRange = "10.96.0.0/12"
  var serviceNodePortRange: ClosedRange<Int> = 30000...32767
  /// What the `kubernetes` Service leads to.
  var advertiseAddress = "127.0.0.1"
  var securePort = 6443
  /// Seconds after which a watch without a timeout of its own ends, doubled at random.
  var minRequestTimeout = 1800
  var bookmarkInterval = 60
  var eventSecondsToLive = 3600
  /// Admission plugins beside and without the default ones, by upstream's names.
  var enabledPlugins: Set<String> = []
  var disabledPlugins: Set<String> = []
  /// Whether kubelets are kept to their own node and pods.
  var nodeRestriction: Bool { enabledPlugins.contains("NodeRestriction") }
  /// How often, a tenth of a second apart, a new pod's missing service account is looked for.
  var serviceAccountRetries = 10
  /// How long another server that starts at the same time may take to make the `kubernetes` Service.
  var bootstrapPatience = Duration.seconds(3)

  init() {}
}

/// Serves every resource from the watch caches, and commits changes to the store.
final class Registry: Sendable {
  /// Serves a resource or subresource that the registry does not store, such as a review.
  typealias Handler = @Sendable (ResourceRequest) async throws -> HTTPResponse

  let storage: any Storage
  let configuration: RegistryConfiguration
  let tokenIssuer: (any TokenIssuer)?
  let logger: Logger
  let hub: CacheHub
  let watches = WatchTicker()
  let admission: AdmissionChain
  let dynamicAdmission: DynamicAdmission
  let access = AccessRules()
  let custom = CustomKinds()
  let webhooks: WebhookCaller
  let addresses: ServiceAllocator
  let now: @Sendable () -> Time

  private let byVersion: [GroupVersionResource: ServedResource]
  private let byGroup: [GroupResource: ServedResource]
  private let byKind: [GroupVersionKind: ServedResource]
  private let definitions = Mutex<DefinitionController?>(nil)
  private let handlers = Mutex<[String: Handler]>([:])

  init(
    storage: any Storage, configuration: RegistryConfiguration = RegistryConfiguration(),
    tokenIssuer: (any TokenIssuer)? = nil, now: @escaping @Sendable () -> Time = { Time.now },
    logger: Logger
  ) throws {
    self.storage = storage
    self.configuration = configuration
    self.tokenIssuer = tokenIssuer
    self.now = now
    self.logger = logger
    webhooks = WebhookCaller(logger: logger)
    let layout = StorageLayout(builtInResources)
    hub = CacheHub(layout.indexes)
    var byVersion: [GroupVersionResource: ServedResource] = [:]
    var byGroup: [GroupResource: ServedResource] = [:]
    var byKind: [GroupVersionKind: ServedResource] = [:]
    for info in builtInResources {
      let (stored, prefix) = layout.home(info)
      let served = ServedResource(
        info: info, storedIn: stored, cache: layout.isStored(info) ? hub[prefix] : nil, prefix: prefix)
      byVersion[GroupVersionResource(group: info.group, version: info.version, resource: info.resource)] = served
      byKind[served.gvk] = served
      if served.apiVersion == served.storedVersion || byGroup[served.groupResource] == nil {
        byGroup[served.groupResource] = served
      }
    }
    self.byVersion = byVersion
    self.byGroup = byGroup
    self.byKind = byKind
    addresses = try ServiceAllocator(
      range: configuration.serviceClusterIPRange, ports: configuration.serviceNodePortRange)
    admission = AdmissionChain(enabled: configuration.enabledPlugins, disabled: configuration.disabledPlugins)
    dynamicAdmission = DynamicAdmission(disabled: configuration.disabledPlugins)
  }

  /// Fills the caches, then makes what every cluster has: system namespaces, priority classes and the
  /// `kubernetes` Service.
  func start() async throws {
    try hub.start(storage)
    if let services = byGroup[GroupResource(group: "", resource: "services")]?.cache {
      addresses.follow(services: services, addresses: resource(IPAddress.self)?.cache)
    }
    dynamicAdmission.follow(self)
    let definitions = DefinitionController(registry: self)
    definitions.start()
    self.definitions.withLock { $0 = definitions }
    try await Bootstrap(registry: self).run()
    await repairServicesOrTell(collect: true)
  }

  /// How many objects there are of every stored resource, custom ones included.
  var objectCounts: [(resource: GroupResource, count: Int)] {
    (Array(byGroup.values) + custom.all).reduce(into: [GroupResource: Int]()) { counts, served in
      if let cache = served.cache { counts[served.groupResource] = cache.count }
    }.map { ($0.key, $0.value) }.sorted { "\($0.resource)" < "\($1.resource)" }
  }

  func stop() {
    definitions.withLock { definitions in
      definitions?.stop()
      definitions = nil
    }
    hub.stop()
    watches.stop()
  }

  // MARK: - Lookups

  func resource(_ group: String, _ version: String, _ resource: String) -> ServedResource? {
    let key = GroupVersionResource(group: group, version: version, resource: resource)
    return byVersion[key] ?? custom.resource(key)
  }

  /// The resource in the version that it is stored in.
  func resource(_ groupResource: GroupResource) -> ServedResource? {
    byGroup[groupResource] ?? custom.resource(groupResource)
  }

  func resource(kind: GroupVersionKind) -> ServedResource? { byKind[kind] ?? custom.resource(kind: kind) }

  func resource<T: APIObject>(_ type: T.Type) -> ServedResource? { byGroup[T.groupResource] }

  /// Lets another part of the server answer for `group/resource` or `group/resource/subresource`.
  func serve(_ group: String, _ resource: String, subresource: String = "", with handler: @escaping Handler) {
    handlers.withLock { $0["\(group)/\(resource)/\(subresource)"] = handler }
  }

  func handler(_ info: RequestInfo) -> Handler? {
    handlers.withLock { $0["\(info.apiGroup)/\(info.resource)/\(info.subresource)"] }
  }

  // MARK: - Requests

  /// Answers reads from the cache without waiting; nil means: call `handle`.
  func handleSync(_ request: ResourceRequest) -> HTTPResponse? {
    guard var response = answerSync(request) else { return nil }
    warnOfDeprecation(request.info, &response)
    return response
  }

  private func answerSync(_ request: ResourceRequest) -> HTTPResponse? {
    let info = request.info
    guard info.subresource.isEmpty, info.verb == "get" || info.verb == "list",
      let resource = resource(info.apiGroup, info.apiVersion, info.resource), resource.cache != nil,
      resource.custom?.conversion == nil
    else { return nil }
    do {
      var request = request
      try negotiate(&request, for: .resource)
      let response = info.verb == "get" ? try getNow(resource, request) : try listNow(resource, request)
      if let response { request.audit?.answered(response) }
      return response.map { encoded($0, as: request.form, request.headers) }
    } catch {
      return errorResponse(error, request.headers, query: request.query, accept: request.accept)
    }
  }

  /// Answers any request for a resource. Errors become Status answers.
  func handle(_ request: ResourceRequest) async -> HTTPResponse {
    var response: HTTPResponse
    var request = request
    do {
      // Streams and proxied answers are none of ours to encode.
      if Self.foreign.contains(request.info.subresource) { return try await route(request) }
      // A client that could not read the answer must learn so before anything is done.
      try negotiate(&request, for: request.info.verb == "watch" ? .watch : .resource)
      if let audit = request.audit { note(request, audit) }
      let plain = try await route(request)
      request.audit?.answered(plain)
      response = encoded(plain, as: request.form, request.headers)
    } catch {
      response = errorResponse(error, request.headers, query: request.query, accept: request.accept)
    }
    warnOfDeprecation(request.info, &response)
    return response
  }

  /// Keeps what was sent as JSON, whatever form it was sent in.
  private func note(_ request: ResourceRequest, _ audit: AuditRecord) {
    let info = request.info
    guard !request.body.isEmpty, let resource = resource(info.apiGroup, info.apiVersion, info.resource) else { return }
    let kind =
      info.verb.hasPrefix("delete")
      ? GroupVersionKind(group: "", version: "v1", kind: "DeleteOptions")
      : AdmissionView.kind(of: resource, info.subresource)
    audit.sent(info.verb == "patch" ? request.body : try? jsonBody(request, kind: kind))
  }

  private static let foreign: Set<String> = ["attach", "exec", "log", "portforward", "proxy"]

  private func negotiate(_ request: inout ResourceRequest, for place: ResponseForm.Place) throws {
    request.form = try ResponseForm.negotiate(request.accept, for: place)
    if ResponseForm.wantsPretty(request.query, request.headers) { request.form.pretty = true }
  }

  /// Kinds that upstream tells clients to leave.
  private func warnOfDeprecation(_ info: RequestInfo, _ response: inout HTTPResponse) {
    guard info.apiGroup.isEmpty else {
      if let text = custom.resource(
        GroupVersionResource(group: info.apiGroup, version: info.apiVersion, resource: info.resource))?.custom?
        .deprecation
      {
        addWarnings([text], to: &response)
      }
      return
    }
    switch info.resource {
    case "endpoints":
      addWarnings(
        ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"], to: &response)
    case "componentstatuses": addWarnings(["v1 ComponentStatus is deprecated in v1.19+"], to: &response)
    default: break
    }
  }

  private func route(_ request: ResourceRequest) async throws -> HTTPResponse {
    let info = request.info
    guard let resource = resource(info.apiGroup, info.apiVersion, info.resource) else {
      throw StatusError.pathNotFound
    }
    if let handler = handler(info) { return try await handler(request) }
    if !info.subresource.isEmpty {
      guard resource.has(subresource: info.subresource) else { throw StatusError.pathNotFound }
      if info.isMutating { return try await mutate(resource) { try await subresource(resource, request) } }
      let warnings = try await freshen(.latest, resource)
      var response = try await subresource(resource, request)
      addWarnings(warnings, to: &response)
      return response
    }
    if resource.info.resource == "bindings", info.verb == "create" {
      return try await mutate(resource) { try await bind(resource, request) }
    }
    if resource.info.resource == "componentstatuses" { return try await componentStatuses(resource, request) }
    guard resource.cache != nil, resource.info.verbs.contains(info.verb) else {
      throw StatusError.methodNotSupported(resource.groupResource, info.verb)
    }
    if resource.info.namespaced, info.namespace.isEmpty, !["list", "watch", "deletecollection"].contains(info.verb) {
      throw StatusError(
        code: 405, reason: "MethodNotAllowed",
        message: "the server does not allow this method on the requested resource", details: StatusError.Details())
    }
    switch info.verb {
    case "get": return try await get(resource, request)
    case "list": return try await list(resource, request)
    case "watch": return try await watch(resource, request)
    case "create": return try await mutate(resource) { try await create(resource, request) }
    case "update": return try await mutate(resource) { try await update(resource, request) }
    case "patch": return try await mutate(resource) { try await patch(resource, request) }
    case "delete": return try await mutate(resource) { try await delete(resource, request) }
    case "deletecollection":
      _ = try await freshen(.latest, resource)
      return try await deleteCollection(resource, request)
    default: throw StatusError.methodNotSupported(resource.groupResource, info.verb)
    }
  }
}

/// Which resources share a place in the store, and in which version they lie there.
struct StorageLayout {
  private var homes: [GroupResource: ResourceInfo] = [:]
  var indexes: [String: [StaticString]?] = [:]

  init(_ resources: [ResourceInfo]) {
    for info in resources where !info.storageVersion.isEmpty {
      let resource = GroupResource(group: info.group, resource: info.resource)
      let hasType = Kinds.type(for: Self.kind(info)) != nil
      if homes[resource] == nil || hasType { homes[resource] = info }
    }
    // Both groups' events are one collection, kept in the core form.
    if let core = homes[GroupResource(group: "", resource: "events")] {
      homes[GroupResource(group: "events.k8s.io", resource: "events")] = core
    }
    for (resource, home) in homes where resource.group == home.group {
      let prefix = Self.prefix(home)
      indexes[prefix] = .some(Traits.of(resource).index)
    }
  }

  func isStored(_ info: ResourceInfo) -> Bool {
    homes[GroupResource(group: info.group, resource: info.resource)] != nil
  }

  func home(_ info: ResourceInfo) -> (ResourceInfo, prefix: String) {
    let home = homes[GroupResource(group: info.group, resource: info.resource)] ?? info
    return (home, Self.prefix(home))
  }

  private static func prefix(_ info: ResourceInfo) -> String {
    info.group.isEmpty ? info.resource : "\(info.resource).\(info.group)"
  }

  private static func kind(_ info: ResourceInfo) -> GroupVersionKind {
    GroupVersionKind(group: info.group, version: info.version, kind: info.kind)
  }
}
