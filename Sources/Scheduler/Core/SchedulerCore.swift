import API

/// The scheduler's decisions as a value: events go in, placements come out. It reads no clock and talks to nobody; the
/// shell around it (`Scheduler`) does both.
struct SchedulerCore: Sendable {
  /// What to do with the pod at the head of the queue.
  enum Decision: Sendable {
    /// Bind it. The pod is already counted on the node.
    case place(Pod, node: String)
    /// It fits nowhere, for these reasons.
    case refuse(Pod, message: String)
  }

  private(set) var snapshot = Snapshot()
  private(set) var queue: SchedulingQueue
  private var classes: [PodClassKey: PodClass] = [:]
  private var random: any RandomNumberGenerator & Sendable
  private let framework: Framework
  private let schedulerName: String
  private static let maxClasses = 512

  init(
    framework: Framework = .deciding, schedulerName: String = "default-scheduler", initialBackoff: Double = 1,
    maxBackoff: Double = 10, random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.framework = framework
    self.schedulerName = schedulerName
    self.random = random
    queue = SchedulingQueue(initialBackoff: initialBackoff, maxBackoff: maxBackoff, gates: framework.preEnqueue)
  }

  // Events

  mutating func podChanged(_ pod: Pod, now: Double) {
    let uid = pod.metadata.uid
    if pod.status.phase == "Succeeded" || pod.status.phase == "Failed" { return podDeleted(uid, now: now) }
    if pod.spec.nodeName.isEmpty {
      // An assumed pod is on its way to its node: its own unbound echoes must not bring it back.
      guard pod.spec.schedulerName == schedulerName || pod.spec.schedulerName.isEmpty, snapshot.node(of: uid) == nil
      else { return }
      if pod.metadata.deletionTimestamp != nil { return queue.remove(uid) }
      queue.set(pod, now: now)
    } else {
      queue.remove(uid)
      snapshot.place(PlacedPod(pod), on: pod.spec.nodeName)
    }
  }

  mutating func podDeleted(_ uid: String, now: Double) {
    queue.remove(uid)
    guard snapshot.node(of: uid) != nil else { return }
    snapshot.unplace(uid)
    queue.moveOn(.podRemoved, now: now)
  }

  mutating func nodeChanged(_ node: Node, now: Double) {
    let old = snapshot.nodes[node.metadata.name]?.node
    if let old, old.spec == node.spec, old.status.allocatable == node.status.allocatable,
      old.metadata.labels == node.metadata.labels
    {
      // Heartbeats change nothing that a placement turns on.
      return
    }
    snapshot.set(node)
    guard let old else { return queue.moveOn(.nodeAdded, now: now) }
    if old.status.allocatable != node.status.allocatable { queue.moveOn(.nodeAllocatableChanged, now: now) }
    if old.metadata.labels != node.metadata.labels { queue.moveOn(.nodeLabelsChanged, now: now) }
    if old.spec != node.spec { queue.moveOn(.nodeTaintsChanged, now: now) }
  }

  mutating func nodeDeleted(_ name: String) { snapshot.removeNode(name) }

  mutating func volumeChanged(now: Double) { queue.moveOn(.volumeChanged, now: now) }

  // Decisions

  /// Tries the next pod; nil when none is ready. `volumes` refuses nodes that the pod's volumes rule out; nil where the
  /// pod has no volumes that do.
  mutating func next(now: Double, volumes: (Pod) -> VolumeVerdict) -> Decision? {
    guard let entry = queue.pop(now: now) else { return nil }
    let pod = entry.pod
    let info = PodInfo(pod)
    func turnDown(_ message: String, _ plugins: Set<String>) -> Decision {
      queue.refused(pod.metadata.uid, by: plugins, now: now)
      return .refuse(pod, message: message)
    }
    let total = snapshot.nodes.count
    guard total > 0 else { return turnDown("no nodes available to schedule pods", ["NodeName"]) }
    for plugin in framework.preFilter {
      if let refusal = plugin.preFilter(info) {
        return turnDown("0/\(total) nodes are available: \(refusal.reasons.joined(separator: ", ")).", [refusal.plugin])
      }
    }
    let node: String?
    let refusals: [String: Refusal]
    switch volumes(pod) {
    case .impossible(let refusal):
      return turnDown("0/\(total) nodes are available: \(refusal.reasons.joined(separator: ", ")).", [refusal.plugin])
    case .depends(let allowed):
      (node, refusals) = framework.bestByFullPass(for: info, in: snapshot, allowed: allowed, random: &random)
    case .anywhere where !snapshot.softTainted.isEmpty || framework.score.contains { $0.needsNormalizing(info) }:
      (node, refusals) = framework.bestByFullPass(for: info, in: snapshot, allowed: { _ in nil }, random: &random)
    case .anywhere:
      let key = PodClassKey(info)
      // Classes of pods long gone are dropped all at once; the next pod of each pays one pass.
      if classes[key] == nil, classes.count >= Self.maxClasses { classes = [:] }
      var podClass = classes.removeValue(forKey: key) ?? PodClass()
      node = podClass.best(for: info, in: snapshot, framework: framework, random: &random)
      refusals = podClass.refusals
      classes[key] = podClass
    }
    if let node {
      snapshot.place(PlacedPod(pod), on: node)
      return .place(pod, node: node)
    }
    return turnDown(Self.message(refusals, total: total), Set(refusals.values.map(\.plugin)))
  }

  /// The placement could not be carried out: the pod waits for its next turn. `refusedBy` as for the queue.
  mutating func forget(_ pod: Pod, refusedBy: Set<String> = [], now: Double) {
    snapshot.unplace(pod.metadata.uid)
    queue.refused(pod.metadata.uid, by: refusedBy, now: now)
    queue.moveOn(.podRemoved, now: now)
  }

  /// The API server took the binding.
  mutating func bound(_ pod: Pod) { queue.remove(pod.metadata.uid) }

  mutating func flush(now: Double) -> Double? { queue.flush(now: now) }

  /// `0/3 nodes are available: 1 Insufficient memory, 2 node(s) were unschedulable.`: reasons counted, in order of text.
  static func message(_ refusals: [String: Refusal], total: Int) -> String {
    var counts: [String: Int] = [:]
    for refusal in refusals.values {
      for reason in refusal.reasons { counts[reason, default: 0] += 1 }
    }
    let parts = counts.map { "\($0.value) \($0.key)" }.sorted()
    return "0/\(total) nodes are available: \(parts.joined(separator: ", "))."
  }
}

/// What a pod's volumes say about where it can run.
enum VolumeVerdict: Sendable {
  case anywhere
  case depends(@Sendable (String) -> Refusal?)
  case impossible(Refusal)
}
