import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Watches over nodes' signs of life: conditions become Unknown when they cease, taints follow the conditions, and
/// the pods of a node that is not ready stop being ready.
final class NodeLifecycleController: Controller {
  let name = "node-lifecycle-controller"
  private let client: APIClient
  private let nodes: Informer<Node>
  private let pods: Informer<Pod>
  private let leases: Informer<Lease>
  private let recorder: EventRecorder
  private let configuration: ControllerManager.Configuration
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let health = Mutex<[String: NodeHealth]>([:])
  private let limiter = Mutex(EvictionLimiter())
  private let disruption: Mutex<Disruption>
  private let queue = WorkQueue<String>("node_lifecycle", baseDelay: .milliseconds(100), maxDelay: .seconds(30))

  init(_ context: ControllerContext) {
    client = context.client
    nodes = context.informers.informer(Node.self)
    pods = context.informers.informer(Pod.self)
    leases = context.informers.informer(Lease.self, namespace: "kube-node-lease")
    recorder = context.recorder("node-controller")
    configuration = context.configuration
    logger = context.logger(name)
    now = context.now
    pods.addIndex("node") { $0.spec.nodeName.isEmpty ? [] : [$0.spec.nodeName] }
    disruption = Mutex(Disruption(.init(context.configuration)))
    nodes.addHandler { [weak self] event in
      guard let self else { return }
      let node = event.object
      disruption.withLock { if case .deleted = event { $0.forget(node.metadata.name) } else { $0.note(node) } }
      queue.add(node.metadata.name)
    }
  }

  func run() async throws {
    try await nodes.waitForSync()
    try await pods.waitForSync()
    try await leases.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await runWorkers(queue, count: 4, logger: logger) { [self] in try await reconcile($0) }
      }
      group.addTask { [self] in
        while !Task.isCancelled {
          for node in nodes.lister.list() { queue.add(node.metadata.name) }
          try? await Task.sleep(for: configuration.nodeMonitorPeriod)
        }
      }
    }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard var node = nodes.lister.get(name: name) else {
      health.withLock { $0[name] = nil }
      return .done
    }
    let time = now()
    let lease = leases.lister.get(namespace: "kube-node-lease", name: name)
    let known = health.withLock { all in
      var known = all[name] ?? NodeHealth(node, lease: lease, now: time)
      known.observe(node, lease: lease, now: time)
      all[name] = known
      return known
    }
    let before = node.status.conditions.condition("Ready")?.status
    let conditions = known.conditions(
      of: node, grace: configuration.nodeMonitorGracePeriod.components.seconds,
      startupGrace: configuration.nodeStartupGracePeriod.components.seconds, now: time)
    if conditions != node.status.conditions {
      node.status.conditions = conditions
      node = try await client.updateStatus(node)
      // Our own write is no sign of life.
      health.withLock { $0[name]?.adopt(node, lease: lease) }
    }
    let ready = node.status.conditions.condition("Ready")?.status
    if ready != "True", ready != nil {
      if before == "True" {
        recorder.event(
          node, type: "Normal", reason: "NodeNotReady",
          message: "Node \(name) status is now: NodeNotReady")
      }
      try await markPodsNotReady(on: name, time)
    }
    let zone = Disruption.zone(of: node)
    let (mayEvict, rate) = disruption.withLock { ($0.mayEvict, $0.rate(zone)) }
    var taints = NodeTaints.desired(for: node, mayEvict: mayEvict, now: time)
    let begins = Self.evicts(taints) && !Self.evicts(node.spec.taints)
    if begins, let wait = limiter.withLock({ $0.wait(zone, node: name, rate: rate, now: time) }) {
      // Another node of the zone has just been given up, or there is no room for the pods of yet another.
      taints = NodeTaints.desired(for: node, mayEvict: mayEvict, mayBegin: false, now: time)
      if taints != node.spec.taints { try await write(taints, on: node) }
      return .after(.seconds(wait))
    }
    if taints != node.spec.taints { try await write(taints, on: node) }
    return .done
  }

  private static func evicts(_ taints: [Taint]) -> Bool {
    taints.contains { $0.effect == "NoExecute" && ($0.key == NodeTaints.notReady || $0.key == NodeTaints.unreachable) }
  }

  private func write(_ taints: [Taint], on node: Node) async throws {
    var changed = node
    changed.spec.taints = taints
    do {
      try await client.update(changed)
    } catch let error as StatusError where error.isConflict {
      var live = try await client.get(Node.self, name: node.metadata.name)
      live.spec.taints = NodeTaints.desired(
        for: live, mayEvict: disruption.withLock { $0.mayEvict }, mayBegin: Self.evicts(taints), now: now())
      try await client.update(live)
    }
  }

  private func markPodsNotReady(on node: String, _ time: Time) async throws {
    for pod in pods.lister.byIndex("node", node) {
      guard let index = pod.status.conditions.firstIndex(where: { $0.type == "Ready" && $0.status == "True" }) else {
        continue
      }
      var changed = pod
      changed.status.conditions[index].status = "False"
      changed.status.conditions[index].lastTransitionTime = time
      recorder.event(pod, type: "Warning", reason: "NodeNotReady", message: "Node is not ready")
      do {
        try await client.updateStatus(changed)
      } catch let error as StatusError where error.isNotFound || error.isConflict {
        // Gone, or changed meanwhile: the next pass looks again.
      }
    }
  }
}

extension NodeHealth {
  /// Takes a state as known without counting it as a sign of life.
  mutating func adopt(_ node: Node, lease: Lease?) {
    let sign = lastSign
    observe(node, lease: lease, now: sign)
  }
}
