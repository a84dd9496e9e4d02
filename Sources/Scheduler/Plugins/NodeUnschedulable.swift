import API

/// Cordoned nodes take only pods that tolerate it.
struct NodeUnschedulable: FilterPlugin {
  let name = "NodeUnschedulable"

  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal? {
    guard node.node.spec.unschedulable else { return nil }
    var taint = Taint()
    taint.key = "node.kubernetes.io/unschedulable"
    taint.effect = "NoSchedule"
    guard !pod.pod.spec.tolerations.contains(where: { $0.tolerates(taint) }) else { return nil }
    return Refusal(plugin: name, reasons: ["node(s) were unschedulable"], unresolvable: true)
  }
}
