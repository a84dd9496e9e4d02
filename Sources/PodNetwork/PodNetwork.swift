public import API
public import Client
public import Linux
public import Logging
import NFTables
import Synchronization

/// The network between the pods of all nodes, as one node has it: routes to the other nodes' pods, the overlay for those
/// that share no link with this one, masquerade for what leaves the cluster.
///
/// It follows the Nodes, writes this node's end of the overlay into its own Node's annotations, and repairs what somebody
/// else changed. Where the node's pods are plugged into somebody else's network it does nothing.
public final class PodNetwork: Sendable {
  /// What it is told.
  public struct Configuration: Sendable {
    /// This node's name.
    public var nodeName: String
    /// The address by which the other nodes reach this one.
    public var nodeAddress: String
    /// The addresses of all pods, by comma for each family.
    public var clusterCIDR: String
    /// Whether a plugin serves pods' host ports; else this room does.
    public var pluginServesHostPorts: Bool
    /// How often everything is looked at without a reason.
    public var resyncPeriod: Swift.Duration

    public init(
      nodeName: String, nodeAddress: String, clusterCIDR: String, pluginServesHostPorts: Bool = false,
      resyncPeriod: Swift.Duration = .seconds(30)
    ) {
      self.nodeName = nodeName
      self.nodeAddress = nodeAddress
      self.clusterCIDR = clusterCIDR
      self.pluginServesHostPorts = pluginServesHostPorts
      self.resyncPeriod = resyncPeriod
    }
  }

  /// Plugs pods of the node into the bridge for these ranges; false when another network has them.
  public typealias Plug = @Sendable (_ podCIDRs: [String], _ mtu: Int) async throws -> Bool

  private let client: APIClient
  private let nodes: Informer<Node>
  private let pods: Informer<Pod>
  private let configuration: Configuration
  private let plug: Plug
  private let logger: Logger
  private let wakeUp: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  public init(
    client: APIClient, informers: InformerFactory, configuration: Configuration, plug: @escaping Plug, logger: Logger
  ) {
    self.client = client
    self.configuration = configuration
    self.plug = plug
    self.logger = logger
    (wakeUp, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    nodes = informers.informer(Node.self)
    pods = informers.informer(Pod.self, fieldSelector: "spec.nodeName=\(configuration.nodeName)")
    nodes.addHandler { [wake] event in
      // Heartbeats change nothing here.
      if case .updated(let old, let new) = event, NetworkNode(old) == NetworkNode(new) { return }
      wake.yield()
    }
    if !configuration.pluginServesHostPorts {
      pods.addHandler { [wake] event in
        if HostPorts.has(event.object) { wake.yield() }
      }
    }
  }

  /// Keeps the kernel's network equal to the cluster until the task is cancelled. Routes stay: pods go on.
  public func run() async throws {
    guard let address = NetworkAddress(configuration.nodeAddress) else {
      throw SystemError("pod network: \(configuration.nodeAddress) is no address", number: 22)
    }
    try await nodes.waitForSync()
    KernelSetting.set("net/ipv4/ip_forward", "1")
    let events = try NetworkEvents()
    defer { events.stop() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [wake] in
        for await _ in events.events { wake.yield() }
      }
      group.addTask { [wake, configuration] in
        while true {
          try await Task.sleep(for: configuration.resyncPeriod)
          wake.yield()
        }
      }
      group.addTask { try await self.reconcileWhenWoken(address) }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private func reconcileWhenWoken(_ address: NetworkAddress) async throws {
    let kernel = try KernelNetwork()
    let filter = try NFTables()
    var state = State()
    wake.yield()
    for await _ in wakeUp {
      do {
        try await reconcile(address, kernel, filter, &state)
      } catch is CancellationError {
        return
      } catch {
        logger.error("the pod network could not be set", metadata: ["error": "\(error)"])
        try await Task.sleep(for: .seconds(1))
        wake.yield()
      }
      // A burst of events is one look.
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  /// What the last round left, so that nothing is said or written twice.
  private struct State {
    var rules: NetworkRules?
    var plugged: (ranges: [IPPrefix], mtu: Int)?
    var isForeign = false
    var unreachable: [String] = []
  }

  private func reconcile(
    _ address: NetworkAddress, _ kernel: KernelNetwork, _ filter: NFTables, _ state: inout State
  ) async throws {
    let all = nodes.lister.list()
    guard let own = all.first(where: { $0.metadata.name == configuration.nodeName }) else { return }
    let plan = NetworkPlan.decide(
      node: configuration.nodeName, address: address, nodes: all.map(NetworkNode.init),
      links: try kernel.socket.links(), addresses: try kernel.socket.addresses())
    guard !plan.podRanges.isEmpty else { return }
    if state.plugged.map({ $0 != (plan.podRanges, plan.podMTU) }) ?? true || state.isForeign {
      let wasForeign = state.isForeign
      state.isForeign = try await !plug(plan.podRanges.map(\.description), plan.podMTU)
      state.plugged = (plan.podRanges, plan.podMTU)
      if state.isForeign, !wasForeign {
        logger.notice("another network has this node's pods; nothing is done to it")
        try kernel.remove()
        _ = try? filter.run(NetworkRules.removal)
        state.rules = nil
      } else if !state.isForeign {
        logger.info("pods are plugged in", metadata: ["podCIDRs": "\(plan.podRanges)", "mtu": "\(plan.podMTU)"])
      }
    }
    if state.isForeign { return }
    try await publish(own, address)
    let changes = try kernel.apply(plan)
    if !changes.isEmpty { logger.info("pod network changed", metadata: ["changes": "\(changes)"]) }
    if plan.unreachable != state.unreachable {
      state.unreachable = plan.unreachable
      if !plan.unreachable.isEmpty {
        logger.notice("nodes have not told their end of the overlay yet", metadata: ["nodes": "\(plan.unreachable)"])
      }
    }
    try apply(rules(for: plan), filter, &state)
  }

  private func rules(for plan: NetworkPlan) -> NetworkRules {
    NetworkRules(
      podRanges: plan.podRanges,
      clusterRanges: configuration.clusterCIDR.split(separator: ",").compactMap { IPPrefix(String($0)) },
      hostPorts: configuration.pluginServesHostPorts ? [] : pods.lister.list().flatMap(HostPorts.of))
  }

  private func apply(_ rules: NetworkRules, _ filter: NFTables, _ state: inout State) throws {
    // Somebody may have flushed everything: an empty table of our name tells nothing, one that is gone does.
    let isThere = (try? filter.run("list chain ip \(NetworkRules.table) postrouting"))?.contains("masquerade") ?? false
    guard rules != state.rules || !isThere else { return }
    try filter.run(rules.commands)
    state.rules = rules
  }

  /// Tells the other nodes how to reach this one through the overlay.
  private func publish(_ own: Node, _ address: NetworkAddress) async throws {
    let wanted = [
      NetworkNode.Annotation.mac: NetworkNode.mac(ofNode: configuration.nodeName).description,
      NetworkNode.Annotation.endpoint: address.description,
    ]
    guard wanted.contains(where: { own.metadata.annotations[$0.key] != $0.value }) else { return }
    let patch = JSONValue.object([
      "metadata": .object(["annotations": .object(wanted.mapValues { .string($0) })])
    ])
    _ = try await client.patch(Node.self, name: configuration.nodeName, .merge(patch.encoded()))
  }
}
