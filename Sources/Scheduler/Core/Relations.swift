import API

/// What a pod's place has to do with other pods, and with more than one node at a time: made anew for each try.
struct Relations: Sendable {
  private let spread: PodTopologySpread?
  private let affinity: InterPodAffinity?
  private let volumes: (@Sendable (String) -> Refusal?)?
  private let hasNominated: Bool
  private let comparesNodes: Bool

  /// `isDefaulted`: the pod's spreading is not its own wish.
  init(
    _ pod: PodInfo, _ snapshot: inout Snapshot, _ framework: Framework, isDefaulted: Bool,
    volumes: (@Sendable (String) -> Refusal?)?
  ) {
    self.volumes = volumes
    spread = PodTopologySpread(pod, &snapshot, isDefaulted: isDefaulted)
    affinity = InterPodAffinity(pod, &snapshot)
    hasNominated = !snapshot.nominated.isEmpty
    comparesNodes =
      framework.score.contains { plugin in
        plugin.needsNormalizing(pod) && !(plugin is TaintToleration && snapshot.softTainted.isEmpty)
      }
  }

  /// Whether there is nothing of the kind: the best node by itself is the best.
  var isEmpty: Bool { spread == nil && affinity == nil && volumes == nil && !hasNominated && !comparesNodes }

  func refusal(
    _ slot: Int, _ name: String, _ pod: PodInfo, _ snapshot: Snapshot, _ framework: Framework
  ) -> Refusal? {
    if hasNominated, snapshot.nominated[name] != nil, let info = snapshot.nodes[name],
      let refusal = framework.refusal(of: pod, on: snapshot.view(info, for: pod))
    {
      return refusal
    }
    return volumes?(name) ?? spread?.refusal(slot) ?? affinity?.refusal(slot)
  }

  func addScores(to totals: inout [Int64], _ slots: [Int]) {
    if let spread, spread.prefers {
      for (index, score) in spread.scores(slots).enumerated() { totals[index] += PodTopologySpread.weight * score }
    }
    if let affinity, affinity.prefers {
      for (index, score) in affinity.scores(slots).enumerated() { totals[index] += InterPodAffinity.weight * score }
    }
  }
}
