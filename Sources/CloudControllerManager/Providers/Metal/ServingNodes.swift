import API

/// The nodes that can serve a Service's traffic from outside.
enum ServingNodes {
  /// Nodes that are ready and not kept out by their owners; with the external traffic policy Local only those with a
  /// ready endpoint of their own.
  static func of(_ service: Service, nodes: [Node], slices: [EndpointSlice]) -> [Node] {
    let ready = ServiceNodes.eligible(nodes).filter(\.isReady)
    guard service.spec.externalTrafficPolicy == "Local" else { return ready }
    var local: Set<String> = []
    for slice in slices {
      for endpoint in slice.endpoints where endpoint.conditions.ready ?? true {
        if let node = endpoint.nodeName { local.insert(node) }
      }
    }
    return ready.filter { local.contains($0.metadata.name) }
  }

  /// A load balancer that is the nodes themselves: their external addresses, or where no node has one their internal
  /// ones, of the families that the Service has.
  static func status(_ service: Service, _ nodes: [Node]) -> LoadBalancerStatus {
    func addresses(_ type: String) -> [String] {
      var seen: Set<String> = []
      return nodes.flatMap { $0.status.addresses }.filter { address in
        guard address.type == type, let bytes = AddressBytes(address.address) else { return false }
        let family = bytes.bytes.count == 4 ? "IPv4" : "IPv6"
        return service.spec.ipFamilies.isEmpty || service.spec.ipFamilies.contains(family)
      }.map(\.address).filter { seen.insert($0).inserted }
    }
    let external = addresses("ExternalIP")
    return status(of: external.isEmpty ? addresses("InternalIP") : external)
  }

  /// A load balancer of some addresses.
  static func status(of addresses: [String]) -> LoadBalancerStatus {
    var status = LoadBalancerStatus()
    status.ingress = addresses.map { address in
      LoadBalancerIngress {
        $0.ip = address
        $0.ipMode = "VIP"
      }
    }
    return status
  }

  /// Whether a change of a node may change who serves.
  static func concerns(from old: Node, to new: Node) -> Bool {
    old.isReady != new.isReady || ServiceNodes.isIncluded(old) != ServiceNodes.isIncluded(new)
      || old.spec.taints != new.spec.taints || old.status.addresses != new.status.addresses
      || old.metadata.deletionTimestamp != new.metadata.deletionTimestamp
  }

  /// The index that files slices under their Service, and the key it files them under.
  static let index = "load-balancer-service"

  static func owner(_ slice: EndpointSlice) -> ObjectKey? {
    guard let name = slice.metadata.labels["kubernetes.io/service-name"], !name.isEmpty else { return nil }
    return ObjectKey(namespace: slice.metadata.namespace, name: name)
  }

  static func indexKeys(_ slice: EndpointSlice) -> [String] { owner(slice).map { [$0.description] } ?? [] }
}
