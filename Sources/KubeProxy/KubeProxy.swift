public import API
public import Client
public import Logging
import NFTables
import Synchronization

/// The service proxy in nftables mode: follows Services and EndpointSlices and keeps the kernel's maps equal to them.
///
/// Rules stay in the kernel when the proxy stops, so that traffic goes on while it is restarted.
public final class KubeProxy: Sendable {
  /// What upstream's KubeProxyConfiguration offers and this proxy needs.
  public struct Configuration: Sendable {
    /// This node's name, for the `Local` traffic policies.
    public var nodeName: String
    /// Pod addresses; service traffic from elsewhere is masqueraded. Empty: never.
    public var clusterCIDR: String
    /// The shortest time between two changes of the kernel's rules.
    public var minSyncPeriod: Swift.Duration

    public init(nodeName: String, clusterCIDR: String, minSyncPeriod: Swift.Duration = .milliseconds(20)) {
      self.nodeName = nodeName
      self.clusterCIDR = clusterCIDR
      self.minSyncPeriod = minSyncPeriod
    }
  }

  private let services: Informer<Service>
  private let slices: Informer<EndpointSlice>
  private let configuration: Configuration
  private let logger: Logger
  private let dirty = Mutex<Set<ObjectKey>>([])
  private let wakeUp: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation
  private static let byService = "kube-proxy-service"

  public init(client: APIClient, informers: InformerFactory, configuration: Configuration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
    services = informers.informer(Service.self)
    slices = informers.informer(EndpointSlice.self)
    (wakeUp, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    slices.addIndex(Self.byService) { slice in Self.owner(of: slice).map { ["\($0)"] } ?? [] }
    services.addHandler { [self] event in
      switch event {
      case .added(let service), .updated(_, let service), .deleted(let service): mark(service.key)
      }
    }
    slices.addHandler { [self] event in
      switch event {
      case .added(let slice), .updated(_, let slice), .deleted(let slice):
        if let key = Self.owner(of: slice) { mark(key) }
      }
    }
  }

  /// Programs the kernel until the task is cancelled. Throws when nftables cannot be used at all.
  public func run() async throws {
    Sysctl.prepareForServices(logger: logger)
    try await services.waitForSync()
    try await slices.waitForSync()
    let kernel = try NFTables()
    var ruleset = Ruleset()
    var rebuild = true
    for await _ in wakeUp {
      var changed = dirty.withLock { keys in
        defer { keys = [] }
        return keys
      }
      var commands: [String] = []
      if rebuild {
        commands = ruleset.initialCommands(clusterCIDR: configuration.clusterCIDR)
        changed = Set(services.lister.list().map(\.key))
      }
      for key in changed.sorted(by: { "\($0)" < "\($1)" }) { commands += update(key, in: &ruleset) }
      if !commands.isEmpty {
        do {
          try kernel.run(commands.joined(separator: "\n") + "\n")
          rebuild = false
        } catch {
          // What the kernel holds is unknown to us now; the next round states everything anew.
          logger.error("service rules were refused, rebuilding", metadata: ["error": "\(error)"])
          rebuild = true
          try await Task.sleep(for: .seconds(1))
          wake.yield()
        }
      }
      try await Task.sleep(for: configuration.minSyncPeriod)
    }
  }

  private func update(_ key: ObjectKey, in ruleset: inout Ruleset) -> [String] {
    guard let service = services.lister.get(namespace: key.namespace, name: key.name) else {
      return ruleset.update(service: "\(key)", ports: [], clusterIPs: [])
    }
    let ports = BackendSelection.ports(
      of: service, slices: slices.lister.byIndex(Self.byService, "\(key)"), node: configuration.nodeName)
    return ruleset.update(
      service: "\(key)", ports: ports, clusterIPs: ports.isEmpty ? [] : BackendSelection.addresses(of: service))
  }

  private func mark(_ key: ObjectKey) {
    _ = dirty.withLock { $0.insert(key) }
    wake.yield()
  }

  private static func owner(of slice: EndpointSlice) -> ObjectKey? {
    slice.metadata.labels["kubernetes.io/service-name"].map {
      ObjectKey(namespace: slice.metadata.namespace, name: $0)
    }
  }
}
