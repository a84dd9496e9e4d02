import API

/// Hard taints must be tolerated; of the soft ones, the fewer untolerated the better.
struct TaintToleration: FilterPlugin, ScorePlugin {
  let name = "TaintToleration"
  var weight: Int64 = 3

  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal? {
    let hard = node.node.spec.taints.first { taint in
      (taint.effect == "NoSchedule" || taint.effect == "NoExecute")
        && !pod.pod.spec.tolerations.contains { $0.tolerates(taint) }
    }
    guard let hard else { return nil }
    return Refusal(
      plugin: name, reasons: ["node(s) had untolerated taint {\(hard.key): \(hard.value)}"],
      unresolvable: true)
  }

  /// Whether the pod can be put on a node as far as its taints go.
  static func tolerates(_ pod: Pod, _ node: Node) -> Bool {
    node.spec.taints.allSatisfy { taint in
      taint.effect == "PreferNoSchedule" || pod.spec.tolerations.contains { $0.tolerates(taint) }
    }
  }

  /// Whether soft taints play a part is the nodes' affair; the snapshot counts them.
  func needsNormalizing(_ pod: PodInfo) -> Bool { true }

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 {
    Int64(
      node.node.spec.taints.count { taint in
        taint.effect == "PreferNoSchedule" && !pod.pod.spec.tolerations.contains { $0.tolerates(taint) }
      })
  }

  func normalize(_ scores: inout [Int64]) { stretch(&scores, reverse: true) }
}
