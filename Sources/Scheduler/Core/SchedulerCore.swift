import API
import APIMachinery

/// The scheduler's decisions as a value: events go in, placements come out. It reads no clock and talks to nobody; the
/// shell around it (`Scheduler`) does both.
struct SchedulerCore: Sendable {
  /// What to do with the pod at the head of the queue.
  enum Decision: Sendable {
    /// Bind it. The pod is already counted on the node.
    case place(Pod, node: String)
    /// It fits nowhere, for these reasons.
    case refuse(Pod, message: String, preemption: Preemption.Choice?)
    /// It fits these nodes; extenders are to be heard before `settle`.
    case consult(Pod, nodes: [String])
  }

  private(set) var snapshot = Snapshot()
  private(set) var queue: SchedulingQueue
  private var classes: [PodClassKey: PodClass] = [:]
  var random: any RandomNumberGenerator & Sendable
  private let profiles: [String: Framework]
  /// Whether extenders have a say in where a pod goes.
  private let consults: @Sendable (Pod) -> Bool
  /// Pods promised a node, by uid.
  var nominations: [String: Nomination] = [:]

  /// What the core must be told for a decision, and cannot know.
  struct Knowledge: Sendable {
    /// Refuses nodes that the pod's volumes rule out.
    var volumes: @Sendable (Pod) -> VolumeVerdict
    /// The selector of the pod's services and controllers, by which it is spread if it does not say how itself.
    var workload: @Sendable (Pod) -> Labels.Selector? = { _ in nil }
    var budgets: @Sendable () -> [PodDisruptionBudget] = { [] }
  }

  private static let maxClasses = 512

  init(
    framework: Framework = .deciding, schedulerName: String = "default-scheduler", initialBackoff: Double = 1,
    maxBackoff: Double = 10, random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.init(
      profiles: [schedulerName: framework], initialBackoff: initialBackoff, maxBackoff: maxBackoff, random: random)
  }

  init(
    profiles: [String: Framework], initialBackoff: Double = 1, maxBackoff: Double = 10,
    random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
    consults: @escaping @Sendable (Pod) -> Bool = { _ in false }
  ) {
    self.profiles = profiles
    self.consults = consults
    self.random = random
    let gates = profiles.values.first?.preEnqueue ?? []
    queue = SchedulingQueue(initialBackoff: initialBackoff, maxBackoff: maxBackoff, gates: gates)
  }

  /// The profile that the pod chose.
  func framework(of pod: Pod) -> Framework {
    profiles[pod.spec.schedulerName.isEmpty ? "default-scheduler" : pod.spec.schedulerName] ?? .deciding
  }

  private func isOurs(_ pod: Pod) -> Bool {
    profiles[pod.spec.schedulerName.isEmpty ? "default-scheduler" : pod.spec.schedulerName] != nil
  }

  // Events

  mutating func podChanged(_ pod: Pod, now: Double) {
    let uid = pod.metadata.uid
    if pod.status.phase == "Succeeded" || pod.status.phase == "Failed" { return podDeleted(uid, now: now) }
    if pod.spec.nodeName.isEmpty {
      // An assumed pod is on its way to its node: its own unbound echoes must not bring it back.
      guard isOurs(pod), snapshot.node(of: uid) == nil
      else { return }
      if pod.metadata.deletionTimestamp != nil {
        nominations[uid] = nil
        return queue.remove(uid)
      }
      let promised = pod.status.nominatedNodeName
      if !promised.isEmpty, nominations[uid] == nil {
        nominations[uid] = Nomination(node: promised, pod: PlacedPod(pod))
      }
      queue.set(pod, now: now)
    } else {
      queue.remove(uid)
      nominations[uid] = nil
      let old = snapshot.pod(uid)
      if let old, snapshot.node(of: uid) == pod.spec.nodeName, old.pod.spec == pod.spec,
        old.pod.metadata.labels == pod.metadata.labels,
        old.pod.metadata.deletionTimestamp == pod.metadata.deletionTimestamp
      {
        // Its status alone moves no placement.
        return
      }
      snapshot.place(PlacedPod(pod), on: pod.spec.nodeName)
      if old == nil || old?.pod.metadata.labels != pod.metadata.labels
        || old?.pod.metadata.deletionTimestamp != pod.metadata.deletionTimestamp
      {
        queue.moveOn(.podPlaced, now: now)
      }
      if let old, old.pod.spec != pod.spec { queue.moveOn(.podRemoved, now: now) }
    }
  }

