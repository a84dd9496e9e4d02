import API

/// Which node answers for a service address. Every node reckons it from the same objects; nobody is asked.
enum SpeakerElection {
  /// The condition of a Service whose address comes from the pool and must be spoken for.
  static let condition = "metal.apus.dev/AddressAllocated"

  /// The node that speaks for an address: that whose hash with the address is the highest, so that a node that comes or
  /// goes moves no address but its own.
  static func speaker(for address: IPv4, among nodes: [String]) -> String? {
    nodes.max { (weight($0, address), $0) < (weight($1, address), $1) }
  }

  /// The addresses that a node speaks for.
  static func addresses(
    of node: String, services: [Service], nodes: [Node], slices: (Service) -> [EndpointSlice]
  ) -> Set<IPv4> {
    var own: Set<IPv4> = []
    for service in services where service.spec.type == "LoadBalancer" && service.status.conditions.isTrue(condition) {
      let candidates = ServingNodes.of(service, nodes: nodes, slices: slices(service)).map(\.metadata.name)
      for ingress in service.status.loadBalancer.ingress {
        guard let address = IPv4(ingress.ip), speaker(for: address, among: candidates) == node else { continue }
        own.insert(address)
      }
    }
    return own
  }

  /// FNV-1a, mixed once more: names that differ in their last letter must not lie beside each other.
  private static func weight(_ node: String, _ address: IPv4) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in Array(node.utf8) + [0] + address.bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
    hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
    return hash ^ (hash >> 31)
  }
}
