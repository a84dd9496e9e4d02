/// Requests must fit into what is left; the emptier the node, the better (LeastAllocated).
struct NodeResourcesFit: FilterPlugin, ScorePlugin {
  let name = "NodeResourcesFit"
  var weight: Int64 = 1
  var strategy = ScoringStrategy()
  /// Extended resources that others look after, by name and by what is before the slash.
  var ignored: Set<String> = []
  var ignoredGroups: Set<String> = []

  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal? {
    var reasons: [String] = []
    var unresolvable = false
    if Int64(node.pods.count) + 1 > node.allowedPods { reasons.append("Too many pods") }
    func check(_ name: String, _ wanted: Int64, _ used: Int64, _ total: Int64) {
      guard wanted > 0, wanted > total - used else { return }
      reasons.append("Insufficient \(name)")
      if wanted > total { unresolvable = true }
    }
    let wanted = pod.requests
    check("cpu", wanted.milliCPU, node.requested.milliCPU, node.allocatable.milliCPU)
    check("memory", wanted.memory, node.requested.memory, node.allocatable.memory)
    check(
      "ephemeral-storage", wanted.ephemeralStorage, node.requested.ephemeralStorage, node.allocatable.ephemeralStorage)
    for (name, amount) in wanted.scalar.sorted(by: { $0.key < $1.key }) {
      if ignored.contains(name) || ignoredGroups.contains(String(name.prefix { $0 != "/" })) && name.contains("/") {
        continue
      }
      check(name, amount, node.requested.scalar[name] ?? 0, node.allocatable.scalar[name] ?? 0)
    }
    return reasons.isEmpty ? nil : Refusal(plugin: name, reasons: reasons, unresolvable: unresolvable)
  }

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 { strategy.score(pod, node) }
}
