import API
import APIMachinery
import APIMeta
import Logging
import Storage

/// Makes what every cluster has from its first second, and repairs it at each start.
struct Bootstrap {
  let registry: Registry

  func run() async throws {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
      var namespace = Namespace()
      namespace.metadata.name = name
      try await ensure(namespace)
    }
    try await priorityClass(
      "system-node-critical", 2_000_001_000,
      "Used for system critical pods that must not be moved from their current node.")
    try await priorityClass(
      "system-cluster-critical", 2_000_000_000,
      "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.")
    try await addressRange()
    try await kubernetesService()
  }

  /// Creates an object unless it is there.
  private func ensure<T: APIObject>(_ object: T) async throws {
    guard let resource = registry.resource(T.self) else { return }
    let (namespace, name) = (object.metadata.namespace, object.metadata.name)
    if resource.cache?.object(resource.key(namespace, name)) != nil { return }
    let context = WriteContext(internal: resource, namespace: namespace, name: name)
    do { _ = try await registry.create(context, .typed(object)) } catch let error as StatusError
      where error.isAlreadyExists
    {
      // Another server was faster. What follows needs to see it.
      try await registry.catchUp()
    }
  }

  /// Creates an object or brings the present one to `change`.
  func ensure<T: APIObject>(_ object: T, change: @escaping @Sendable (inout T) -> Void) async throws {
    var wanted = object
    change(&wanted)
    try await ensure(wanted)
    guard let resource = registry.resource(T.self) else { return }
    let context = WriteContext(
      internal: resource, namespace: object.metadata.namespace, name: object.metadata.name)
    _ = try await registry.update(context, source: .patch) { cached in
      var live = try LiveObject(resource, cached: cached)
      live.with(T.self, change)
      live.metadata.resourceVersion = ""
      return live
    }
  }

  private func priorityClass(_ name: String, _ value: Int32, _ text: String) async throws {
    var item = PriorityClass()
    item.metadata.name = name
    item.value = value
    item.description = text
    try await ensure(item)
  }

  private func addressRange() async throws {
    var range = ServiceCIDR()
    range.metadata.name = "kubernetes"
    range.spec.cidrs = [registry.addresses.range.description]
    try await ensure(range)
  }

  private func kubernetesService() async throws {
    var service = Service()
    service.metadata.namespace = "default"
    service.metadata.name = "kubernetes"
    service.metadata.labels = ["component": "apiserver", "provider": "kubernetes"]
    service.spec.type = "ClusterIP"
    service.spec.clusterIP = registry.addresses.first
    service.spec.clusterIPs = [registry.addresses.first]
    service.spec.sessionAffinity = "None"
    service.spec.ports = [
      ServicePort {
        $0.name = "https"
        $0.port = 443
        $0.protocol = "TCP"
        $0.targetPort = .int(Int32(registry.configuration.securePort))
      }
    ]
    // Another server that starts at this moment takes the address for the same service: it may finish first. One that
    // died over it never will, so after a while what it left is removed.
    var held: (revision: String, since: ContinuousClock.Instant)?
    for _ in 0..<200 {
      do { return try await ensure(service) } catch let error as StatusError where error.code == 422 {
        try await registry.catchUp()
        if registry.object(Service.self, namespace: "default", name: "kubernetes") != nil { return }
        if let claim = registry.object(IPAddress.self, name: registry.addresses.first),
          let resource = registry.resource(IPAddress.self)
        {
          guard Registry.service(of: claim) == ServiceClaims.Owner(service) else { throw error }
          let revision = claim.metadata.resourceVersion
          if held?.revision != revision { held = (revision, .now) }
          if let since = held?.since, ContinuousClock.now - since > registry.configuration.bootstrapPatience {
            _ = try await registry.storage.delete(
              registry.storageKey(resource, claim.metadata.name), if: .revision(Revision(revision) ?? 0))
            continue
          }
        }
        try await Task.sleep(for: .milliseconds(50))
      }
    }
    try await ensure(service)
  }
}
