import API
import HeapModule

/// Everything about a pod that filters and scores look at on a node by itself. Pods with equal classes fit the same nodes
/// equally well, but for what other pods have to do with it (`Relations`).
struct PodClassKey: Hashable, Sendable {
  var requests: Resources
  var nonZeroRequests: Resources
  var hostPorts: Set<HostPort>
  var nodeName: String
  var nodeSelector: [String: String]
  var nodeAffinity: API.NodeAffinity?
  var tolerations: [Toleration]
  var images: [String]

  init(_ info: PodInfo) {
    requests = info.requests
    nonZeroRequests = info.nonZeroRequests
    hostPorts = info.hostPorts
    nodeName = info.pod.spec.nodeName
    nodeSelector = info.pod.spec.nodeSelector
    nodeAffinity = info.pod.spec.affinity?.nodeAffinity
    tolerations = info.pod.spec.tolerations
    images = info.pod.spec.containers.map(\.image) + info.pod.spec.initContainers.map(\.image)
  }
}

/// What is remembered for one class: the nodes that fit, best first, and why the others do not. A node is looked at again
/// only when the snapshot's log says that it changed, so the next pod of the class costs the nodes changed since the last.
struct PodClass: Sendable {
  private struct Candidate: Comparable, Sendable {
    var score: Int64
    /// Breaks ties by chance, so that equal nodes share the load.
    var lot: UInt32
    var node: String
    var generation: UInt64

    static func < (a: Candidate, b: Candidate) -> Bool { (a.score, a.lot) < (b.score, b.lot) }
  }

  private var candidates = Heap<Candidate>()
  private(set) var refusals: [String: Refusal] = [:]
  private var position: UInt64?
  /// Scores by slot, those that stand for themselves; `unfit` where the pod does not fit.
  private var scores: [Int64] = []
  /// Scores by slot of the plugins whose scores stand in relation to each other's, once anyone has asked.
  private var related: [[Int64]] = []
  private static let unfit = Int64.min

  /// The best node for a pod that has nothing to do with others.
  mutating func best(
    for pod: PodInfo, in snapshot: Snapshot, framework: Framework, random: inout some RandomNumberGenerator
  ) -> String? {
    refresh(pod, snapshot, framework, &random)
    while let top = candidates.max {
      if let info = snapshot.nodes[top.node], info.generation == top.generation { return top.node }
      _ = candidates.popMax()
    }
    return nil
  }

  /// The best node for a pod whose place depends on other pods or nodes, and why the others are none. What is remembered
  /// spares the pass over all nodes everything but the relations.
  mutating func best(
    for pod: PodInfo, in snapshot: Snapshot, framework: Framework, relations: Relations,
    random: inout some RandomNumberGenerator
  ) -> (node: String?, refusals: [String: Refusal]) {
    if related.isEmpty {
      position = nil
      related = framework.score.map { _ in [] }
    }
    refresh(pod, snapshot, framework, &random)
    var refusals = refusals
    var slots: [Int] = []
    for (slot, score) in scores.enumerated() where score != Self.unfit {
      guard let name = snapshot.topology.names[slot] else { continue }
      if let refusal = relations.refusal(slot, name, pod, snapshot, framework) {
        refusals[name] = refusal
      } else {
        slots.append(slot)
      }
    }
    if slots.isEmpty { return (nil, refusals) }
    var totals = slots.map { scores[$0] }
    for (index, plugin) in framework.score.enumerated() where plugin.needsNormalizing(pod) {
      var own = slots.map { related[index][$0] }
      plugin.normalize(&own)
      for at in totals.indices { totals[at] += plugin.weight * own[at] }
    }
    relations.addScores(to: &totals, slots)
    let highest = totals.max()
    let chosen = totals.indices.filter { totals[$0] == highest }.randomElement(using: &random)
    return (chosen.flatMap { snapshot.topology.names[slots[$0]] }, refusals)
  }

  private mutating func refresh(
    _ pod: PodInfo, _ snapshot: Snapshot, _ framework: Framework, _ random: inout some RandomNumberGenerator
  ) {
    defer { position = snapshot.logEnd }
    if let position, let changed = snapshot.changes(since: position), changed.count <= snapshot.nodes.count {
      for name in Set(changed) { evaluate(name, pod, snapshot, framework, &random) }
      // Stale candidates below the top are only dropped when they surface; rebuild before they outnumber the nodes.
      guard candidates.count > 3 * snapshot.nodes.count + 64 else { return }
    }
    candidates = Heap()
    refusals = [:]
    scores = [Int64](repeating: Self.unfit, count: snapshot.topology.slotCount)
    for name in snapshot.nodes.keys { evaluate(name, pod, snapshot, framework, &random) }
  }

  private mutating func evaluate(
    _ name: String, _ pod: PodInfo, _ snapshot: Snapshot, _ framework: Framework,
    _ random: inout some RandomNumberGenerator
  ) {
    guard let info = snapshot.nodes[name] else {
      refusals[name] = nil
      return
    }
    while scores.count < snapshot.topology.slotCount { scores.append(Self.unfit) }
    if let refusal = framework.refusal(of: pod, on: info) {
      refusals[name] = refusal
      scores[info.slot] = Self.unfit
      return
    }
    refusals[name] = nil
    var score: Int64 = 0
    for (index, plugin) in framework.score.enumerated() {
      if plugin.needsNormalizing(pod) {
        guard !related.isEmpty else { continue }
        while related[index].count < snapshot.topology.slotCount { related[index].append(0) }
        related[index][info.slot] = plugin.score(pod, info)
      } else {
        score += plugin.weight * plugin.score(pod, info)
      }
    }
    score += framework.imageScore(pod, info, snapshot)
    scores[info.slot] = score
    candidates.insert(
      Candidate(
        score: score, lot: UInt32.random(in: 0...UInt32.max, using: &random), node: name, generation: info.generation))
  }
}

extension Framework {
  /// The first filter's refusal.
  func refusal(of pod: PodInfo, on node: NodeInfo) -> Refusal? {
    for plugin in filter {
      if let refusal = plugin.filter(pod, node) { return refusal }
    }
    return nil
  }

  func imageScore(_ pod: PodInfo, _ node: NodeInfo, _ snapshot: Snapshot) -> Int64 {
    guard !node.images.isEmpty, let plugin = score.first(where: { $0 is ImageLocality }) else { return 0 }
    return plugin.weight
      * ImageLocality.score(pod, node, .init(nodes: snapshot.imageSpread, total: snapshot.nodes.count))
  }
}
