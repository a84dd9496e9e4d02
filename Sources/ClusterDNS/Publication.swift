import API
import Client

/// The Service `kube-dns` and the EndpointSlice that leads to this server. It has no selector: no pod stands behind it.
struct Publication: Sendable {
  let client: APIClient
  let serviceAddress: String
  let address: String
  let port: Int32
  private static let namespace = "kube-system"
  private static let name = "kube-dns"

  /// Writes only what differs.
  func reconcile() async throws {
    do {
      let service = try await client.get(Service.self, namespace: Self.namespace, name: Self.name)
      // Somebody runs another DNS behind this name: theirs stays.
      guard service.spec.selector.isEmpty else { return }
    } catch let error as StatusError where error.code == 404 {
      _ = try await client.create(service)
    }
    let wanted = slice
    do {
      var current = try await client.get(EndpointSlice.self, namespace: Self.namespace, name: wanted.metadata.name)
      guard current.endpoints.map(\.addresses) != wanted.endpoints.map(\.addresses) || current.ports != wanted.ports
      else { return }
      current.endpoints = wanted.endpoints
      current.ports = wanted.ports
      _ = try await client.update(current)
    } catch let error as StatusError where error.code == 404 {
      _ = try await client.create(wanted)
    }
  }

  private var service: Service {
    var service = Service()
    service.metadata.name = Self.name
    service.metadata.namespace = Self.namespace
    service.metadata.labels = [
      "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
    ]
    service.spec.clusterIP = serviceAddress
    service.spec.clusterIPs = [serviceAddress]
    service.spec.ports = [("dns", "UDP"), ("dns-tcp", "TCP")].map { name, transport in
      var port = ServicePort()
      port.name = name
      port.protocol = transport
      port.port = 53
      return port
    }
    return service
  }

  private var slice: EndpointSlice {
    var slice = EndpointSlice()
    slice.metadata.name = "kube-dns-apus"
    slice.metadata.namespace = Self.namespace
    slice.metadata.labels = [
      "kubernetes.io/service-name": Self.name, "endpointslice.kubernetes.io/managed-by": "cluster-dns.apus.dev",
    ]
    slice.addressType = "IPv4"
    var endpoint = Endpoint()
    endpoint.addresses = [address]
    endpoint.conditions.ready = true
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
