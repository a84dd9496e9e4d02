import API

/// Chooses backends for a Service from its EndpointSlices, after upstream's topology and termination rules (KEP-1669,
/// KEP-2086): ready endpoints; where there are none, those that still serve while terminating.
enum BackendSelection {
  /// The IPv4 ports of `service`, with their backends; empty for headless and ExternalName services.
  static func ports(of service: Service, slices: [EndpointSlice], node: String) -> [ServicePort] {
    let spec = service.spec
    guard spec.type != "ExternalName", spec.clusterIP != "None", !spec.clusterIP.isEmpty else { return [] }
    let clusterIPs = addresses(of: service)
    let external =
      spec.externalIPs.filter(isIPv4)
      + service.status.loadBalancer.ingress.filter { $0.ipMode != "Proxy" }.map(\.ip).filter(isIPv4)
    let internalLocal = spec.internalTrafficPolicy == "Local"
    let externalLocal = spec.externalTrafficPolicy == "Local"
    return spec.ports.map { port in
      let all = endpoints(named: port.name, in: slices, node: node, publishNotReady: spec.publishNotReadyAddresses)
      let local = usable(all.filter(\.backend.isLocal))
      let anywhere = usable(all)
      return ServicePort(
        proto: (port.protocol.isEmpty ? "TCP" : port.protocol).lowercased(),
        port: port.port,
        nodePort: port.nodePort,
        addresses: clusterIPs + external,
        externalAddresses: external,
        backends: internalLocal ? local : anywhere,
        externalBackends: externalLocal ? local : anywhere,
        clientAffinity: spec.sessionAffinity == "ClientIP",
        preservesClientAddress: externalLocal)
    }
  }

  /// The Service's IPv4 ClusterIPs.
  static func addresses(of service: Service) -> [String] {
    let spec = service.spec
    guard spec.type != "ExternalName" else { return [] }
    return (spec.clusterIPs.isEmpty ? [spec.clusterIP] : spec.clusterIPs).filter(isIPv4)
  }

  private struct Candidate {
    var backend: Backend
    var ready: Bool
    var serving: Bool
  }

  private static func usable(_ candidates: [Candidate]) -> [Backend] {
    let ready = candidates.filter(\.ready)
    let chosen = ready.isEmpty ? candidates.filter(\.serving) : ready
    return Set(chosen.map(\.backend)).sorted { ($0.address, $0.port) < ($1.address, $1.port) }
  }

  private static func endpoints(
    named name: String, in slices: [EndpointSlice], node: String, publishNotReady: Bool
  ) -> [Candidate] {
    var found: [Candidate] = []
    for slice in slices where slice.addressType == "IPv4" {
      guard let number = slice.ports.first(where: { ($0.name ?? "") == name })?.port else { continue }
      for endpoint in slice.endpoints {
        guard let address = endpoint.addresses.first else { continue }
        let ready = endpoint.conditions.ready ?? true
        found.append(
          Candidate(
            backend: Backend(address: address, port: number, isLocal: endpoint.nodeName == node),
            ready: ready || publishNotReady,
            serving: endpoint.conditions.serving ?? ready))
      }
    }
    return found
  }

  private static func isIPv4(_ address: String) -> Bool {
    let parts = address.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }
}
