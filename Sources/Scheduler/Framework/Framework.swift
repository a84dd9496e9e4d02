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
  /// What it says about other pods.
  var terms: PodTerms

  var priority: Int32 { pod.spec.priority ?? 0 }

  init(_ pod: Pod, namespaces: [String: [String: String]] = [:]) {
    self.pod = pod
    terms = PodTerms(pod, namespaces: namespaces)
    requests = Resources(pod.spec.totalRequests)
    nonZeroRequests = pod.nonZeroRequests
    hostPorts = pod.hostPorts
  }
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
  /// Whether the pod's scores on a node are put in relation to those on the other nodes.
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

/// One profile: the plugins of each extension point, in order (KubeSchedulerConfiguration v1).
struct Framework: Sendable {
  var preEnqueue: [any PreEnqueuePlugin] = []
  var preFilter: [any PreFilterPlugin] = []
  var filter: [any FilterPlugin] = []
  var score: [any ScorePlugin] = []
  var reserve: [any ReservePlugin] = []
  var permit: [any PermitPlugin] = []
  var preBind: [any PreBindPlugin] = []
  var bind: [any BindPlugin] = []
  var postBind: [any PostBindPlugin] = []

  /// The plugins that decide where a pod may run; those that act on the cluster are the caller's to add.
  static let deciding = Framework(
    preEnqueue: [SchedulingGates()],
    filter: [NodeUnschedulable(), NodeName(), TaintToleration(), NodeAffinity(), NodePorts(), NodeResourcesFit()],
    score: [
      TaintToleration(), NodeAffinity(), NodeResourcesFit(), NodeResourcesBalancedAllocation(), ImageLocality(),
    ])
}
