import API
import APIMachinery
import APIMeta
import APISchema
import HTTP
import Logging
import Synchronization

/// Passes requests for the group versions that APIServices name on to their servers, and keeps watch over these
/// (upstream's kube-aggregator). Group versions of this server have APIServices too, which say that they are local.
final class Aggregator: Sendable {
  private let registry: Registry
  private let discovery: LiveDiscovery
  private let openAPI: OpenAPIDocuments
  private let certificate: String?
  private let key: String?
  /// Group versions of this server's own that give way to an extension server.
  private let local: [GroupVersion: LiveDiscovery.Addition]
  private let logger: Logger
  private let servers = Mutex<[GroupVersion: ExtensionServer]>([:])
  /// What the last look at the servers came to.
  private let isWell = Mutex(true)
  private let changes: AsyncStream<Void>
  private let changed: AsyncStream<Void>.Continuation
  /// Seconds between looks at servers that are well.
  private static let period = 30

  init(
    registry: Registry, discovery: LiveDiscovery, openAPI: OpenAPIDocuments, certificate: String?, key: String?,
    local: [GroupVersion: LiveDiscovery.Addition], logger: Logger
  ) {
    self.registry = registry
    self.discovery = discovery
    self.openAPI = openAPI
    self.certificate = certificate
    self.key = key
    self.local = local
    self.logger = logger
    (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  // MARK: Who serves what

  func follow() {
    publish()
    registry.subscribe(
      APIService.self, initial: { $0.forEach { self.set($0) } },
      handler: { change in
        switch change {
        case .added(let new): self.set(new)
        case .updated(let old, let new): if old?.spec != new.spec { self.set(new) }
        case .deleted(let old): self.remove(old)
        }
      })
  }

  private func set(_ service: APIService) {
    let version = GroupVersion(group: service.spec.group, version: service.spec.version)
    guard service.spec.service != nil, !isLocal(version) else { return remove(service) }
    let server = ExtensionServer(service, certificate: certificate, key: key, logger: logger)
    let old = servers.withLock { servers in
      defer { servers[version] = server }
      return servers[version]
    }
    if let old { Task { await old.shutdown() } }
    publish()
    changed.yield()
  }

  private func remove(_ service: APIService) {
    let version = GroupVersion(group: service.spec.group, version: service.spec.version)
    guard let old = servers.withLock({ $0.removeValue(forKey: version) }) else { return }
    Task { await old.shutdown() }
    publish()
  }

  /// What this server has of its own is nobody else's to serve.
  private func isLocal(_ version: GroupVersion) -> Bool {
    builtInResources.contains { $0.group == version.group && $0.version == version.version }
      || registry.custom.all.contains { $0.info.group == version.group && $0.info.version == version.version }
  }

  /// The server that answers a path; nil where this one does.
  func server(for path: String) -> ExtensionServer? {
    servers.withLock { servers in
      if servers.isEmpty { return nil }
      let parts = path.split(separator: "/", maxSplits: 4, omittingEmptySubsequences: true)
      if parts.count >= 3, parts[0] == "apis" {
        return servers[GroupVersion(group: String(parts[1]), version: String(parts[2]))]
      }
      if parts.count == 5, parts[0] == "openapi", parts[1] == "v3", parts[2] == "apis" {
        return servers[GroupVersion(group: String(parts[3]), version: String(parts[4]))]
      }
      return nil
    }
  }

  /// Where a request goes. Throws where the server cannot be used.
  func target(_ server: ExtensionServer, _ head: HTTPRequestHead) throws -> APIServer.ProxyTarget {
    try server.target(head.rawTarget, registry)
  }

  /// Tells discovery and OpenAPI what the servers have.
  private func publish() {
    let all = servers.withLock { Array($0.values) }.sorted { $0.name < $1.name }
    for (version, addition) in local {
      discovery.set(version.description, all.contains { $0.groupVersion == version } ? nil : addition)
    }
    if all.isEmpty {
      discovery.set("extension servers", nil)
      openAPI.setRemote([:])
      return
    }
    var addition = LiveDiscovery.Addition()
    var groups: [String: [ExtensionServer]] = [:]
    for server in all { groups[server.spec.group, default: []].append(server) }
    let ordered = groups.sorted {
      let (a, b) = ($0.value.map(\.spec.groupPriorityMinimum).max(), $1.value.map(\.spec.groupPriorityMinimum).max())
      return a == b ? $0.key < $1.key : (a ?? 0) > (b ?? 0)
    }
    var documents: [String: String] = [:]
    for (group, members) in ordered {
      let versions = members.sorted { a, b in
        a.spec.versionPriority == b.spec.versionPriority
          ? VersionPriority(a.spec.version) > VersionPriority(b.spec.version)
          : a.spec.versionPriority > b.spec.versionPriority
      }
      addition.groups.append(
        GroupInfo(name: group, preferred: versions[0].spec.version, versions: versions.map(\.spec.version)))
      for server in versions {
        let state = server.current
        addition.resources += state.resources
        if state.isAvailable != true { addition.stale.insert(server.groupVersion.description) }
        if let hash = state.openAPI { documents["apis/\(group)/\(server.spec.version)"] = hash }
      }
    }
    discovery.set("extension servers", addition)
    openAPI.setRemote(documents)
  }

  // MARK: Watching over them

  /// Asks the servers again and again, and makes the APIServices of what is served here, until cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        var known: Set<GroupVersion> = []
        var ticks = 0
        while !Task.isCancelled {
          await self.keepLocal(&known)
          try? await Task.sleep(for: .seconds(1))
          ticks += 1
          // Changes are looked at at once; besides them, what is well now and then, and what is not all the time.
          if self.hasServers, ticks >= Self.period || !self.isWell.withLock({ $0 }) {
            ticks = 0
            self.changed.yield()
          }
        }
        self.changed.finish()
      }
      group.addTask {
        for await _ in self.changes {
          let result = await self.checkAll()
          self.isWell.withLock { $0 = result }
        }
      }
    }
    for server in servers.withLock({ Array($0.values) }) { await server.shutdown() }
  }

  private var hasServers: Bool { servers.withLock { !$0.isEmpty } }

  private func checkAll() async -> Bool {
    var isWell = true
    for server in servers.withLock({ Array($0.values) }) {
      do {
        try await server.check(registry)
        await report(server, "True", "Passed", "all checks passed")
      } catch let error as ExtensionServer.Unavailable {
        isWell = false
        await report(server, "False", error.reason, error.message)
      } catch {
        isWell = false
        await report(server, "False", "FailedDiscoveryCheck", "\(error)")
      }
    }
    publish()
    return isWell
  }

  private func report(_ server: ExtensionServer, _ status: String, _ reason: String, _ message: String) async {
    await setAvailable(server.name, status, reason, message)
  }

  private func setAvailable(_ name: String, _ status: String, _ reason: String, _ message: String) async {
    guard let resource = registry.resource(APIService.self) else { return }
    let condition = APIServiceCondition {
      $0.type = "Available"
      $0.status = status
      $0.reason = reason
      $0.message = message
    }
    if let present = registry.object(APIService.self, name: name)?.status.conditions.condition("Available"),
      present.status == status, present.reason == reason, present.message == message
    {
      return
    }
    let context = WriteContext(internal: resource, namespace: "", name: name, subresource: "status")
    do {
      _ = try await registry.update(context, source: .patch) { cached in
        let live = try LiveObject(resource, cached: cached)
        guard var service = live.as(APIService.self) else { return live }
        _ = service.status.conditions.set(condition, now: registry.now())
        service.metadata.resourceVersion = ""
        return .typed(service)
      }
    } catch { logger.debug("APIService status not written", metadata: ["name": "\(name)", "error": "\(error)"]) }
  }

  // MARK: What is served here

  private static let managedLabel = "kube-aggregator.kubernetes.io/automanaged"

  /// Upstream's order of groups; each next one is a hundred lower.
  private static let priorities: [String: Int32] = [
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500,
    "node.k8s.io": 16300, "discovery.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100,
    "resource.k8s.io": 15900, "storagemigration.k8s.io": 15800,
  ]

  private static let builtIn = Set(
    builtInResources.lazy.filter { $0.group != "apiregistration.k8s.io" }
      .map { GroupVersion(group: $0.group, version: $0.version) })

  private func keepLocal(_ known: inout Set<GroupVersion>) async {
    let custom = Set(
      registry.custom.all.lazy.map { GroupVersion(group: $0.info.group, version: $0.info.version) })
    let wanted = Self.builtIn.union(custom).union(local.keys)
    if wanted == known { return }
    for version in wanted.subtracting(known).sorted(by: { $0.description < $1.description }) {
      if Self.builtIn.contains(version) {
        let priority = Self.priorities[version.group] ?? 15000
        await make(
          Self.local(
            version, priority: priority, versionPriority: Self.priority(version.version), "onstart"))
      } else if local[version] != nil {
        await make(Self.local(version, priority: 100, versionPriority: 100, "onstart"))
      } else {
        await make(Self.local(version, priority: 1000, versionPriority: 100, "true"))
      }
    }
    for service in registry.list(APIService.self) where service.metadata.labels[Self.managedLabel] == "true" {
      let version = GroupVersion(group: service.spec.group, version: service.spec.version)
      if !wanted.contains(version) { await remove(service.metadata.name) }
    }
    known = wanted
  }

  private static func priority(_ version: String) -> Int32 {
    if version.contains("alpha") { return 1 }
    if version.contains("beta") { return 9 }
    return version == "v1" ? 15 : 30
  }

  private static func name(_ version: GroupVersion) -> String { "\(version.version).\(version.group)" }

  private static func local(
    _ version: GroupVersion, priority: Int32, versionPriority: Int32, _ mark: String
  ) -> APIService {
    APIService {
      $0.metadata.name = name(version)
      $0.metadata.labels = [managedLabel: mark]
      $0.spec.group = version.group
      $0.spec.version = version.version
      $0.spec.groupPriorityMinimum = priority
      $0.spec.versionPriority = versionPriority
    }
  }

  private func make(_ service: APIService) async {
    guard let resource = registry.resource(APIService.self) else { return }
    if registry.object(APIService.self, name: service.metadata.name) == nil {
      let context = WriteContext(internal: resource, namespace: "", name: service.metadata.name)
      do { _ = try await registry.create(context, .typed(service)) } catch let error as StatusError
        where error.isAlreadyExists
      {
        // Another server of the cluster was faster.
      } catch {
        logger.debug(
          "APIService not made", metadata: ["name": "\(service.metadata.name)", "error": "\(error)"])
        return
      }
    }
    if registry.object(APIService.self, name: service.metadata.name)?.spec.service != nil { return }
    await setAvailable(
      service.metadata.name, "True", "Local", "Local APIServices are always available")
  }

  private func remove(_ name: String) async {
    guard let resource = registry.resource(APIService.self) else { return }
    let context = WriteContext(internal: resource, namespace: "", name: name)
    _ = try? await registry.delete(context, DeleteRequest())
  }
}
