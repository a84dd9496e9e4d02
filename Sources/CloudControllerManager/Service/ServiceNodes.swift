import API

/// Which nodes a load balancer leads to. As in upstream's stable set, readiness does not count: the balancer's own
/// health checks notice first, and a set that flaps costs connections.
enum ServiceNodes {
  /// A node with this label serves no load balancer.
  static let excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"
  /// A node with this taint is about to be removed by the cluster autoscaler.
  static let toBeDeletedTaint = "ToBeDeletedByClusterAutoscaler"

  /// The nodes that belong to the set, by name.
  static func eligible(_ nodes: [Node]) -> [Node] {
    nodes.filter { node in
      node.metadata.deletionTimestamp == nil && isIncluded(node)
        && !node.spec.taints.contains { $0.key == toBeDeletedTaint }
    }.sorted { $0.metadata.name < $1.metadata.name }
  }

  /// Whether the node's owner lets it serve.
  static func isIncluded(_ node: Node) -> Bool { node.metadata.labels[excludeLabel] == nil }

  /// Whether a change of a node may change sets. The autoscaler's taint is only looked at when something else happens.
  static func concerns(from old: Node, to new: Node) -> Bool {
    isIncluded(old) != isIncluded(new) || old.spec.providerID != new.spec.providerID
  }

  /// Whether two sets lead to the same machines.
  static func same(_ a: [Node], _ b: [Node]) -> Bool {
    func keys(_ nodes: [Node]) -> Set<String> { Set(nodes.map { "\($0.metadata.name) \($0.spec.providerID)" }) }
    return keys(a) == keys(b)
  }

  /// Names for an event, not more than it can hold.
  static func names(_ nodes: [Node]) -> String {
    let shown = nodes.prefix(10).map(\.metadata.name).joined(separator: " ")
    return "[\(shown)\(nodes.count > 10 ? " ..." : "")]"
  }
}
