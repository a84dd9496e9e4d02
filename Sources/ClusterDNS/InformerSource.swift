import API
import Client

/// The zone's view of the cluster: Services, EndpointSlices and Namespaces as the informers hold them.
struct InformerSource: ClusterZone.Source {
  private let services: Informer<Service>
  private let slices: Informer<EndpointSlice>
  private let namespaces: Informer<Namespace>

  init(informers: InformerFactory) {
    services = informers.informer(Service.self)
    slices = informers.informer(EndpointSlice.self)
    namespaces = informers.informer(Namespace.self)
    services.addIndex("dns-address") { service in
      service.spec.clusterIPs.isEmpty ? [service.spec.clusterIP] : service.spec.clusterIPs
    }
    slices.addIndex("dns-service") { slice in
      slice.metadata.labels["kubernetes.io/service-name"].map { ["\(slice.metadata.namespace)/\($0)"] } ?? []
    }
    slices.addIndex("dns-address") { slice in slice.endpoints.flatMap(\.addresses) }
  }

  func waitForSync() async throws {
    try await services.waitForSync()
    try await slices.waitForSync()
    try await namespaces.waitForSync()
  }

  func service(namespace: String, name: String) -> Service? { services.lister.get(namespace: namespace, name: name) }

  func service(withAddress address: String) -> Service? { services.lister.byIndex("dns-address", address).first }

  func slices(namespace: String, service: String) -> [EndpointSlice] {
    slices.lister.byIndex("dns-service", "\(namespace)/\(service)")
  }

  func slice(namespace: String, name: String) -> EndpointSlice? { slices.lister.get(namespace: namespace, name: name) }

  func slices(withAddress address: String) -> [EndpointSlice] { slices.lister.byIndex("dns-address", address) }

  func namespaceExists(_ name: String) -> Bool { namespaces.lister.get(name: name) != nil }
}
