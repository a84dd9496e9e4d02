import API

/// The scheduler's decisions as a value: events go in, placements come out. It reads no clock and talks to nobody; the
/// shell around it (`Scheduler`) does both.
struct SchedulerCore: Sendable {
  /// What to do with the pod at the head of the queue.
  enum Decision: Sendable {
    /// Bind it. The pod is already counted on the node.
    case place(Pod, node: String)
    /// It fits nowhere, for these reasons. Others may have to make room for it.
    case refuse(Pod, message: String, preemption: Preemption.Choice?)
  }

  /// What the core must be told for a decision, and cannot know.
  struct Knowledge {
    /// Refuses nodes that the pod's volumes rule out.
    var volumes: (Pod) -> VolumeVerdict
    /// The selector of the pod's services and controllers, by which it is spread if it does not say how itself.
    var workload: (Pod) -> Labels.Selector? = { _ in nil }
    var budgets: () -> [PodDisruptionBudget] = { [] }
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
      // Room made for it by a scheduler that is gone is still its own.
      let node = pod.status.nominatedNodeName
      if !node.isEmpty, snapshot.nomination(of: uid) == nil { nominate(pod, to: node) }
    } else {
      queue.remove(uid)
      let isNew = snapshot.node(of: uid) == nil
      snapshot.place(PlacedPod(pod, namespaces: snapshot.namespaces), on: pod.spec.nodeName)
      if isNew { queue.moveOn(.podPlaced, now: now) }
    }
  }

  mutating func podDeleted(_ uid: String, now: Double) {
    queue.remove(uid)
    snapshot.denominate(uid)
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

  mutating func namespaceChanged(_ name: String, labels: [String: String]?) { snapshot.setNamespace(name, labels) }

  // Decisions

  /// Tries the next pod; nil when none is ready.
  mutating func next(now: Double, _ knowledge: Knowledge) -> Decision? {
    guard let entry = queue.pop(now: now) else { return nil }
    let pod = entry.pod
    var info = PodInfo(pod, namespaces: snapshot.namespaces)
    var isDefaulted = false
    if pod.spec.topologySpreadConstraints.isEmpty, let selector = knowledge.workload(pod) {
      info.terms.addDefaultSpread(selector, of: pod)
      isDefaulted = true
    }
    func turnDown(_ message: String, _ plugins: Set<String>, _ choice: Preemption.Choice? = nil) -> Decision {
      queue.refused(pod.metadata.uid, by: plugins, now: now)
      return .refuse(pod, message: message, preemption: choice)
    }
    let total = snapshot.nodes.count
    guard total > 0 else { return turnDown("no nodes available to schedule pods", ["NodeName"]) }
    for plugin in framework.preFilter {
      if let refusal = plugin.preFilter(info) {
        return turnDown("0/\(total) nodes are available: \(refusal.reasons.joined(separator: ", ")).", [refusal.plugin])
      }
    }
    var volumes: (@Sendable (String) -> Refusal?)?
    switch knowledge.volumes(pod) {
    case .anywhere: break
    case .depends(let allowed): volumes = allowed
    case .impossible(let refusal):
      return turnDown("0/\(total) nodes are available: \(refusal.reasons.joined(separator: ", ")).", [refusal.plugin])
    }
    let relations = Relations(info, &snapshot, framework, isDefaulted: isDefaulted, volumes: volumes)
    // Where room was made for it, it goes, if it can.
    if let nominated = snapshot.nomination(of: pod.metadata.uid), let node = snapshot.nodes[nominated],
      framework.refusal(of: info, on: snapshot.view(node, for: info)) == nil,
      relations.refusal(node.slot, nominated, info, snapshot, framework) == nil
    {
      snapshot.place(PlacedPod(info), on: nominated)
      return .place(pod, node: nominated)
    }
    let (node, refusals) = best(info, relations)
    if let node {
      snapshot.place(PlacedPod(info), on: node)
      queue.moveOn(.podPlaced, now: now)
      return .place(pod, node: node)
    }
    let message = Self.message(refusals, total: total)
    let plugins = Set(refusals.values.map(\.plugin))
    if let why = whyNotPreempt(info) { return turnDown("\(message) preemption: \(why)", plugins) }
    let preemption = Preemption(framework: framework, budgets: knowledge.budgets().compactMap(Preemption.Budget.init))
    let (choice, messages) = preemption.choose(
      for: info, isDefaulted: isDefaulted, refusals: refusals, in: &snapshot, volumes: volumes)
    guard let choice else {
      snapshot.denominate(pod.metadata.uid)
      return turnDown("\(message) preemption: \(Self.message(messages, total: total))", plugins)
    }
    snapshot.nominate(PlacedPod(info), to: choice.node)
    return turnDown(message, plugins, choice)
  }

  private mutating func best(_ info: PodInfo, _ relations: Relations) -> (String?, [String: Refusal]) {
    let key = PodClassKey(info)
    // Classes of pods long gone are dropped all at once; the next pod of each pays one pass.
    if classes[key] == nil, classes.count >= Self.maxClasses { classes = [:] }
    var podClass = classes.removeValue(forKey: key) ?? PodClass()
    defer { classes[key] = podClass }
    if relations.isEmpty {
      let node = podClass.best(for: info, in: snapshot, framework: framework, random: &random)
      return (node, node == nil ? podClass.refusals : [:])
    }
    return podClass.best(for: info, in: snapshot, framework: framework, relations: relations, random: &random)
  }

  /// Why a pod may not make others go; nil if it may.
  private func whyNotPreempt(_ pod: PodInfo) -> String? {
    if pod.pod.spec.preemptionPolicy == "Never" { return "not eligible due to preemptionPolicy=Never." }
    // Others are leaving for it already.
    if let node = snapshot.nomination(of: pod.pod.metadata.uid),
      snapshot.nodes[node]?.pods.values.contains(where: { $0.isTerminating && $0.priority < pod.priority }) == true
    {
      return "not eligible due to terminating pod on the nominated node."
    }
    return nil
  }

  /// A pod for which room was made before this scheduler began.
  mutating func nominate(_ pod: Pod, to node: String) {
    snapshot.nominate(PlacedPod(pod, namespaces: snapshot.namespaces), to: node)
  }

  /// Pods that are less important than one that has just been given a node lose their claim to it.
  mutating func outrankedNominations(by pod: Pod, on node: String) -> [Pod] {
    let priority = pod.spec.priority ?? 0
    let lesser = (snapshot.nominated[node] ?? [:]).values.filter { $0.priority < priority }
    for other in lesser { snapshot.denominate(other.uid) }
    return lesser.map(\.pod)
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
    return message(counts, total: total)
  }

  private static func message(_ counts: [String: Int], total: Int) -> String {
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
