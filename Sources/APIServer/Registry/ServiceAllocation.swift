import API
import APIMachinery

// Addresses and ports of a service that is being created or changed.
extension Registry {
  func allocateForCreate(_ object: inout LiveObject, _ context: WriteContext, _ admitted: inout AdmissionRequest)
    throws
  {
    guard context.subresource.isEmpty, var service = object.as(Service.self) else { return }
    try allocate(&service, old: nil, context, &admitted)
    object = .typed(service)
  }

  func allocateForUpdate(
    _ object: inout LiveObject, _ before: LiveObject, _ context: WriteContext, _ admitted: inout AdmissionRequest
  ) throws {
    guard context.subresource.isEmpty, var service = object.as(Service.self), let old = before.as(Service.self)
    else { return }
    keepAllocated(&service, old)
    try allocate(&service, old: old, context, &admitted)
    object = .typed(service)
  }

  /// A client that leaves allocated values out keeps them.
  private func keepAllocated(_ service: inout Service, _ old: Service) {
    if Self.needsAddress(service), Self.needsAddress(old) {
      if service.spec.clusterIP.isEmpty {
        service.spec.clusterIP = service.spec.clusterIPs.first ?? old.spec.clusterIP
      }
      if service.spec.clusterIPs.isEmpty, service.spec.clusterIP == old.spec.clusterIP {
        service.spec.clusterIPs = old.spec.clusterIPs
      }
    }
    if Self.needsNodePorts(service), Self.needsNodePorts(old) {
      var known: [String: Int32] = [:]
      for port in old.spec.ports { known["\(port.protocol)/\(port.port)"] = port.nodePort }
      let used = Set(service.spec.ports.map(\.nodePort))
      for index in service.spec.ports.indices where service.spec.ports[index].nodePort == 0 {
        let port = service.spec.ports[index]
        if let nodePort = known["\(port.protocol)/\(port.port)"], !used.contains(nodePort) {
          service.spec.ports[index].nodePort = nodePort
        }
      }
    }
    if Self.needsHealthCheck(service), Self.needsHealthCheck(old), service.spec.healthCheckNodePort == 0 {
      service.spec.healthCheckNodePort = old.spec.healthCheckNodePort
    }
  }

  static func needsAddress(_ service: Service) -> Bool {
    service.spec.type != "ExternalName"
  }

  static func needsNodePorts(_ service: Service) -> Bool {
    service.spec.type == "NodePort"
      || (service.spec.type == "LoadBalancer" && service.spec.allocateLoadBalancerNodePorts != false)
  }

  static func needsHealthCheck(_ service: Service) -> Bool {
    service.spec.type == "LoadBalancer" && service.spec.externalTrafficPolicy == "Local"
  }

  private func allocate(
    _ service: inout Service, old: Service?, _ context: WriteContext, _ admitted: inout AdmissionRequest
  ) throws {
    var takenAddresses: [UInt32] = []
    var takenPorts: [ServiceAllocator.NodePort] = []
    let errors = allocateAddress(&service, old, &takenAddresses) + allocatePorts(&service, old, &takenPorts)
    // Committed values are kept by the service's own event; a dry run or a failure gives them back.
    admitted.atEnd { [addresses, takenAddresses, takenPorts] committed in
      if !committed { addresses.give(takenAddresses, takenPorts) }
    }
    if !errors.isEmpty { throw context.invalid(service.metadata.name, errors) }
  }

