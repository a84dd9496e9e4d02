public import API
import APIMachinery
public import Client
import Glibc
import HTTP
import Linux
public import Logging
import NFTables
import Synchronization

/// The service proxy in nftables mode: follows Services and EndpointSlices and keeps the kernel's maps equal to them.
///
/// Rules stay in the kernel when the proxy stops, so that traffic goes on while it is restarted.
public final class KubeProxy: Sendable {
  /// What upstream's KubeProxyConfiguration offers and this proxy needs.
  public struct Configuration: Sendable {
    /// This node's name, for the `Local` traffic policies and for hints.
    public var nodeName: String
    /// Pod addresses; service traffic from elsewhere is masqueraded. Empty: never.
    public var clusterCIDR: String
    /// The shortest time between two changes of the kernel's rules.
    public var minSyncPeriod: Swift.Duration
    /// Where `/healthz` and `/livez` are served; empty: nowhere.
    public var healthzBindAddress = "0.0.0.0:10256"
    /// Where `/metrics` and `/proxyMode` are served; empty: nowhere.
    public var metricsBindAddress = "127.0.0.1:10249"

    public init(nodeName: String, clusterCIDR: String, minSyncPeriod: Swift.Duration = .milliseconds(20)) {
      self.nodeName = nodeName
      self.clusterCIDR = clusterCIDR
      self.minSyncPeriod = minSyncPeriod
    }
  }

  private let services: Informer<Service>
  private let slices: Informer<EndpointSlice>
  private let nodes: Informer<Node>
  private let configuration: Configuration
  private let logger: Logger
  private let dirty = Mutex<Set<ObjectKey>>([])
  private let zone = Mutex("")
  private let state = ProxyState {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }
  private let wakeUp: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation
  private static let byService = "kube-proxy-service"
  private static let toBeDeleted = "ToBeDeletedByClusterAutoscaler"

