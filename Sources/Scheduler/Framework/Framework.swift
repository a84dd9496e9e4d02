import API

/// Why a plugin refuses a pod, or a pod on a node.
struct Refusal: Hashable, Sendable {
  /// The plugin's name, which decides which events may help.
  var plugin: String
  /// Upstream's wording, one entry a reason.
  var reasons: [String]
  /// No change on this node's pods would help, only one of the node itself.
  var unresolvable = false
}

/// The pod as the cycle sees it, with sums made once.
struct PodInfo: Sendable {
  var pod: Pod
  var requests: Resources
  var nonZeroRequests: Resources
  var hostPorts: Set<HostPort>
  var labelSet: LabelSet
  var affinity: [PodTerm] = []
  var antiAffinity: [PodTerm] = []
  /// Preferred terms; what is to be kept away from has a negative weight.
  var preferred: [StandingTerm] = []
  var spread: [SpreadConstraint] = []
  /// The constraints are the built-in ones: nodes without their labels are not left out.
  var spreadIsDefault = false

  init(_ pod: Pod) {
    self.pod = pod
    requests = Resources(pod.spec.totalRequests)
    nonZeroRequests = pod.nonZeroRequests
    hostPorts = pod.hostPorts
    labelSet = LabelSet(
      namespace: pod.metadata.namespace, labels: pod.metadata.labels,
      terminating: pod.metadata.deletionTimestamp != nil)
    if !pod.spec.topologySpreadConstraints.isEmpty {
      spread = pod.spec.topologySpreadConstraints.map { SpreadConstraint($0, of: pod) }
    }
    guard let given = pod.spec.affinity else { return }
    if let near = given.podAffinity {
      affinity = near.requiredDuringSchedulingIgnoredDuringExecution.map { PodTerm($0, of: pod) }
      preferred += near.preferredDuringSchedulingIgnoredDuringExecution.map {
        StandingTerm(term: PodTerm($0.podAffinityTerm, of: pod), weight: Int64($0.weight))
      }
    }
    if let far = given.podAntiAffinity {
      antiAffinity = far.requiredDuringSchedulingIgnoredDuringExecution.map { PodTerm($0, of: pod) }
      preferred += far.preferredDuringSchedulingIgnoredDuringExecution.map {
        StandingTerm(term: PodTerm($0.podAffinityTerm, of: pod), weight: -Int64($0.weight))
      }
    }
  }

  /// What the pod says about others once it stands: upstream gives required affinity a weight of one.
  var standingTerms: [StandingTerm] {
    if affinity.isEmpty && antiAffinity.isEmpty && preferred.isEmpty { return [] }
    return antiAffinity.map { StandingTerm(term: $0, weight: nil) }
      + affinity.map { StandingTerm(term: $0, weight: 1, isRequired: true) } + preferred
  }

  var priority: Int32 { pod.spec.priority ?? 0 }
}

/// A plugin's name, as in KubeSchedulerConfiguration.
protocol Plugin: Sendable {
  var name: String { get }
}

/// Holds a pod out of the queue until it may be tried.
protocol PreEnqueuePlugin: Plugin {
  func preEnqueue(_ pod: Pod) -> Refusal?
}

/// Looks at the pod once before any node: refuses it altogether, or narrows the nodes.
protocol PreFilterPlugin: Plugin {
  func preFilter(_ pod: PodInfo) -> Refusal?
}

/// Decides whether the pod can run on the node.
protocol FilterPlugin: Plugin {
  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal?
}

/// Rates a node that can run the pod from 0 to 100, alone or in relation to the others.
protocol ScorePlugin: Plugin {
  var weight: Int64 { get }
  /// Whether the pod's scores on a node depend on the other nodes.
  func needsNormalizing(_ pod: PodInfo) -> Bool
  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64
  func normalize(_ scores: inout [Int64])
}

extension ScorePlugin {
  func needsNormalizing(_ pod: PodInfo) -> Bool { false }
  func normalize(_ scores: inout [Int64]) {}

  /// Stretches scores to 0…100 by their maximum; `reverse` turns more into less.
  func stretch(_ scores: inout [Int64], reverse: Bool) {
    let maximum = scores.max() ?? 0
    for index in scores.indices {
      let share = maximum == 0 ? 0 : scores[index] * 100 / maximum
      scores[index] = reverse ? 100 - share : share
    }
  }
}

/// Claims what the pod needs on the chosen node within this scheduler, before it is bound.
protocol ReservePlugin: Plugin {
  func reserve(_ pod: PodInfo, on node: String) async -> Refusal?
  func unreserve(_ pod: PodInfo, on node: String) async
}

/// May hold a reserved pod back.
protocol PermitPlugin: Plugin {
  func permit(_ pod: PodInfo, on node: String) async -> Refusal?
}

/// Does what must be true in the cluster before the pod may be bound. Throws to give the node up.
protocol PreBindPlugin: Plugin {
  func preBind(_ pod: PodInfo, to node: String) async throws
}

/// Tells the cluster where the pod runs.
protocol BindPlugin: Plugin {
  func bind(_ pod: PodInfo, to node: String) async throws
}

/// Hears of a pod that was bound.
protocol PostBindPlugin: Plugin {
  func postBind(_ pod: PodInfo, to node: String) async
}

/// Tries to make room for a pod that fits nowhere; answers the node nominated for it.
protocol PostFilterPlugin: Plugin {
  func postFilter(_ pod: PodInfo, refusals: [String: Refusal]) async -> String?
}

/// One profile: the plugins of each extension point, in order (KubeSchedulerConfiguration v1).
struct Framework: Sendable {
  var preEnqueue: [any PreEnqueuePlugin] = []
  var preFilter: [any PreFilterPlugin] = []
  var filter: [any FilterPlugin] = []
  var postFilter: [any PostFilterPlugin] = []
  var score: [any ScorePlugin] = []
  var reserve: [any ReservePlugin] = []
  var permit: [any PermitPlugin] = []
  var preBind: [any PreBindPlugin] = []
  var bind: [any BindPlugin] = []
  var postBind: [any PostBindPlugin] = []
  /// PodTopologySpread and InterPodAffinity count by domain (`Topology`) instead of node by node.
  var spreadWeight: Int64 = 2
  var affinityWeight: Int64 = 2
  var images: ImageLocality? = ImageLocality()
  var spreadFilters = true
  var affinityFilters = true
  var hardPodAffinityWeight: Int64 = 1
  var ignoresPreferencesOfOthers = false
  /// What pods without constraints follow; nil stands for the built-in ones.
  var defaultConstraints: [TopologySpreadConstraint]?
  var preempts = true
  var minCandidatesPercentage = 10
  var minCandidatesAbsolute = 100

  /// The plugins that decide where a pod may run; those that act on the cluster are the caller's to add.
  static let deciding = SchedulerProfile().framework()
}
