import API
import HeapModule

/// Everything about a pod that filters and scores look at. Pods with equal classes fit the same nodes equally well.
struct PodClassKey: Hashable, Sendable {
  var requests: Resources
  var nonZeroRequests: Resources
  var hostPorts: Set<HostPort>
  var nodeName: String
  var nodeSelector: [String: String]
  var nodeAffinity: API.NodeAffinity?
  var tolerations: [Toleration]

  init(_ info: PodInfo) {
    requests = info.requests
    nonZeroRequests = info.nonZeroRequests
    hostPorts = info.hostPorts
    nodeName = info.pod.spec.nodeName
    nodeSelector = info.pod.spec.nodeSelector
    nodeAffinity = info.pod.spec.affinity?.nodeAffinity
    tolerations = info.pod.spec.tolerations
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

  /// The best node for the pod. Scores must not depend on other nodes (`Framework` says when they do).
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
    if let refusal = framework.refusal(of: pod, on: info) {
      refusals[name] = refusal
      return
    }
    refusals[name] = nil
    var score: Int64 = 0
    for plugin in framework.score where !plugin.needsNormalizing(pod) {
      score += plugin.weight * plugin.score(pod, info)
    }
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

  /// The best node found by looking at all of them, for pods whose scores depend on the other nodes.
  func bestByFullPass(
    for pod: PodInfo, in snapshot: Snapshot, allowed: (String) -> Refusal?, random: inout some RandomNumberGenerator
  ) -> (node: String?, refusals: [String: Refusal]) {
    var refusals: [String: Refusal] = [:]
    var fitting: [NodeInfo] = []
    for (name, info) in snapshot.nodes {
      if let refusal = refusal(of: pod, on: info) ?? allowed(name) {
        refusals[name] = refusal
      } else {
        fitting.append(info)
      }
    }
    var totals = [Int64](repeating: 0, count: fitting.count)
    for plugin in score {
      var scores = fitting.map { plugin.score(pod, $0) }
      plugin.normalize(&scores)
      for index in totals.indices { totals[index] += plugin.weight * scores[index] }
    }
    guard let highest = totals.max() else { return (nil, refusals) }
    let chosen = totals.indices.filter { totals[$0] == highest }.randomElement(using: &random)
    return (chosen.map { fitting[$0].node.metadata.name }, refusals)
  }
}
