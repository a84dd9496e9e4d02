import API

/// What is to be done so that the cloud's routes are those of the nodes' pod ranges.
struct RoutePlan: Sendable, Equatable {
  /// A route that is missing.
  struct Missing: Sendable, Hashable {
    var node: String
    var range: String
  }

  var create: [Missing] = []
  var delete: [CloudRoute] = []
  /// The nodes all of whose ranges have their routes already.
  var complete: Set<String> = []

  /// Routes to ranges outside of the cluster's own are not ours to touch.
  init(nodes: [Node], routes: [CloudRoute], cluster: [AddressRange]) {
    var wanted: [String: Set<AddressRange>] = [:]
    for node in nodes.sorted(by: { $0.metadata.name < $1.metadata.name }) {
      let name = node.metadata.name
      let ranges = Self.ranges(node)
      wanted[name] = Set(ranges.compactMap(AddressRange.init))
      let present = Set(
        routes.filter { $0.targetNode == name && !$0.isBlackhole }.compactMap { AddressRange($0.destinationCIDR) })
      let missing = ranges.filter { AddressRange($0).map { !present.contains($0) } ?? true }
      create += missing.map { Missing(node: name, range: $0) }
      if !ranges.isEmpty, missing.isEmpty { complete.insert(name) }
    }
    delete = routes.filter { route in
      guard let range = AddressRange(route.destinationCIDR), cluster.contains(where: { $0.contains(range) }) else {
        return false
      }
      return route.isBlackhole || !(wanted[route.targetNode]?.contains(range) ?? false)
    }
  }

  /// The node's pod ranges.
  static func ranges(_ node: Node) -> [String] {
    if !node.spec.podCIDRs.isEmpty { return node.spec.podCIDRs }
    return node.spec.podCIDR.isEmpty ? [] : [node.spec.podCIDR]
  }

  /// The condition that says whether the node's pods can be reached; nil when it says so already.
  static func condition(of node: Node, routesCreated: Bool, now: Time) -> NodeCondition? {
    let status = routesCreated ? "False" : "True"
    if node.status.conditions.condition("NetworkUnavailable")?.status == status { return nil }
    return NodeCondition {
      $0.type = "NetworkUnavailable"
      $0.status = status
      $0.reason = routesCreated ? "RouteCreated" : "NoRouteCreated"
      $0.message =
        routesCreated ? "RouteController created a route" : "RouteController failed to create a route"
      $0.lastTransitionTime = now
      $0.lastHeartbeatTime = now
    }
  }
}
