import API
import APIMachinery

/// Which nodes a DaemonSet's pods belong on, by the scheduler's rules, and the pods that go there: pure.
enum DaemonSetPlacement {
  private static let tolerated: [(key: String, effect: String)] = [
    ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
  ]
  /// What clients of the first DaemonSets knew a template by.
  static let generationLabel = "pod-template-generation"
  private static let generationAnnotation = "deprecated.daemonset.template.generation"

  /// The tolerations of a daemon's pod: its own, and those without which it would leave a node in trouble.
  static func tolerations(_ spec: PodSpec) -> [Toleration] {
    var all = spec.tolerations
    let network = spec.hostNetwork ? [("node.kubernetes.io/network-unavailable", "NoSchedule")] : []
    for (key, effect) in tolerated + network {
      let toleration = Toleration {
        $0.key = key
        $0.operator = "Exists"
        $0.effect = effect
      }
      // One that tolerates the same for a while only gives way.
      if let index = all.firstIndex(where: {
        $0.key == key && $0.effect == effect && $0.operator == "Exists" && $0.value.isEmpty
      }) {
        all[index] = toleration
      } else {
        all.append(toleration)
      }
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
    if node.spec.taints.isEmpty { return (true, true) }
    let tolerations = tolerations(spec)
    if tolerations.firstUntolerated(in: node.spec.taints) == nil { return (true, true) }
    return (false, tolerations.firstUntolerated(in: node.spec.taints, effects: ["NoExecute"]) == nil)
  }

  /// The pod for a node. The scheduler binds it, to that node and no other.
  static func pod(_ set: DaemonSet, node: String, revision: String) -> Pod {
    var pod = PodControl.pod(from: set.spec.template, for: set)
    pod.metadata.labels[Revisions.hashLabel] = revision
    pod.metadata.labels[generationLabel] = set.metadata.annotations[generationAnnotation]
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

  /// Whether a pod is of the set's present template.
  static func isUpdated(_ pod: Pod, _ set: DaemonSet, revision: String) -> Bool {
    if !revision.isEmpty, pod.metadata.labels[Revisions.hashLabel] == revision { return true }
    guard let generation = set.metadata.annotations[generationAnnotation] else { return false }
    return pod.metadata.labels[generationLabel] == generation
  }

  /// The oldest pod that has a node first.
  static func precedes(_ a: Pod, _ b: Pod) -> Bool {
    if a.spec.nodeName.isEmpty != b.spec.nodeName.isEmpty { return !a.spec.nodeName.isEmpty }
    return (a.metadata.creationTimestamp, a.metadata.name) < (b.metadata.creationTimestamp, b.metadata.name)
  }
}
