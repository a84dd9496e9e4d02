/// Host ports that are taken.
struct NodePorts: FilterPlugin {
  let name = "NodePorts"

  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal? {
    guard !pod.hostPorts.isEmpty, !node.hostPorts.isEmpty else { return nil }
    let taken = pod.hostPorts.contains { wanted in node.hostPorts.keys.contains { $0.conflicts(with: wanted) } }
    guard taken else { return nil }
    return Refusal(plugin: name, reasons: ["node(s) didn't have free ports for the requested pod ports"])
  }
}