  public init(client: APIClient, informers: InformerFactory, configuration: Configuration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
    services = informers.informer(Service.self)
    slices = informers.informer(EndpointSlice.self)
    nodes = informers.informer(Node.self)
    (wakeUp, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    slices.addIndex(Self.byService) { slice in Self.owner(of: slice).map { ["\($0)"] } ?? [] }
    services.addHandler { [self] event in
      state.change { $0.serviceChanges += 1 }
      mark(event.object.key)
    }
    slices.addHandler { [self] event in
      state.change { $0.endpointChanges += 1 }
      if let key = Self.owner(of: event.object) { mark(key) }
    }
    nodes.addHandler { [self] event in
      guard event.object.metadata.name == configuration.nodeName else { return }
      noteNode(event)
    }
  }

  /// Programs the kernel until the task is cancelled. Throws when nftables cannot be used at all.
  public func run() async throws {
    Sysctl.prepareForServices(logger: logger)
    try await services.waitForSync()
    try await slices.waitForSync()
    let servers = HealthServers(state: state, logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { group in
      if !configuration.healthzBindAddress.isEmpty {
        group.addTask { [self] in await servers.serve(HealthHandler(state: state), on: configuration.healthzBindAddress)
        }
      }
      if !configuration.metricsBindAddress.isEmpty {
        group.addTask { [self] in
          await servers.serve(MetricsHandler(state: state), on: configuration.metricsBindAddress)
        }
      }
      group.addTask { [wake] in
        // The kernel's table can be flushed by others.
        while true {
          try await Task.sleep(for: .seconds(30))
          wake.yield()
        }
      }
      group.addTask { [self] in
        try await program(servers)
        throw CancellationError()
      }
      defer { group.cancelAll() }
      do {
        try await group.waitForAll()
      } catch {
        await servers.close()
        throw error
      }
    }
  }

  /// The loop that owns the kernel's table.
  private func program(_ servers: HealthServers) async throws {
    let kernel = try NFTables()
    let tracking = try? ConnectionTracking()
    var ruleset = Ruleset()
    var known: [ObjectKey: [ServicePort]] = [:]
    var healthPorts: [ObjectKey: Int32] = [:]
    var rebuild = true
    for await _ in wakeUp {
      var changed = dirty.withLock { keys in
        defer { keys = [] }
        return keys
      }
      if changed.isEmpty, !rebuild, (try? kernel.run("list chain ip \(Ruleset.table) services")) == nil {
        logger.notice("somebody removed the service rules; they are made again")
        rebuild = true
      }
      let start = state.now
      var commands: [String] = []
      if rebuild {
        commands = ruleset.initialCommands(clusterCIDR: configuration.clusterCIDR)
        changed = Set(services.lister.list().map(\.key)).union(known.keys).union(changed)
      }
      if changed.isEmpty, commands.isEmpty { continue }
      var stale = StaleFlows()
      let place = NodePlace(name: configuration.nodeName, zone: zone.withLock { $0 })
      for key in changed.sorted(by: { ($0.namespace, $0.name) < ($1.namespace, $1.name) }) {
        let service = services.lister.get(namespace: key.namespace, name: key.name)
        let own = service.map { _ in slices.lister.byIndex(Self.byService, "\(key)") } ?? []
        let ports = service.map { BackendSelection.ports(of: $0, slices: own, place: place) } ?? []
        let addresses = ports.isEmpty ? [] : service.map(BackendSelection.addresses) ?? []
        commands += ruleset.update(service: "\(key)", ports: ports, clusterIPs: addresses)
        if known[key] != ports || rebuild { stale.add(ports, before: known[key] ?? []) }
        known[key] = ports.isEmpty ? nil : ports
        let healthPort = service.map { $0.spec.healthCheckNodePort } ?? 0
        healthPorts[key] = healthPort == 0 ? nil : healthPort
        let local = healthPort == 0 ? nil : BackendSelection.readyLocalEndpoints(of: own, place: place)
        state.change { $0.localEndpoints[key] = local }
      }
      do {
        if !commands.isEmpty { try kernel.run(commands.joined(separator: "\n") + "\n") }
        state.synced(seconds: state.now - start, isFull: rebuild)
        rebuild = false
        forget(stale, tracking)
      } catch {
        // What the kernel holds is unknown to us now; the next round states everything anew.
        logger.error("service rules were refused, rebuilding", metadata: ["error": "\(error)"])
        state.change { $0.failures += 1 }
        rebuild = true
        try await Task.sleep(for: .seconds(1))
        wake.yield()
      }
      await servers.want(healthPorts)
      try await Task.sleep(for: configuration.minSyncPeriod)
    }
  }

  private func forget(_ stale: StaleFlows, _ tracking: ConnectionTracking?) {
    guard !stale.isEmpty, let tracking else { return }
    do {
      let flows = stale.stale(among: try tracking.udpFlows())
      for flow in flows { try tracking.forget(flow) }
      if !flows.isEmpty { state.change { $0.forgottenFlows += UInt64(flows.count) } }
    } catch {
      logger.warning("stale UDP flows could not be forgotten", metadata: ["error": "\(error)"])
    }
  }

  private func noteNode(_ event: InformerEvent<Node>) {
    let node = event.object
    var isGone = node.metadata.deletionTimestamp != nil
    if case .deleted = event { isGone = true }
    let isEligible = !isGone && !node.spec.taints.contains { $0.key == Self.toBeDeleted }
    state.change { $0.isNodeEligible = isEligible }
    let now = node.metadata.labels[NodePlace.zoneLabel] ?? ""
    let moved = zone.withLock { zone in
      defer { zone = now }
      return zone != now
    }
    // Hints may lead elsewhere now.
    if moved { for service in services.lister.list() { mark(service.key) } }
  }

  private func mark(_ key: ObjectKey) {
    _ = dirty.withLock { $0.insert(key) }
    state.queued()
    wake.yield()
  }

  private static func owner(of slice: EndpointSlice) -> ObjectKey? {
    slice.metadata.labels["kubernetes.io/service-name"].map {
      ObjectKey(namespace: slice.metadata.namespace, name: $0)
    }
  }
}
