import API
import APIMachinery

/// Where a DaemonSet's pods belong, and what is to be made and deleted: pure.
struct DaemonSetDecision: Sendable, Equatable {
  var create: [String] = []
  var delete: [Pod] = []
  var failed: [Pod] = []
  var status = DaemonSetStatus()

  private static let tolerated: [(key: String, effect: String)] = [
    ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
  ]

  /// The tolerations that a daemon's pod has besides its own.
  static func tolerations(_ spec: PodSpec) -> [Toleration] {
    var all = spec.tolerations
    let network = spec.hostNetwork ? [("node.kubernetes.io/network-unavailable", "NoSchedule")] : []
    for (key, effect) in tolerated + network {
      let toleration = Toleration {
        $0.key = key
        $0.operator = "Exists"
        $0.effect = effect
      }
      if !all.contains(toleration) { all.append(toleration) }
    }
    return all
  }

  /// Whether a pod belongs on a node, and whether one that is there may stay.
  static func fits(_ set: DaemonSet, _ node: Node) -> (run: Bool, stay: Bool) {
    let spec = set.spec.template.spec
    if !spec.nodeName.isEmpty, spec.nodeName != node.metadata.name { return (false, false) }
    guard spec.nodeSelector.allSatisfy({ node.metadata.labels[$0.key] == $0.value }) else { return (false, false) }
    if let required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
      !required.matches(labels: node.metadata.labels, nodeName: node.metadata.name)
    {
      return (false, false)
    }
    let tolerations = tolerations(spec)
    if tolerations.firstUntolerated(in: node.spec.taints) == nil { return (true, true) }
    return (false, tolerations.firstUntolerated(in: node.spec.taints, effects: ["NoExecute"]) == nil)
  }

  /// The pod for a node. The scheduler binds it, to that node and no other.
  static func pod(_ set: DaemonSet, node: String, revision: String) -> Pod {
    var pod = PodControl.pod(from: set.spec.template, for: set)
    pod.metadata.labels[Revisions.hashLabel] = revision
    pod.spec.tolerations = tolerations(pod.spec)
    let field = NodeSelectorRequirement {
      $0.key = "metadata.name"
      $0.operator = "In"
      $0.values = [node]
    }
    var affinity = pod.spec.affinity ?? Affinity()
    var nodeAffinity = affinity.nodeAffinity ?? NodeAffinity()
    // Whom the template allows was asked when the node was chosen: the name replaces every other term.
    nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution = NodeSelector {
      $0.nodeSelectorTerms = [NodeSelectorTerm { $0.matchFields = [field] }]
    }
    affinity.nodeAffinity = nodeAffinity
    pod.spec.affinity = affinity
    return pod
  }

  /// The node a pod is on or meant for.
  static func node(of pod: Pod) -> String? {
    if !pod.spec.nodeName.isEmpty { return pod.spec.nodeName }
    let terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
    return terms.lazy.flatMap(\.matchFields).first { $0.key == "metadata.name" && $0.operator == "In" }?.values.first
  }

  static func decide(_ set: DaemonSet, nodes: [Node], pods: [Pod], revision: String, now: Time) -> DaemonSetDecision {
    var decision = DaemonSetDecision()
    let byNode = Dictionary(grouping: pods) { node(of: $0) ?? "" }
    var status = set.status
    status.observedGeneration = set.metadata.generation
    status.desiredNumberScheduled = 0
    status.currentNumberScheduled = 0
    status.numberMisscheduled = 0
    status.numberReady = 0
    status.numberAvailable = 0
    status.updatedNumberScheduled = 0
    var outdated: [(pod: Pod, available: Bool)] = []
    var unavailable = 0

    for node in nodes {
      let here = byNode[node.metadata.name] ?? []
      let (run, stay) = fits(set, node)
      if run { status.desiredNumberScheduled += 1 }
      let live = here.filter { !$0.isTerminal }.sorted {
        ($0.metadata.creationTimestamp, $0.metadata.name) < ($1.metadata.creationTimestamp, $1.metadata.name)
      }
      if !stay {
        decision.delete += here.filter { !$0.isBeingDeleted }
        if !here.isEmpty { status.numberMisscheduled += 1 }
        continue
      }
      decision.failed += here.filter { $0.status.phase == "Failed" && !$0.isBeingDeleted }
      decision.delete += here.filter { $0.status.phase == "Succeeded" && !$0.isBeingDeleted }
      // A pod that is still going holds its place (ports, names) until it is gone.
      if run, here.isEmpty { decision.create.append(node.metadata.name) }
      let kept = live.first { !$0.isBeingDeleted }
      decision.delete += live.filter { !$0.isBeingDeleted && $0.metadata.uid != kept?.metadata.uid }
      guard run else {
        if !live.isEmpty { status.numberMisscheduled += 1 }
        continue
      }
      guard let pod = kept ?? live.first else {
        unavailable += 1
        continue
      }
      status.currentNumberScheduled += 1
      let available = !pod.isBeingDeleted && pod.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now)
      if pod.isReady { status.numberReady += 1 }
      if available { status.numberAvailable += 1 } else { unavailable += 1 }
      if pod.metadata.labels[Revisions.hashLabel] == revision {
        status.updatedNumberScheduled += 1
      } else if !pod.isBeingDeleted {
        outdated.append((pod, available))
      }
    }
    status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable
    decision.status = status
    if set.metadata.deletionTimestamp != nil {
      decision.create = []
      decision.delete = []
      decision.failed = []
      return decision
    }
    decision.delete += replace(set, outdated, unavailable: unavailable, desired: Int(status.desiredNumberScheduled))
    return decision
  }

  /// Which pods of an older template go now: those that do not serve at once, the others as many as may be missing.
  private static func replace(
    _ set: DaemonSet, _ outdated: [(pod: Pod, available: Bool)], unavailable: Int, desired: Int
  ) -> [Pod] {
    guard set.spec.updateStrategy.type != "OnDelete" else { return [] }
    let limit = set.spec.updateStrategy.rollingUpdate?.maxUnavailable ?? .int(1)
    let allowed = max(1, limit.scaled(total: desired, roundUp: true) ?? 1)
    var victims = outdated.filter { !$0.available }.map(\.pod)
    let room = max(0, allowed - unavailable)
    victims += outdated.filter(\.available).prefix(room).map(\.pod)
    return victims
  }
}
