import API

/// Slices whose endpoints are processes of a node itself, as those of the cluster's DNS: no pod stands behind them whose
/// readiness would say when they are gone, so the node's does. Pure.
enum NodeEndpoints {
  static let index = "node-endpoints"
  private static let managers: Set<String> = ["cluster-dns.apus.dev"]

  /// The node that a slice belongs to.
  static func owners(_ slice: EndpointSlice) -> [String] {
    guard let manager = slice.metadata.labels[EndpointSliceDecision.managedByLabel], managers.contains(manager) else {
      return []
    }
    return slice.metadata.ownerReferences.filter { $0.kind == "Node" }.map(\.name)
  }

  /// The slice as it should be while its node is ready or not; nil when it is.
  static func following(_ slice: EndpointSlice, isReady: Bool) -> EndpointSlice? {
    guard slice.endpoints.contains(where: { ($0.conditions.ready ?? true) != isReady }) else { return nil }
    var changed = slice
    for index in changed.endpoints.indices {
      changed.endpoints[index].conditions.ready = isReady
      changed.endpoints[index].conditions.serving = isReady
    }
    return changed
  }
}
