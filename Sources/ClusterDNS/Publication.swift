import API
import Client

/// The Service `kube-dns`, and this node's EndpointSlice of it. The Service has no selector: no pod stands behind it but
/// one process of every node, and a pod asks its own node's first.
struct Publication: Sendable {
  let client: APIClient
  let source: InformerSource
  let serviceAddress: String
  let nodeName: String
  let address: String
  let port: Int32
  /// Whether this instance makes the Service where it is missing.
  let makesService: Bool
  static let namespace = "kube-system"
  static let name = "kube-dns"
  static let manager = "cluster-dns.apus.dev"

  /// Why nothing could be published yet.
  struct NotYet: Error, CustomStringConvertible {
    let description: String
  }

  /// Writes only what differs.
  func reconcile() async throws {
    if let service = source.service(namespace: Self.namespace, name: Self.name) {
      // Somebody runs another DNS behind this name: theirs stays.
      guard service.spec.selector.isEmpty else { return }
      if makesService, service.spec.trafficDistribution != Self.distribution {
        var changed = service
        changed.spec.trafficDistribution = Self.distribution
        try await unlessRefused { _ = try await client.update(changed) }
      }
    } else if makesService {
      try await unlessRefused { _ = try await client.create(service) }
    }
    let node: Node
    do {
      node = try await client.get(Node.self, name: nodeName)
    } catch let error as StatusError where error.code == 404 {
      throw NotYet(description: "node \(nodeName) is not registered yet")
    }
    let wanted = slice(of: node)
    guard var current = source.slice(namespace: Self.namespace, name: wanted.metadata.name) else {
      _ = try await client.create(wanted)
      return
    }
    guard !Self.agree(current, wanted) else { return }
    // Whether the node is ready is for the node controller to say.
    let conditions = current.endpoints.first?.conditions
    current.metadata.labels = wanted.metadata.labels
    current.metadata.ownerReferences = wanted.metadata.ownerReferences
    current.endpoints = wanted.endpoints
    if let conditions { current.endpoints[0].conditions = conditions }
    current.ports = wanted.ports
    _ = try await client.update(current)
  }

  /// The Service is the servers' to write: an instance without the right, or one that is later than another, goes on.
  private func unlessRefused(_ write: () async throws -> Void) async throws {
    do {
      try await write()
    } catch let error as StatusError where error.code == 403 || error.code == 409 {}
  }

  static func agree(_ one: EndpointSlice, _ other: EndpointSlice) -> Bool {
    func endpoint(_ slice: EndpointSlice) -> [String] {
      slice.endpoints.flatMap { endpoint in
        endpoint.addresses + [endpoint.nodeName ?? ""] + (endpoint.hints?.forNodes.map(\.name) ?? [])
      }
    }
    return endpoint(one) == endpoint(other) && one.ports.map(\.port) == other.ports.map(\.port)
      && one.metadata.ownerReferences.map(\.uid) == other.metadata.ownerReferences.map(\.uid)
  }

  private static let distribution = "PreferSameNode"

  private var service: Service {
    var service = Service()
    service.metadata.name = Self.name
    service.metadata.namespace = Self.namespace
    service.metadata.labels = [
      "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
    ]
    service.spec.clusterIP = serviceAddress
    service.spec.clusterIPs = [serviceAddress]
    service.spec.trafficDistribution = Self.distribution
    service.spec.ports = [("dns", "UDP"), ("dns-tcp", "TCP")].map { name, transport in
      var port = ServicePort()
      port.name = name
      port.protocol = transport
      port.port = 53
      return port
    }
    return service
  }

  func slice(of node: Node) -> EndpointSlice {
    var slice = EndpointSlice()
    slice.metadata.name = "\(Self.name)-\(nodeName)"
    slice.metadata.namespace = Self.namespace
    slice.metadata.labels = [
      "kubernetes.io/service-name": Self.name, "endpointslice.kubernetes.io/managed-by": Self.manager,
    ]
    var owner = OwnerReference()
    owner.apiVersion = "v1"
    owner.kind = "Node"
    owner.name = node.metadata.name
    owner.uid = node.metadata.uid
    slice.metadata.ownerReferences = [owner]
    slice.addressType = "IPv4"
    var endpoint = Endpoint()
    endpoint.addresses = [address]
    endpoint.conditions.ready = true
    endpoint.conditions.serving = true
    endpoint.nodeName = nodeName
    var hints = EndpointHints()
    hints.forNodes = [ForNode { $0.name = nodeName }]
    endpoint.hints = hints
    slice.endpoints = [endpoint]
    slice.ports = [("dns", "UDP"), ("dns-tcp", "TCP")].map { name, transport in
      var port = DiscoveryEndpointPort()
      port.name = name
      port.protocol = transport
      port.port = self.port
      return port
    }
    return slice
  }
}
