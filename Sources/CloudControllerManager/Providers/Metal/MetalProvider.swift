public import API
import APIMachinery
public import Client
public import Logging
import Synchronization

/// A cluster on machines of one's own: nodes are what they say they are, and load balancers are the nodes themselves,
/// or addresses of a pool that the nodes answer for (`AddressAnnouncer`).
public final class MetalProvider: CloudProvider {
  /// The class of Services that ask for this provider by name.
  public static let loadBalancerClass = "apus.dev/metal"

  public let name = "metal"
  public let hasLoadBalancers = true
  public let hasRoutes = false
  public let loadBalancerClasses: Set<String> = [MetalProvider.loadBalancerClass]

  private let pool: AddressPool?
  private let client: APIClient
  private let services: Informer<Service>
  private let nodes: Informer<Node>
  private let slices: Informer<EndpointSlice>
  private let logger: Logger
  private let queue = WorkQueue<ObjectKey>("metal_load_balancer", baseDelay: .milliseconds(100), maxDelay: .seconds(30))
  /// Addresses given out since the start; what was before stands in the Services.
  private let claims = Mutex<[ObjectKey: IPv4]>([:])

  /// Makes a provider; without a pool, load balancers have the addresses of nodes.
  public init(pool: AddressPool?, client: APIClient, informers: InformerFactory, logger: Logger) {
    self.pool = pool
    self.client = client
    self.logger = logger
    services = informers.informer(Service.self)
    nodes = informers.informer(Node.self)
    slices = informers.informer(EndpointSlice.self)
    slices.addIndex(ServingNodes.index, keys: ServingNodes.indexKeys)
    let lister = services.lister
    let all: @Sendable (Bool) -> [ObjectKey] = { onlyPending in
      lister.list().filter {
        $0.spec.type == "LoadBalancer" && (!onlyPending || $0.status.loadBalancer.ingress.isEmpty)
      }.map(\.key)
    }
    services.addHandler { [queue] event in
      queue.add(event.object.key)
      var isFreed = false
      switch event {
      case .added: break
      case .updated(let old, let new): isFreed = old.status.loadBalancer.ingress != new.status.loadBalancer.ingress
      case .deleted: isFreed = true
      }
      if isFreed, pool != nil { for key in all(true) { queue.add(key) } }
    }
    nodes.addHandler { [queue] event in
      if case .updated(let old, let new) = event, !ServingNodes.concerns(from: old, to: new) { return }
      for key in all(false) { queue.add(key) }
    }
    slices.addHandler { [queue] event in
      guard let key = ServingNodes.owner(event.object), let service = lister.get(key),
        service.spec.type == "LoadBalancer"
      else { return }
      queue.add(key)
    }
  }

  /// Follows the nodes: what a load balancer shows changes with those that can serve.
  public func run(client: APIClient, informers: InformerFactory) async throws {
    try await waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await follow($0) }
  }

  private func waitForSync() async throws {
    try await services.waitForSync()
    try await nodes.waitForSync()
    try await slices.waitForSync()
  }

  func follow(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let service = services.lister.get(key) else {
      release(key)
      return .done
    }
    // Only once the service controller has taken it on, and no longer when it lets it go.
    guard ServiceNeeds.wantsLoadBalancer(service, classes: loadBalancerClasses),
      service.metadata.finalizers.contains(ServiceNeeds.finalizer), service.metadata.deletionTimestamp == nil
    else {
      if service.spec.type != "LoadBalancer", service.status.conditions.condition(SpeakerElection.condition) != nil {
        try await client.patchStatus(of: service, LoadBalancerStatus(), removing: [SpeakerElection.condition])
      }
      return .done
    }
    guard pool != nil else {
      try await client.patchStatus(of: service, try status(service), removing: [SpeakerElection.condition])
      return .done
    }
    do {
      let status = try status(service)
      try await client.patchStatus(
        of: service, status,
        conditions: condition(
          service, "True", "Allocated", "\(status.ingress.map(\.ip).joined(separator: ", ")) from the pool"))
    } catch let error as PoolAllocation.Refusal {
      release(key)
      try await client.patchStatus(
        of: service, LoadBalancerStatus(), conditions: condition(service, "False", error.reason, error.description))
    }
    return .done
  }

  /// The condition if it is not there like that already.
  private func condition(_ service: Service, _ status: String, _ reason: String, _ message: String) -> [Condition] {
    var conditions = service.status.conditions
    let wanted = Condition {
      $0.type = SpeakerElection.condition
      $0.status = status
      $0.reason = reason
      $0.message = message
      $0.observedGeneration = service.metadata.generation
    }
    guard conditions.set(wanted, now: .now) else { return [] }
    return conditions.filter { $0.type == SpeakerElection.condition }
  }

  /// What the Service's load balancer is to be now.
  private func status(_ service: Service) throws -> LoadBalancerStatus {
    guard let pool else {
      let serving = ServingNodes.of(
        service, nodes: nodes.lister.list(),
        slices: slices.lister.byIndex(ServingNodes.index, service.key.description))
      return ServingNodes.status(service, serving)
    }
    let all = services.lister.list().filter { $0.spec.type == "LoadBalancer" || ServiceNeeds.needsCleanup($0) }
    let address = try claims.withLock { claims in
      let address = try PoolAllocation.address(for: service, among: all, pool: pool, claimed: claims)
      claims[service.key] = address
      return address
    }
    return ServingNodes.status(of: [address.description])
  }

  private func release(_ key: ObjectKey) { claims.withLock { $0[key] = nil } }

  // MARK: Machines

  /// A machine is there as long as its node is.
  public func instanceExists(_ node: Node) async throws -> Bool { true }

  /// Nobody can tell a machine that is off from one that is cut off.
  public func instanceShutdown(_ node: Node) async throws -> Bool { false }

  public func instanceMetadata(_ node: Node) async throws -> InstanceMetadata {
    InstanceMetadata(providerID: "metal://\(node.metadata.name)", addresses: node.status.addresses)
  }

  // MARK: Load balancers

  public func loadBalancer(cluster: String, _ service: Service) async throws -> LoadBalancerStatus? {
    let isClaimed = claims.withLock { $0[service.key] != nil }
    return isClaimed || !service.status.loadBalancer.ingress.isEmpty ? service.status.loadBalancer : nil
  }

  public func ensureLoadBalancer(
    cluster: String, _ service: Service, nodes: [Node]
  ) async throws -> LoadBalancerStatus {
    try await waitForSync()
    return try status(service)
  }

  /// `run` follows the nodes, readiness included.
  public func updateLoadBalancer(cluster: String, _ service: Service, nodes: [Node]) async throws {}

  public func deleteLoadBalancer(cluster: String, _ service: Service) async throws { release(service.key) }

  // MARK: Routes

  public func routes(cluster: String) async throws -> [CloudRoute] { [] }
  public func createRoute(cluster: String, _ route: CloudRoute, to node: Node) async throws {
    throw CloudProviderError.implementedElsewhere
  }
  public func deleteRoute(cluster: String, _ route: CloudRoute) async throws {
    throw CloudProviderError.implementedElsewhere
  }
}
