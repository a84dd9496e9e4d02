import API
import APIMachinery
import APIMeta

/// Services and what leads to them.
func networkCells(_ object: any APIObject, _ context: CellContext) -> TableRowCells? {
  let name = JSONValue.string(object.metadata.name)
  let age = context.age(object.metadata)
  switch object {
  case let service as Service:
    return TableRowCells([
      name, .string(service.spec.type), cell(service.spec.clusterIPs.first ?? service.spec.clusterIP),
      .string(externalAddress(service)), .string(portsText(service.spec.ports)), age,
      context.labels(service.spec.selector),
    ])
  case let endpoints as Endpoints: return TableRowCells([name, .string(endpointsText(endpoints)), age])
  case let slice as EndpointSlice:
    return TableRowCells([
      name, .string(slice.addressType),
      .string(shortList(slice.ports.map { $0.port.map { String($0) } ?? "*" }, none: "<unset>")),
      .string(shortList(slice.endpoints.flatMap(\.addresses), none: "<unset>")), age,
    ])
  case let ingress as Ingress:
    let hosts = ingress.spec.rules.map(\.host).filter { !$0.isEmpty }
    let addresses = ingress.status.loadBalancer.ingress.map { $0.ip.isEmpty ? $0.hostname : $0.ip }
    return TableRowCells([
      name, cell(ingress.spec.ingressClassName ?? ""), .string(shortList(hosts, none: "*")),
      .string(addresses.joined(separator: ",")), .string(ingress.spec.tls.isEmpty ? "80" : "80, 443"), age,
    ])
  case let ingressClass as IngressClass:
    var parameters = "<none>"
    if let reference = ingressClass.spec.parameters {
      let group = reference.apiGroup ?? ""
      parameters = reference.kind + (group.isEmpty ? "" : ".\(group)") + "/" + reference.name
    }
    return TableRowCells([name, .string(ingressClass.spec.controller), .string(parameters), age])
  case let policy as NetworkPolicy:
    return TableRowCells([name, context.selector(policy.spec.podSelector), age])
  case let address as IPAddress:
    let parent = address.spec.parentRef.map { parent in
      let resource = GroupResource(group: parent.group, resource: parent.resource).description
      return [resource, parent.namespace, parent.name].filter { !$0.isEmpty }.joined(separator: "/")
    }
    return TableRowCells([name, cell(parent ?? "")])
  case let range as ServiceCIDR:
    return TableRowCells([name, .string(range.spec.cidrs.joined(separator: ",")), age])
  default: return nil
  }
}

private func externalAddress(_ service: Service) -> String {
  switch service.spec.type {
  case "LoadBalancer":
    let given = service.status.loadBalancer.ingress.map { $0.ip.isEmpty ? $0.hostname : $0.ip }
    let all = Array(Set(given)).sorted() + service.spec.externalIPs
    return all.isEmpty ? "<pending>" : all.joined(separator: ",")
  case "ExternalName": return service.spec.externalName
  default:
    return service.spec.externalIPs.isEmpty ? "<none>" : service.spec.externalIPs.joined(separator: ",")
  }
}

private func portsText(_ ports: [ServicePort]) -> String {
  if ports.isEmpty { return "<none>" }
  return ports.map { port in
    port.nodePort > 0
      ? "\(port.port):\(port.nodePort)/\(port.protocol)" : "\(port.port)/\(port.protocol)"
  }.joined(separator: ",")
}

private func endpointsText(_ endpoints: Endpoints) -> String {
  var all: [String] = []
  for subset in endpoints.subsets {
    if subset.ports.isEmpty {
      all += subset.addresses.map(\.ip)
    } else {
      for port in subset.ports {
        all += subset.addresses.map { $0.ip.contains(":") ? "[\($0.ip)]:\(port.port)" : "\($0.ip):\(port.port)" }
      }
    }
  }
  return shortList(all, none: "<none>")
}

/// The first three, and how many more.
private func shortList(_ items: [String], none: String) -> String {
  if items.isEmpty { return none }
  let shown = items.prefix(3).joined(separator: ",")
  return items.count > 3 ? "\(shown) + \(items.count - 3) more..." : shown
}
