import API

/// A pod that names a node runs there or nowhere.
struct NodeName: FilterPlugin {
  let name = "NodeName"

  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal? {
    let wanted = pod.pod.spec.nodeName
    guard !wanted.isEmpty, wanted != node.node.metadata.name else { return nil }
    return Refusal(
      plugin: name, reasons: ["node(s) didn't match the requested node name"], unresolvable: true)
  }
}
