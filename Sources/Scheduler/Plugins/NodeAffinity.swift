import API

/// Node selectors and node affinity, required and preferred.
struct NodeAffinity: FilterPlugin, ScorePlugin {
  let name = "NodeAffinity"
  var weight: Int64 = 2
  /// What the profile asks of every pod's node besides.
  var added: API.NodeAffinity?

  func filter(_ pod: PodInfo, _ node: NodeInfo) -> Refusal? {
    if let required = added?.requiredDuringSchedulingIgnoredDuringExecution, !Self.matches(required, node.node) {
      return Refusal(
        plugin: name, reasons: ["node(s) didn't match scheduler-enforced node affinity"], unresolvable: true)
    }
    guard !Self.matches(pod.pod, node.node) else { return nil }
    return Refusal(
      plugin: name, reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true)
  }

  func needsNormalizing(_ pod: PodInfo) -> Bool {
    !preferences(pod).isEmpty
  }

  private func preferences(_ pod: PodInfo) -> [PreferredSchedulingTerm] {
    (pod.pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      + (added?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
  }

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 {
    var sum: Int64 = 0
    for term in preferences(pod) where Self.matches(term.preference, node.node) { sum += Int64(term.weight) }
    return sum
  }

  func normalize(_ scores: inout [Int64]) { stretch(&scores, reverse: false) }

  /// Whether the pod's required terms allow the node.
  static func matches(_ pod: Pod, _ node: Node) -> Bool {
    guard pod.spec.nodeSelector.allSatisfy({ node.metadata.labels[$0.key] == $0.value }) else { return false }
    guard let required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution else {
      return true
    }
    return matches(required, node)
  }

  /// Terms are alternatives; a selector without terms matches nothing.
  static func matches(_ selector: NodeSelector, _ node: Node) -> Bool {
    selector.nodeSelectorTerms.contains { matches($0, node) }
  }

  static func matches(_ term: NodeSelectorTerm, _ node: Node) -> Bool {
    guard !term.matchExpressions.isEmpty || !term.matchFields.isEmpty else { return false }
    return term.matchExpressions.allSatisfy { matches($0, node.metadata.labels[$0.key]) }
      && term.matchFields.allSatisfy { $0.key == "metadata.name" && matches($0, node.metadata.name) }
  }

  private static func matches(_ requirement: NodeSelectorRequirement, _ value: String?) -> Bool {
    switch requirement.operator {
    case "In": return value.map(requirement.values.contains) ?? false
    case "NotIn": return !(value.map(requirement.values.contains) ?? false)
    case "Exists": return value != nil
    case "DoesNotExist": return value == nil
    case "Gt", "Lt":
      guard let have = value.flatMap({ Int64($0) }), let bound = requirement.values.first.flatMap({ Int64($0) }) else {
        return false
      }
      return requirement.operator == "Gt" ? have > bound : have < bound
    default: return false
    }
  }
}
