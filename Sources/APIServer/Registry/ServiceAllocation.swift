import API
import APIMachinery

// Addresses and ports of a service that is being created or changed.
extension Registry {
  func allocateForCreate(_ object: inout LiveObject, _ context: WriteContext, _ claims: inout ServiceClaims)
    async throws
  {
    guard context.subresource.isEmpty, var service = object.as(Service.self) else { return }
    try await allocate(&service, old: nil, context, &claims)
    object = .typed(service)
  }

  func allocateForUpdate(
    _ object: inout LiveObject, _ before: LiveObject, _ context: WriteContext, _ claims: inout ServiceClaims
  ) async throws {
    guard context.subresource.isEmpty, var service = object.as(Service.self), let old = before.as(Service.self)
    else { return }
    keepAllocated(&service, old)
    Self.dropVoidFields(&service, old)
    try await allocate(&service, old: old, context, &claims)
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

  /// What the change of type makes void is dropped if the client merely sent it back.
  private static func dropVoidFields(_ service: inout Service, _ old: Service) {
    func isExternal(_ service: Service) -> Bool {
      service.spec.type == "NodePort" || service.spec.type == "LoadBalancer"
        || (service.spec.type == "ClusterIP" && !service.spec.externalIPs.isEmpty)
    }
    if isExternal(old), !isExternal(service), service.spec.externalTrafficPolicy == old.spec.externalTrafficPolicy {
      service.spec.externalTrafficPolicy = ""
    }
    guard old.spec.type == "LoadBalancer", service.spec.type != "LoadBalancer" else { return }
    if service.spec.allocateLoadBalancerNodePorts == old.spec.allocateLoadBalancerNodePorts {
      service.spec.allocateLoadBalancerNodePorts = nil
    }
    if service.spec.loadBalancerClass == old.spec.loadBalancerClass { service.spec.loadBalancerClass = nil }
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
    _ service: inout Service, old: Service?, _ context: WriteContext, _ claims: inout ServiceClaims
  ) async throws {
    let dryRun = context.options.dryRun
    var errors = try await allocateAddress(&service, old, &claims, dryRun: dryRun)
    errors += try await allocatePorts(&service, old, &claims, dryRun: dryRun)
    if !errors.isEmpty { throw context.invalid(service.metadata.name, errors) }
  }

  private func allocateAddress(
    _ service: inout Service, _ old: Service?, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> [FieldError] {
    guard Self.needsAddress(service) else {
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
    let owner = ServiceClaims.Owner(service)
    if service.spec.clusterIP.isEmpty {
      guard let address = try await claimAddress(for: owner, &claims, dryRun: dryRun) else {
        return [.internal(FieldPath("spec.clusterIPs"), "failed to allocate a serviceIP: range is full")]
      }
      service.spec.clusterIP = IPv4Range.text(address)
      service.spec.clusterIPs = [service.spec.clusterIP]
      return []
    }
    let text = service.spec.clusterIP
    func bad(_ detail: String) -> [FieldError] {
      [.invalid("spec.clusterIPs", [text], "failed to allocate IP \(text): \(detail)")]
    }
    guard let address = IPv4Range.parse(text) else {
      return [.invalid("spec.clusterIPs[0]", text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    }
    guard addresses.range.contains(address) else {
      return bad(
        "the provided network does not match the current range: the provided IP (\(text)) is not in the valid range. "
          + "The range of valid IPs is \(addresses.range)")
    }
    guard try await claim(address: address, for: owner, &claims, dryRun: dryRun) else {
      return bad("provided IP is already allocated")
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
    _ service: inout Service, _ old: Service?, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> [FieldError] {
    let owner = ServiceClaims.Owner(service)
    var errors: [FieldError] = []
    // A service may use a port that it has for several protocols.
    var mine = Set((old?.spec.ports ?? []).map(\.nodePort))
    mine.remove(0)
    if Self.needsNodePorts(service) {
      // Explicit ports first, so that none of them is given to a neighbour.
      for (index, port) in service.spec.ports.enumerated() where port.nodePort != 0 && !mine.contains(port.nodePort) {
        let field = "spec.ports[\(index)].nodePort"
        if let error = try await take(port.nodePort, field, owner, &claims, dryRun: dryRun) {
          errors.append(error)
        } else {
          mine.insert(port.nodePort)
        }
      }
      for index in service.spec.ports.indices where service.spec.ports[index].nodePort == 0 {
        let port = service.spec.ports[index]
        // The same port under another protocol shares its node port.
        let twin = service.spec.ports.first {
          $0.port == port.port && $0.protocol != port.protocol && mine.contains($0.nodePort)
        }
        if let twin,
          !service.spec.ports.contains(where: { $0.nodePort == twin.nodePort && $0.protocol == port.protocol })
        {
          service.spec.ports[index].nodePort = twin.nodePort
        } else if let free = try await claimPort(for: owner, &claims, dryRun: dryRun) {
          service.spec.ports[index].nodePort = free
          mine.insert(free)
        } else {
          errors.append(
            .internal(FieldPath("spec.ports[\(index)].nodePort"), "failed to allocate a nodePort: range is full"))
        }
      }
    } else if old.map(Self.needsNodePorts) == true, service.spec.type != "LoadBalancer" {
      // Ports that the change of type makes void are dropped if the client merely sent them back.
      for index in service.spec.ports.indices where mine.contains(service.spec.ports[index].nodePort) {
        service.spec.ports[index].nodePort = 0
      }
    }
    if Self.needsHealthCheck(service) {
      if service.spec.healthCheckNodePort == 0 {
        if let free = try await claimPort(for: owner, &claims, dryRun: dryRun) {
          service.spec.healthCheckNodePort = free
        }
      } else if service.spec.healthCheckNodePort != old?.spec.healthCheckNodePort {
        let port = service.spec.healthCheckNodePort
        let field = "spec.healthCheckNodePort"
        if let error = try await take(port, field, owner, &claims, dryRun: dryRun) { errors.append(error) }
      }
    } else if let old, Self.needsHealthCheck(old), service.spec.healthCheckNodePort == old.spec.healthCheckNodePort {
      service.spec.healthCheckNodePort = 0
    }
    return errors
  }

  private func take(
    _ port: Int32, _ field: String, _ owner: ServiceClaims.Owner, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> FieldError? {
    guard addresses.ports.contains(Int(port)) else {
      return .invalid(
        field, port,
        "provided port is not in the valid range. The range of valid ports is "
          + "\(addresses.ports.lowerBound)-\(addresses.ports.upperBound)")
    }
    if try await claim(port: port, for: owner, &claims, dryRun: dryRun) { return nil }
    return .invalid(field, port, "provided port is already allocated")
  }
}