  private func allocateAddress(_ service: inout Service, _ old: Service?, _ taken: inout [UInt32]) -> [FieldError] {
    guard Self.needsAddress(service) else {
      // What an ExternalName service had before is released with its event.
      if old.map(Self.needsAddress) == true {
        if service.spec.clusterIP == old?.spec.clusterIP { service.spec.clusterIP = "" }
        service.spec.clusterIPs = []
        service.spec.ipFamilies = []
        service.spec.ipFamilyPolicy = nil
      }
      return []
    }
    if service.spec.clusterIPs.isEmpty, !service.spec.clusterIP.isEmpty {
      service.spec.clusterIPs = [service.spec.clusterIP]
    } else if service.spec.clusterIP.isEmpty, let first = service.spec.clusterIPs.first {
      service.spec.clusterIP = first
    }
    let headless = service.spec.clusterIP == "None"
    setFamilies(&service, headless: headless)
    if headless { return [] }
    if let old, !service.spec.clusterIP.isEmpty, old.spec.clusterIP == service.spec.clusterIP { return [] }
    if service.spec.clusterIP.isEmpty {
      guard let address = addresses.takeAddress() else {
        return [
          .internal(
            FieldPath("spec.clusterIPs"),
            "failed to allocate a serviceIP: range is full")
        ]
      }
      taken.append(address)
      service.spec.clusterIP = IPv4Range.text(address)
      service.spec.clusterIPs = [service.spec.clusterIP]
      return []
    }
    let text = service.spec.clusterIP
    func bad(_ detail: String) -> [FieldError] {
      [.invalid("spec.clusterIPs", service.spec.clusterIPs, "failed to allocate IP \(text): \(detail)")]
    }
    guard let address = IPv4Range.parse(text) else {
      return [.invalid("spec.clusterIPs[0]", text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    }
    switch addresses.takeAddress(address) {
    case nil: taken.append(address)
    case .outOfRange:
      return bad(
        "the provided network does not match the current range: the provided IP (\(text)) is not in the valid range. "
          + "The range of valid IPs is \(addresses.range)")
    default: return bad("provided IP is already allocated")
    }
    return []
  }

  private func setFamilies(_ service: inout Service, headless: Bool) {
    if headless, service.spec.selector.isEmpty {
      // Whoever writes the endpoints of such a service may use either family.
      if service.spec.ipFamilyPolicy == nil { service.spec.ipFamilyPolicy = "RequireDualStack" }
      if service.spec.ipFamilies.isEmpty { service.spec.ipFamilies = ["IPv4"] }
      if service.spec.ipFamilyPolicy != "SingleStack", service.spec.ipFamilies.count == 1 {
        service.spec.ipFamilies.append(service.spec.ipFamilies[0] == "IPv4" ? "IPv6" : "IPv4")
      }
      return
    }
    if service.spec.ipFamilyPolicy == nil { service.spec.ipFamilyPolicy = "SingleStack" }
    if service.spec.ipFamilies.isEmpty { service.spec.ipFamilies = ["IPv4"] }
  }

  private func allocatePorts(
    _ service: inout Service, _ old: Service?, _ taken: inout [ServiceAllocator.NodePort]
  ) -> [FieldError] {
    var errors: [FieldError] = []
    let oldPorts = Set(
      (old?.spec.ports ?? []).filter { $0.nodePort != 0 }
        .map { ServiceAllocator.NodePort(port: $0.nodePort, protocol: $0.protocol) })
    if Self.needsNodePorts(service) {
      // Explicit ports first, so that none of them is given to a neighbour.
      for (index, port) in service.spec.ports.enumerated() where port.nodePort != 0 {
        let wanted = ServiceAllocator.NodePort(port: port.nodePort, protocol: port.protocol)
        if oldPorts.contains(wanted) { continue }
        if let error = take(wanted, "spec.ports[\(index)].nodePort", &taken) { errors.append(error) }
      }
      for index in service.spec.ports.indices where service.spec.ports[index].nodePort == 0 {
        let port = service.spec.ports[index]
        // The same port under another protocol shares its node port.
        let twin = service.spec.ports.first {
          $0.port == port.port && $0.protocol != port.protocol && $0.nodePort != 0
        }
        if let twin {
          let wanted = ServiceAllocator.NodePort(port: twin.nodePort, protocol: port.protocol)
          if addresses.takePort(wanted) == nil {
            taken.append(wanted)
            service.spec.ports[index].nodePort = twin.nodePort
            continue
          }
        }
        guard let free = addresses.takePort(protocol: port.protocol) else {
          errors.append(
            .internal(
              FieldPath("spec.ports[\(index)].nodePort"), "failed to allocate a nodePort: range is full"))
          continue
        }
        taken.append(ServiceAllocator.NodePort(port: free, protocol: port.protocol))
        service.spec.ports[index].nodePort = free
      }
    } else if old.map(Self.needsNodePorts) == true, service.spec.type == "ClusterIP" {
      // Ports that the change of type makes void are dropped if the client merely sent them back.
      let before = Set((old?.spec.ports ?? []).map(\.nodePort))
      for index in service.spec.ports.indices where before.contains(service.spec.ports[index].nodePort) {
        service.spec.ports[index].nodePort = 0
      }
    }
    if Self.needsHealthCheck(service) {
      if service.spec.healthCheckNodePort == 0 {
        if let free = addresses.takePort(protocol: "TCP") {
          taken.append(ServiceAllocator.NodePort(port: free, protocol: "TCP"))
          service.spec.healthCheckNodePort = free
        }
      } else if service.spec.healthCheckNodePort != old?.spec.healthCheckNodePort {
        let wanted = ServiceAllocator.NodePort(port: service.spec.healthCheckNodePort, protocol: "TCP")
        if let error = take(wanted, "spec.healthCheckNodePort", &taken) { errors.append(error) }
      }
    } else if let old, Self.needsHealthCheck(old), service.spec.healthCheckNodePort == old.spec.healthCheckNodePort {
      service.spec.healthCheckNodePort = 0
    }
    return errors
  }

  private func take(
    _ port: ServiceAllocator.NodePort, _ field: String, _ taken: inout [ServiceAllocator.NodePort]
  ) -> FieldError? {
    switch addresses.takePort(port) {
    case nil:
      taken.append(port)
      return nil
    case .outOfRange:
      return .invalid(
        field, port.port,
        "provided port is not in the valid range. The range of valid ports is "
          + "\(addresses.ports.lowerBound)-\(addresses.ports.upperBound)")
    default: return .invalid(field, port.port, "provided port is already allocated")
    }
  }
}
