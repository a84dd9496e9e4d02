import API
import Linux

/// Where this proxy runs, for the choice of backends.
struct NodePlace: Hashable, Sendable {
  var name: String
  /// The label `topology.kubernetes.io/zone`; empty where there is none.
  var zone = ""

  static let zoneLabel = "topology.kubernetes.io/zone"
}

/// Chooses backends for a Service from its EndpointSlices, after upstream's topology and termination rules (KEP-1669,
/// KEP-2086, KEP-2433, KEP-3015): ready endpoints, those hinted for this node or zone where all are hinted; where none is
/// ready, those that still serve while terminating.
enum BackendSelection {
  /// The IPv4 ports of `service`, with their backends; empty for headless and ExternalName services.
  static func ports(of service: Service, slices: [EndpointSlice], node: String, zone: String = "") -> [ServicePort] {
    ports(of: service, slices: slices, place: NodePlace(name: node, zone: zone))
  }

  /// The same for a place.
  static func ports(of service: Service, slices: [EndpointSlice], place: NodePlace) -> [ServicePort] {
    let spec = service.spec
    guard spec.type != "ExternalName", spec.clusterIP != "None", !spec.clusterIP.isEmpty else { return [] }
    let clusterIPs = addresses(of: service)
    let balancers = service.status.loadBalancer.ingress.filter { $0.ipMode != "Proxy" }.map(\.ip).filter(isIPv4)
    var external: [String] = []
    for address in spec.externalIPs.filter(isIPv4) + balancers where !external.contains(address) {
      external.append(address)
    }
    let internalLocal = spec.internalTrafficPolicy == "Local"
    let externalLocal = spec.externalTrafficPolicy == "Local" && spec.type != "ClusterIP"
    let affinity =
      spec.sessionAffinity == "ClientIP" ? spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10800 : nil
    return spec.ports.map { port in
      let all = endpoints(named: port.name, in: slices, place: place, publishNotReady: spec.publishNotReadyAddresses)
      let local = usable(all.filter(\.backend.isLocal))
      let cluster = usable(all, near: place)
      return ServicePort(
        identity: "\(service.metadata.namespace)/\(service.metadata.name):\(port.name)",
        proto: (port.protocol.isEmpty ? "TCP" : port.protocol).lowercased(),
        port: port.port,
        nodePort: port.nodePort,
        clusterIPs: clusterIPs,
        externalAddresses: external,
        firewalledAddresses: balancers,
        sourceRanges: sourceRanges(spec.loadBalancerSourceRanges),
        backends: internalLocal ? local : cluster,
        externalBackends: externalLocal ? local : cluster,
        clusterBackends: cluster,
        affinitySeconds: affinity,
        isExternalLocal: externalLocal)
    }
  }

  /// The Service's IPv4 ClusterIPs.
  static func addresses(of service: Service) -> [String] {
    let spec = service.spec
    guard spec.type != "ExternalName" else { return [] }
    return (spec.clusterIPs.isEmpty ? [spec.clusterIP] : spec.clusterIPs).filter(isIPv4)
  }

  /// How many endpoints on this node are ready, for the health check of a Service with the policy `Local`.
  static func readyLocalEndpoints(of slices: [EndpointSlice], place: NodePlace) -> Int {
    var found: Set<String> = []
    for slice in slices where slice.addressType == "IPv4" {
      for endpoint in slice.endpoints where endpoint.nodeName == place.name && endpoint.conditions.ready ?? true {
        found.formUnion(endpoint.addresses.prefix(1))
      }
    }
    return found.count
  }

  private struct Candidate {
    var backend: Backend
    var ready: Bool
    var serving: Bool
    var nodeHints: [String]
    var zoneHints: [String]
  }

  private static func usable(_ candidates: [Candidate], near place: NodePlace? = nil) -> [Backend] {
    let ready = candidates.filter(\.ready)
    var chosen = ready.isEmpty ? candidates.filter(\.serving) : ready
    if !ready.isEmpty, let place { chosen = hinted(ready, place) }
    return Set(chosen.map(\.backend)).sorted { ($0.address, $0.port) < ($1.address, $1.port) }
  }

  /// Hints count only when every endpoint has them and some are meant for here: a half-written slice must not cut
  /// anybody off.
  private static func hinted(_ ready: [Candidate], _ place: NodePlace) -> [Candidate] {
    if ready.allSatisfy({ !$0.nodeHints.isEmpty }) {
      let here = ready.filter { $0.nodeHints.contains(place.name) }
      if !here.isEmpty { return here }
    }
    guard !place.zone.isEmpty, ready.allSatisfy({ !$0.zoneHints.isEmpty }) else { return ready }
    let here = ready.filter { $0.zoneHints.contains(place.zone) }
    return here.isEmpty ? ready : here
  }

  private static func endpoints(
    named name: String, in slices: [EndpointSlice], place: NodePlace, publishNotReady: Bool
  ) -> [Candidate] {
    var found: [Candidate] = []
    for slice in slices where slice.addressType == "IPv4" {
      guard let number = slice.ports.first(where: { ($0.name ?? "") == name })?.port else { continue }
      for endpoint in slice.endpoints {
        guard let address = endpoint.addresses.first else { continue }
        let ready = endpoint.conditions.ready ?? true
        found.append(
          Candidate(
            backend: Backend(address: address, port: number, isLocal: endpoint.nodeName == place.name),
            ready: ready || publishNotReady,
            serving: endpoint.conditions.serving ?? ready,
            nodeHints: endpoint.hints?.forNodes.map(\.name) ?? [],
            zoneHints: endpoint.hints?.forZones.map(\.name) ?? []))
      }
    }
    return found
  }

  /// Ranges that no other of them holds: the kernel's set takes no overlap.
  private static func sourceRanges(_ texts: [String]) -> [String] {
    let ranges = Set(texts.compactMap { IPPrefix($0.filter { !$0.isWhitespace }) }.filter(\.address.isIPv4))
    // Everybody may: no rule is needed, and nothing of the kind `0.0.0.0/0` is a set's element.
    if ranges.contains(where: { $0.length == 0 }) { return [] }
    return ranges.filter { range in !ranges.contains { $0 != range && $0.contains(range) } }.map(\.description).sorted()
  }

  private static func isIPv4(_ address: String) -> Bool {
    let parts = address.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }
}
