import API
import APIMachinery

/// Where a Service's pods listen, found as upstream's endpoint-routing resolver finds it: no proxy need run where the
/// API server does.
struct ServiceBackends {
  /// Why there is nobody to connect to: upstream's condition reasons and texts.
  struct Unavailable: Error, CustomStringConvertible {
    var reason: String
    var description: String
  }

  let registry: Registry

  /// Address and port of one of the ready backends of a Service's port; of the Service itself if it has no pods of its
  /// own (`ExternalName`).
  func find(namespace: String, name: String, port: Int32) throws -> (host: String, port: Int) {
    let what = "service/\(name) in \(goQuoted(namespace))"
    guard let service = registry.object(Service.self, namespace: namespace, name: name) else {
      throw Unavailable(reason: "ServiceNotFound", description: "\(what) is not present")
    }
    if service.spec.type == "ExternalName" { return (service.spec.externalName, Int(port)) }
    guard let chosen = service.spec.ports.first(where: { $0.port == port }) else {
      throw Unavailable(reason: "ServicePortError", description: "\(what) is not listening on port \(port)")
    }
    let slices = slices(namespace, name)
    guard !slices.isEmpty else {
      throw Unavailable(reason: "EndpointsNotFound", description: "cannot find endpointslices for \(what)")
    }
    guard let backend = Self.ready(slices, port: chosen.name).randomElement() else {
      throw Unavailable(
        reason: "MissingEndpoints",
        description: "endpoints for \(what) have no addresses with port name \(goQuoted(chosen.name))")
    }
    return backend
  }

  func slices(_ namespace: String, _ name: String) -> [EndpointSlice] {
    registry.list(EndpointSlice.self, namespace: namespace).filter {
      $0.metadata.labels["kubernetes.io/service-name"] == name
    }
  }

  /// The addresses and ports that serve a Service's port of that name.
  static func ready(_ slices: [EndpointSlice], port name: String) -> [(host: String, port: Int)] {
    var found: [(host: String, port: Int)] = []
    for slice in slices {
      for port in slice.ports where port.name ?? "" == name {
        guard let number = port.port else { continue }
        for endpoint in slice.endpoints where endpoint.conditions.ready ?? true {
          for address in endpoint.addresses { found.append((address, Int(number))) }
        }
      }
    }
    return found
  }
}
