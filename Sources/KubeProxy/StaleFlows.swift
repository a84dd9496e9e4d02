import Linux

/// UDP flows that the kernel would go on sending to a backend that is no longer one: tracked connections outlive the
/// rules that made them, and UDP has no end that would end them. Pure.
struct StaleFlows: Sendable {
  /// Who may answer for an address and a port.
  private var targets: [Target: Set<NetworkAddress>] = [:]
  private var nodePorts: [UInt16: Set<NetworkAddress>] = [:]

  private struct Target: Hashable {
    var address: NetworkAddress
    var port: UInt16
  }

  /// Whether there is anything to look for.
  var isEmpty: Bool { targets.isEmpty && nodePorts.isEmpty }

  /// Takes the UDP ports of a Service; those that it had and has no more have no backends at all.
  mutating func add(_ ports: [ServicePort], before: [ServicePort]) {
    for port in before where port.proto == "udp" { set(port, removed: true) }
    for port in ports where port.proto == "udp" { set(port, removed: false) }
  }

  private mutating func set(_ port: ServicePort, removed: Bool) {
    func addresses(_ backends: [Backend]) -> Set<NetworkAddress> {
      removed ? [] : Set(backends.compactMap { NetworkAddress($0.address) })
    }
    let internalOnes = addresses(port.backends)
    let externalOnes = addresses(port.externalBackends + (port.isExternalLocal ? port.clusterBackends : []))
    for (list, backends) in [(port.clusterIPs, internalOnes), (port.externalAddresses, externalOnes)] {
      for address in list.compactMap({ NetworkAddress($0) }) {
        targets[Target(address: address, port: UInt16(truncatingIfNeeded: port.port))] = backends
      }
    }
    if port.nodePort != 0 { nodePorts[UInt16(truncatingIfNeeded: port.nodePort)] = externalOnes }
  }

  /// Those of the flows that lead to somebody who is no backend.
  func stale(among flows: [TrackedFlow]) -> [TrackedFlow] {
    flows.filter { flow in
      let backends =
        targets[Target(address: flow.destination, port: flow.destinationPort)] ?? nodePorts[flow.destinationPort]
      guard let backends else { return false }
      return !backends.contains(flow.replySource)
    }
  }
}
