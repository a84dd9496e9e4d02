import API
import APIMachinery

/// What is known of a node's signs of life, and what follows from their absence: pure.
///
/// Time counts by the controller's own clock, from when a heartbeat was *seen* to move: nodes' clocks differ.
struct NodeHealth: Sendable, Equatable {
  private var heartbeats: [String: Time] = [:]
  private var renewTime: MicroTime?
  /// When something last moved.
  private(set) var lastSign: Time

  init(_ node: Node, lease: Lease?, now: Time) {
    // A node first seen now counts as alive now, unless it never reported at all.
    lastSign = node.status.conditions.condition("Ready") == nil ? node.metadata.creationTimestamp : now
    _ = note(node, lease: lease)
  }

  /// Takes what is seen now.
  mutating func observe(_ node: Node, lease: Lease?, now: Time) {
    if note(node, lease: lease) { lastSign = now }
  }

  private mutating func note(_ node: Node, lease: Lease?) -> Bool {
    var seen: [String: Time] = [:]
    for condition in node.status.conditions { seen[condition.type] = condition.lastHeartbeatTime }
    // Conditions this controller sets itself keep their heartbeat and so prove nothing.
    let moved = seen != heartbeats || (lease != nil && lease?.spec.renewTime != renewTime)
    heartbeats = seen
    if let time = lease?.spec.renewTime { renewTime = time }
    return moved
  }

  static let watched = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]

  /// The node's conditions, `Unknown` where it has been silent for too long.
  func conditions(
    of node: Node, grace: Int64, startupGrace: Int64, now: Time
  ) -> [NodeCondition] {
    let ready = node.status.conditions.condition("Ready")
    let allowed = ready == nil ? startupGrace : grace
    guard now > lastSign.adding(seconds: allowed) else { return node.status.conditions }
    var conditions = node.status.conditions
    for type in Self.watched {
      if let index = conditions.firstIndex(where: { $0.type == type }) {
        guard conditions[index].status != "Unknown" else { continue }
        conditions[index].status = "Unknown"
        conditions[index].reason = "NodeStatusUnknown"
        conditions[index].message = "Kubelet stopped posting node status."
        conditions[index].lastTransitionTime = now
      } else {
        conditions.append(
          NodeCondition {
            $0.type = type
            $0.status = "Unknown"
            $0.reason = "NodeStatusNeverUpdated"
            $0.message = "Kubelet never posted node status."
            $0.lastHeartbeatTime = node.metadata.creationTimestamp
            $0.lastTransitionTime = now
          })
      }
    }
    return conditions
  }
}

/// The taints that a node's conditions call for: pure.
enum NodeTaints {
  static let notReady = "node.kubernetes.io/not-ready"
  static let unreachable = "node.kubernetes.io/unreachable"
  static let unschedulable = "node.kubernetes.io/unschedulable"
  private static let byCondition: [(type: String, status: String, key: String)] = [
    ("Ready", "False", notReady), ("Ready", "Unknown", unreachable),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
  ]

  /// The node's taints as they should be. `mayEvict` is false while every node is silent: then it is this
  /// controller that is cut off, and nobody's pods are touched. `mayBegin` is false while no further node's pods are to
  /// be evicted; those of nodes that have the taint go on being.
  static func desired(for node: Node, mayEvict: Bool, mayBegin: Bool = true, now: Time) -> [Taint] {
    var wanted: [(key: String, effect: String)] = []
    for rule in byCondition where node.status.conditions.condition(rule.type)?.status == rule.status {
      wanted.append((rule.key, "NoSchedule"))
    }
    if node.spec.unschedulable { wanted.append((unschedulable, "NoSchedule")) }
    if mayEvict {
      let before = wanted.count
      switch node.status.conditions.condition("Ready")?.status {
      case "False": wanted.append((notReady, "NoExecute"))
      case "Unknown": wanted.append((unreachable, "NoExecute"))
      default: break
      }
      let evicts = node.spec.taints.contains {
        $0.effect == "NoExecute" && ($0.key == notReady || $0.key == unreachable)
      }
      if !mayBegin, !evicts { wanted.removeSubrange(before...) }
    }
    let managed = Set(byCondition.map(\.key) + [unschedulable])
    var taints = node.spec.taints.filter { taint in
      let ours =
        (taint.effect == "NoSchedule" && managed.contains(taint.key))
        || (taint.effect == "NoExecute" && (taint.key == notReady || taint.key == unreachable))
      // A node that has not reported yet keeps the taint it was born with.
      let unknownYet = taint.key == notReady && node.status.conditions.condition("Ready") == nil
      return !ours || unknownYet || wanted.contains { $0.key == taint.key && $0.effect == taint.effect }
    }
    for (key, effect) in wanted where !taints.contains(where: { $0.key == key && $0.effect == effect }) {
      taints.append(
        Taint {
          $0.key = key
          $0.effect = effect
          $0.timeAdded = now
        })
    }
    return taints
  }
}

/// When a pod must leave a node because of its `NoExecute` taints: pure.
enum EvictionTime: Sendable, Equatable {
  case never
  case now
  case after(seconds: Int64)

  static func of(_ pod: Pod, taints: [Taint]) -> EvictionTime {
    let driving = taints.filter { $0.effect == "NoExecute" }
    guard !driving.isEmpty else { return .never }
    var least: Int64?
    for taint in driving {
      let used = pod.spec.tolerations.filter { $0.tolerates(taint) }
      guard !used.isEmpty else { return .now }
      for seconds in used.compactMap(\.tolerationSeconds) { least = min(least ?? seconds, seconds) }
    }
    guard let least else { return .never }
    return least <= 0 ? .now : .after(seconds: least)
  }
}