  mutating func podDeleted(_ uid: String, now: Double) {
    queue.remove(uid)
    nominations[uid] = nil
    guard snapshot.node(of: uid) != nil else { return }
    snapshot.unplace(uid)
    queue.moveOn(.podRemoved, now: now)
  }

  mutating func nodeChanged(_ node: Node, now: Double) {
    let old = snapshot.nodes[node.metadata.name]?.node
    if let old, old.spec == node.spec, old.status.allocatable == node.status.allocatable,
      old.metadata.labels == node.metadata.labels, old.status.images == node.status.images
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

  mutating func namespaceChanged(_ name: String, labels: [String: String]?, now: Double = 0) {
    guard snapshot.namespaceLabels[name] != labels else { return }
    snapshot.namespaceLabels[name] = labels
    queue.moveOn(.namespaceChanged, now: now)
  }

  // Decisions

  /// Tries the next pod; nil when none is ready.
  mutating func next(now: Double, _ knowledge: Knowledge) -> Decision? {
    guard let entry = queue.pop(now: now) else { return nil }
    return decide(entry.pod, now: now, knowledge, opinion: nil)
  }

  /// What extenders made of the nodes that a pod fits.
  struct Opinion: Sendable {
    /// Why nodes are out of the question.
    var refusals: [String: Refusal] = [:]
    /// Added to nodes' own scores.
    var scores: [String: Int64] = [:]
  }

  /// Goes on with a pod about which extenders were heard. The nodes are looked at again: they may have changed meanwhile.
  /// Nil where the pod has gone.
  mutating func settle(_ pod: Pod, _ opinion: Opinion, now: Double, _ knowledge: Knowledge) -> Decision? {
    guard queue.isUnderWay(pod.metadata.uid) else { return nil }
    return decide(pod, now: now, knowledge, opinion: opinion)
  }

  private mutating func decide(_ pod: Pod, now: Double, _ knowledge: Knowledge, opinion: Opinion?) -> Decision {
    var info = PodInfo(pod)
    let framework = framework(of: pod)
    if info.spread.isEmpty, let selector = knowledge.workload(pod) {
      info.spreadByDefault(selector, framework.defaultConstraints)
    }
    func turnDown(_ message: String, _ plugins: Set<String>, _ preemption: Preemption.Choice? = nil) -> Decision {
      queue.refused(pod.metadata.uid, by: plugins, now: now)
      return .refuse(pod, message: message, preemption: preemption)
    }
    let total = snapshot.nodes.count
    guard total > 0 else { return turnDown("no nodes available to schedule pods", ["NodeName"]) }
    func everywhere(_ refusal: Refusal) -> Decision {
      turnDown(
        "0/\(total) nodes are available: \(refusal.reasons.joined(separator: ", ")). preemption: 0/\(total) nodes are "
          + "available: \(total) Preemption is not helpful for scheduling.", [refusal.plugin])
    }
    for plugin in framework.preFilter {
      if let refusal = plugin.preFilter(info) { return everywhere(refusal) }
    }
    let allowed: (NodeInfo, Snapshot) -> Refusal?
    switch knowledge.volumes(pod) {
    case .impossible(let refusal): return everywhere(refusal)
    case .depends(let check): allowed = check
    case .anywhere: allowed = { _, _ in nil }
    }
    let key = PodClassKey(info, snapshot)
    // Classes of pods long gone are dropped all at once; the next pod of each pays one pass.
    if classes[key] == nil, classes.count >= Self.maxClasses { classes = [:] }
    var podClass =
      classes.removeValue(forKey: key).flatMap { $0.isCurrent(snapshot) ? $0 : nil }
      ?? PodClass(info, key, snapshot, framework)
    defer { classes[key] = podClass }
    let uid = pod.metadata.uid
    let others = nominations.values.filter { $0.pod.uid != uid && $0.pod.priority >= info.priority }
    let promised = Dictionary(grouping: others, by: \.node)
    var node: String?
    if let nominated = nominations[uid]?.node, let standing = snapshot.nodes[nominated] {
      podClass.refresh(info, snapshot, framework, &random)
      if podClass.fits(nominated), allowed(standing, snapshot) == nil,
        refusal(info, standing, promised[nominated] ?? [], podClass) == nil
      {
        node = nominated
      }
    }
    // Extenders are not asked again about a node that was made free for the pod, but may have refused it.
    if let found = node, opinion?.refusals[found] != nil { node = nil }
    if node == nil {
      var checker: PodClass.Checker?
      if !promised.isEmpty {
        podClass.refresh(info, snapshot, framework, &random)
        checker = podClass.checker
      }
      var lots = random
      let accepts: (NodeInfo) -> Refusal? = { [snapshot] candidate in
        let name = candidate.node.metadata.name
        if let refusal = allowed(candidate, snapshot) ?? opinion?.refusals[name] { return refusal }
        guard let waiting = promised[name] else { return nil }
        var full = candidate
        for nomination in waiting { full.add(nomination.pod) }
        return checker?.refusal(of: info, on: full, snapshot, framework)
      }
      if opinion != nil || consults(pod) {
        let all = podClass.all(for: info, in: snapshot, framework: framework, random: &lots, accepts: accepts)
        if opinion == nil, !all.isEmpty {
          random = lots
          return .consult(pod, nodes: all.map(\.node))
        }
        func total(_ entry: (node: String, score: Int64)) -> Int64 { entry.score + (opinion?.scores[entry.node] ?? 0) }
        node = all.max { total($0) < total($1) }?.node
      } else {
        node = podClass.best(for: info, in: snapshot, framework: framework, random: &lots, accepts: accepts)
      }
      random = lots
    }
    if let node {
      nominations[uid] = nil
      snapshot.place(PlacedPod(info), on: node)
      return .place(pod, node: node)
    }
    let verdict = podClass.verdict()
    let text = Self.message(verdict.reasons, total: total)
    let budgets = info.priority > (snapshot.priorities.keys.min() ?? .max) ? knowledge.budgets().map(Budget.init) : []
    guard framework.preempts else { return turnDown(text, verdict.refusers) }
    let (preemption, why) = preempt(info, podClass, unresolvable: verdict.unresolvable, budgets: budgets) {
      allowed($0, $1)
    }
    if preemption == nil { nominations[uid] = nil }
    return turnDown(preemption == nil ? "\(text) preemption: \(why)" : text, verdict.refusers, preemption)
  }

  /// Whether a node can still run the pod when those it is promised to have come.
  private func refusal(_ info: PodInfo, _ node: NodeInfo, _ promised: [Nomination], _ podClass: PodClass) -> Refusal? {
    if promised.isEmpty { return nil }
    let framework = framework(of: info.pod)
    var full = node
    for nomination in promised { full.add(nomination.pod) }
    var checker = podClass.checker
    return checker.refusal(of: info, on: full, snapshot, framework)
  }

  /// The placement could not be carried out: the pod waits for its next turn. `refusedBy` as for the queue.
  mutating func forget(_ pod: Pod, refusedBy: Set<String> = [], now: Double) {
    snapshot.unplace(pod.metadata.uid)
    queue.refused(pod.metadata.uid, by: refusedBy, now: now)
    queue.moveOn(.podRemoved, now: now)
  }

  /// The API server took the binding.
  mutating func bound(_ pod: Pod) { queue.remove(pod.metadata.uid) }

  /// How many nodes all classes have judged.
  var nodesLookedAt: Int { classes.values.reduce(0) { $0 + $1.looks } }

  mutating func flush(now: Double) -> Double? { queue.flush(now: now) }

  /// `0/3 nodes are available: 1 Insufficient memory, 2 node(s) were unschedulable.`: reasons counted, in order of text.
  static func message(_ counts: [String: Int], total: Int) -> String {
    let parts = counts.map { "\($0.value) \($0.key)" }.sorted()
    return "0/\(total) nodes are available: \(parts.joined(separator: ", "))."
  }
}

extension PodInfo {
  /// Upstream's built-in constraints: soft, five across zones and three across nodes.
  mutating func spreadByDefault(_ selector: Labels.Selector, _ given: [TopologySpreadConstraint]?) {
    let labels = pod.metadata.labels
    if let given {
      spread = given.map { SpreadConstraint($0, of: pod, selector: selector) }
      return
    }
    spreadIsDefault = true
    spread = [
      SpreadConstraint(topologyKey: Snapshot.hostname, maxSkew: 3, selector: selector, labels: labels),
      SpreadConstraint(
        topologyKey: "topology.kubernetes.io/zone", maxSkew: 5, selector: selector, labels: labels),
    ]
  }
}

/// What a pod's volumes say about where it can run.
enum VolumeVerdict: Sendable {
  case anywhere
  /// Asked of a node as it is, or as it would be.
  case depends(@Sendable (NodeInfo, Snapshot) -> Refusal?)
  case impossible(Refusal)
}
