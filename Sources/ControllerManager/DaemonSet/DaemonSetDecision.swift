import API
import APIMachinery

/// What is to be made and deleted so that a DaemonSet's pods are where they belong: pure.
struct DaemonSetDecision: Sendable, Equatable {
  /// The nodes that need a pod.
  private(set) var create: [String] = []
  /// The pods that are too many, out of place or outdated.
  private(set) var delete: [Pod] = []
  /// The pods that failed, to be deleted unless the last one on their node did so just now.
  private(set) var failed: [Pod] = []
  /// The pods that ended though they should not.
  private(set) var succeeded: [Pod] = []
  private(set) var status = DaemonSetStatus()

  /// What is seen of a set.
  struct Observed {
    let set: DaemonSet
    let revision: String
    let now: Time
    let nodes: [Node]
    /// Pods that are over and on their way out do not count: a finalizer may hold them for long.
    let byNode: [String: [Pod]]
    let fits: [String: (run: Bool, stay: Bool)]

    init(_ set: DaemonSet, nodes: [Node], pods: [Pod], revision: String, now: Time) {
      self.set = set
      self.revision = revision
      self.now = now
      self.nodes = nodes.sorted { $0.metadata.name < $1.metadata.name }
      let counted = pods.filter { !($0.isTerminal && $0.isBeingDeleted) }.sorted(by: DaemonSetPlacement.precedes)
      byNode = Dictionary(grouping: counted) { DaemonSetPlacement.node(of: $0) ?? "" }
      fits = Dictionary(
        nodes.map { ($0.metadata.name, DaemonSetPlacement.fits(set, $0)) }, uniquingKeysWith: { $1 })
    }

    func isAvailable(_ pod: Pod) -> Bool {
      pod.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now)
    }
    func isUpdated(_ pod: Pod) -> Bool { DaemonSetPlacement.isUpdated(pod, set, revision: revision) }
    func shouldRun(_ node: String) -> Bool { fits[node]?.run ?? false }
    var desired: Int { fits.values.count { $0.run } }
    /// Whether a new pod may come up beside the one that it replaces.
    var surges: Bool {
      self.set.spec.updateStrategy.type != "OnDelete"
        && (self.set.spec.updateStrategy.rollingUpdate?.maxSurge?.scaled(total: 1, roundUp: true) ?? 0) > 0
    }
  }

  /// Decides for a set, the nodes there are, its pods, and the hash of its present template.
  static func decide(_ set: DaemonSet, nodes: [Node], pods: [Pod], revision: String, now: Time) -> DaemonSetDecision {
    let observed = Observed(set, nodes: nodes, pods: pods, revision: revision, now: now)
    var decision = DaemonSetDecision()
    decision.count(observed)
    guard set.metadata.deletionTimestamp == nil else { return decision }
    decision.place(observed)
    guard set.spec.updateStrategy.type != "OnDelete" else { return decision }
    let update = DaemonSetUpdate.decide(observed)
    let known = Set((decision.delete + decision.failed + decision.succeeded).map(\.metadata.uid))
    decision.delete += update.delete.filter { !known.contains($0.metadata.uid) }
    decision.create += update.create.filter { !decision.create.contains($0) }
    return decision
  }

  // MARK: Placing

  private mutating func place(_ observed: Observed) {
    for node in observed.nodes {
      let name = node.metadata.name
      let here = observed.byNode[name] ?? []
      let fits = observed.fits[name] ?? (false, false)
      if fits.run, here.isEmpty {
        create.append(name)
      } else if fits.stay {
        tidy(here.filter { !$0.isBeingDeleted }, observed)
      } else {
        delete += here.filter { !$0.isBeingDeleted }
      }
    }
    // Nobody would ever bind a pod whose node is gone; those that were bound are the pod collector's.
    let known = Set(observed.nodes.map(\.metadata.name))
    for (name, pods) in observed.byNode.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
      delete += pods.filter { $0.spec.nodeName.isEmpty && !$0.isBeingDeleted }
    }
  }

  private mutating func tidy(_ here: [Pod], _ observed: Observed) {
    failed += here.filter { $0.status.phase == "Failed" }
    succeeded += here.filter { $0.status.phase == "Succeeded" }
    let running = here.filter { !$0.isTerminal }
    guard running.count > 1 else { return }
    guard observed.surges else {
      delete += running.dropFirst()
      return
    }
    // Two may be there: the old one that serves, and the new one until it does.
    let new = running.first { observed.isUpdated($0) }
    let old = running.first { !observed.isUpdated($0) }
    delete += running.filter { $0.metadata.uid != new?.metadata.uid && $0.metadata.uid != old?.metadata.uid }
    if let new, let old, !old.isReady || observed.isAvailable(new) { delete.append(old) }
  }

  // MARK: Status

  private mutating func count(_ observed: Observed) {
    status = observed.set.status
    status.observedGeneration = observed.set.metadata.generation
    status.desiredNumberScheduled = Int32(observed.desired)
    status.currentNumberScheduled = 0
    status.numberMisscheduled = 0
    status.numberReady = 0
    status.numberAvailable = 0
    status.updatedNumberScheduled = 0
    for node in observed.nodes {
      // The oldest stands for its node.
      guard let pod = observed.byNode[node.metadata.name]?.first else { continue }
      guard observed.shouldRun(node.metadata.name) else {
        status.numberMisscheduled += 1
        continue
      }
      status.currentNumberScheduled += 1
      if pod.isReady { status.numberReady += 1 }
      if pod.isReady, observed.isAvailable(pod) { status.numberAvailable += 1 }
      if observed.isUpdated(pod) { status.updatedNumberScheduled += 1 }
    }
    status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable
  }
}
