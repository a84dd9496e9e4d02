import API

private let serviceTypes = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
private let kubeletPort: Int32 = 10250

extension Service: Validated {
  static var nameRule: NameRule { .label1035 }

  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    let portsPath = path.child("ports")
    checkCoreFinalizers(metadata.finalizers, FieldPath("metadata").child("finalizers"), &errors)
    let headless = spec.clusterIP == "None"
    if spec.ports.isEmpty && !headless && spec.type != "ExternalName" { errors.append(.required(portsPath)) }
    checkType(path, headless: headless, &errors)
    var names: Set<String> = []
    for (i, port) in spec.ports.enumerated() {
      checkServicePort(port, portsPath.index(i), needsName: spec.ports.count > 1, &names, &errors)
    }
    checkLabels(spec.selector, path.child("selector"), &errors)
    checkAffinity(path, &errors)
    checkClusterIPs(path, &errors)
    for (i, ip) in spec.externalIPs.enumerated() { checkNonSpecialIP(ip, path.child("externalIPs").index(i), &errors) }
    checkRequiredOneOf(spec.type, serviceTypes, path.child("type"), &errors)
    checkPortPairs(portsPath, &errors)
    checkBalancer(path, &errors)
    checkTraffic(path, &errors)
  }

  private func checkType(_ path: FieldPath, headless: Bool, _ errors: inout [FieldError]) {
    switch spec.type {
    case "LoadBalancer":
      for (i, port) in spec.ports.enumerated() where port.port == kubeletPort {
        errors.append(
          .invalid(
            path.child("ports").index(i), port.port,
            "may not expose port \(kubeletPort) externally since it is used by kubelet"))
      }
      if headless {
        errors.append(
          .invalid(path.child("clusterIPs").index(0), "None", "may not be set to 'None' for LoadBalancer services"))
      }
    case "NodePort":
      if headless {
        errors.append(
          .invalid(path.child("clusterIPs").index(0), "None", "may not be set to 'None' for NodePort services"))
      }
    case "ExternalName":
      if !spec.clusterIPs.isEmpty || !spec.clusterIP.isEmpty {
        errors.append(.forbidden(path.child("clusterIPs"), "may not be set for ExternalName services"))
      }
      if !spec.ipFamilies.isEmpty {
        errors.append(.forbidden(path.child("ipFamilies"), "may not be set for ExternalName services"))
      }
      if spec.ipFamilyPolicy != nil {
        errors.append(.forbidden(path.child("ipFamilyPolicy"), "may not be set for ExternalName services"))
      }
      let name = spec.externalName.hasSuffix(".") ? String(spec.externalName.dropLast()) : spec.externalName
      if name.isEmpty {
        errors.append(.required(path.child("externalName")))
      } else {
        checkDNS1123Subdomain(name, path.child("externalName"), &errors)
      }
    default: break
    }
  }

  private func checkAffinity(_ path: FieldPath, _ errors: inout [FieldError]) {
    checkRequiredOneOf(spec.sessionAffinity, ["ClientIP", "None"], path.child("sessionAffinity"), &errors)
    let configPath = path.child("sessionAffinityConfig")
    if spec.sessionAffinity == "ClientIP" {
      guard let timeout = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds else {
        errors.append(.required(configPath, "must be set when sessionAffinity is ClientIP"))
        return
      }
      if timeout <= 0 || timeout > 86_400 {
        errors.append(
          .invalid(
            configPath.child("clientIP").child("timeoutSeconds"), timeout,
            "must be greater than 0 and less than 86400"))
      }
    } else if spec.sessionAffinity == "None" && spec.sessionAffinityConfig != nil {
      errors.append(.forbidden(configPath, "must not be set when session affinity is None"))
    }
  }

  private func checkClusterIPs(_ path: FieldPath, _ errors: inout [FieldError]) {
    let ips = spec.clusterIPs
    let listPath = path.child("clusterIPs")
    if spec.type == "ExternalName" { return }
    if let first = ips.first, spec.clusterIP != first {
      errors.append(.invalid(listPath, ips, "first value must match `clusterIP`"))
    }
    if ips.isEmpty && !spec.clusterIP.isEmpty && spec.clusterIP != "None" {
      checkIP(spec.clusterIP, path.child("clusterIP"), &errors)
    }
    for (i, ip) in ips.enumerated() {
      if i > 0 && ips[0] == "None" {
        errors.append(
          .invalid(listPath.index(i), ip, "'None' must be the first and only value"))
      } else if ip == "None" {
        if i > 0 { errors.append(.invalid(listPath.index(i), ip, "'None' must be the first and only value")) }
      } else {
        checkIP(ip, listPath.index(i), &errors)
      }
    }
    if ips.count > 2 {
      errors.append(
        .invalid(listPath, ips, "may only hold up to 2 values"))
    }
    let families = ips.compactMap { IPAddressBytes($0)?.isV4 }
    if families.count == 2 && families[0] == families[1] {
      errors.append(
        .invalid(
          listPath, ips, "may specify no more than one IP for each IP family, i.e. no more than one IPv4 and one IPv6"))
    }
    for (i, family) in spec.ipFamilies.enumerated() {
      checkOneOf(family, ["IPv4", "IPv6"], path.child("ipFamilies").index(i), &errors)
      if spec.ipFamilies[..<i].contains(family) {
        errors.append(.duplicate(path.child("ipFamilies").index(i), family))
      }
    }
    if let policy = spec.ipFamilyPolicy {
      checkOneOf(
        policy, ["SingleStack", "PreferDualStack", "RequireDualStack"], path.child("ipFamilyPolicy"), &errors)
    }
  }

  private func checkPortPairs(_ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.type == "ClusterIP" {
      for (i, port) in spec.ports.enumerated() where port.nodePort != 0 {
        errors.append(
          .forbidden(path.index(i).child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
      }
    }
    for (i, port) in spec.ports.enumerated() {
      let earlier = spec.ports[..<i]
      if port.nodePort != 0,
        earlier.contains(where: { $0.nodePort == port.nodePort && $0.`protocol` == port.`protocol` })
      {
        errors.append(.duplicate(path.index(i).child("nodePort"), port.nodePort))
      }
      if earlier.contains(where: { $0.port == port.port && $0.`protocol` == port.`protocol` }) {
        let pair = ServicePort {
          $0.`protocol` = port.`protocol`
          $0.port = port.port
        }
        errors.append(.duplicate(path.index(i), FieldJSON(pair)))
      }
    }
  }

  private func checkBalancer(_ path: FieldPath, _ errors: inout [FieldError]) {
    let isBalancer = spec.type == "LoadBalancer"
    if !spec.loadBalancerSourceRanges.isEmpty {
      let path = path.child("loadBalancerSourceRanges")
      if !isBalancer {
        errors.append(.forbidden(path, "may only be used when `type` is 'LoadBalancer'"))
      }
      for (i, range) in spec.loadBalancerSourceRanges.enumerated() {
        checkCIDR(range.filter { $0 != " " }, path.index(i), &errors)
      }
    }
    if isBalancer && spec.allocateLoadBalancerNodePorts == nil {
      errors.append(.required(path.child("allocateLoadBalancerNodePorts")))
    }
    if !isBalancer && spec.allocateLoadBalancerNodePorts != nil {
      errors.append(
        .forbidden(path.child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'"))
    }
    if let name = spec.loadBalancerClass {
      if isBalancer {
        checkLabelName(name, path.child("loadBalancerClass"), &errors)
      } else {
        errors.append(.forbidden(path.child("loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'"))
      }
    }
  }

  private func checkTraffic(_ path: FieldPath, _ errors: inout [FieldError]) {
    let externally =
      spec.type == "LoadBalancer" || spec.type == "NodePort" || (spec.type == "ClusterIP" && !spec.externalIPs.isEmpty)
    let external = path.child("externalTrafficPolicy")
    if !externally {
      if !spec.externalTrafficPolicy.isEmpty {
        errors.append(
          .invalid(external, spec.externalTrafficPolicy, "may only be set for externally-accessible services"))
      }
    } else {
      checkRequiredOneOf(spec.externalTrafficPolicy, ["Cluster", "Local"], external, &errors)
    }
    let needsHealthPort = spec.type == "LoadBalancer" && spec.externalTrafficPolicy == "Local"
    if spec.healthCheckNodePort != 0 {
      if spec.healthCheckNodePort < 0 {
        errors.append(
          .invalid(
            path.child("healthCheckNodePort"), spec.healthCheckNodePort, "must be greater than or equal to 0"))
      } else if !needsHealthPort {
        errors.append(
          .invalid(
            path.child("healthCheckNodePort"), spec.healthCheckNodePort,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
      }
    }
    if let policy = spec.internalTrafficPolicy {
      checkOneOf(policy, ["Cluster", "Local"], path.child("internalTrafficPolicy"), &errors)
    } else if spec.type == "ClusterIP" || spec.type == "NodePort" || spec.type == "LoadBalancer" {
      errors.append(.required(path.child("internalTrafficPolicy")))
    }
    if let preference = spec.trafficDistribution {
      checkOneOf(
        preference, ["PreferClose", "PreferSameNode", "PreferSameZone"], path.child("trafficDistribution"), &errors)
    }
  }

  func validateChange(of old: Service, _ errors: inout [FieldError]) {
    checkClusterIPChange(old, &errors)
    validate(&errors)
  }

  /// Addresses stay while the service needs any; a second one may come and go.
  private func checkClusterIPChange(_ old: Service, _ errors: inout [FieldError]) {
    let typed: Set<String> = ["ClusterIP", "NodePort", "LoadBalancer"]
    guard typed.contains(old.spec.type), typed.contains(spec.type), !old.spec.clusterIPs.isEmpty else { return }
    let path = FieldPath("spec").child("clusterIPs")
    if spec.clusterIPs.isEmpty {
      errors.append(.required(path.index(0), "primary clusterIP can not be unset"))
    } else if spec.clusterIPs[0] != old.spec.clusterIPs[0] {
      errors.append(.invalid(path.index(0), spec.clusterIPs, "may not change once set"))
    } else if spec.clusterIPs.count > 1, old.spec.clusterIPs.count > 1, spec.clusterIPs[1] != old.spec.clusterIPs[1] {
      errors.append(.invalid(path.index(1), spec.clusterIPs, "may not change once set"))
    }
    let families = FieldPath("spec").child("ipFamilies")
    if let before = old.spec.ipFamilies.first {
      if let now = spec.ipFamilies.first, now != before {
        errors.append(.invalid(families.index(0), spec.ipFamilies, "may not change once set"))
      } else if spec.ipFamilies.isEmpty {
        errors.append(.required(families.index(0), "primary ipFamily can not be unset"))
      }
    }
  }

  func validateStatusChange(of old: Service, _ errors: inout [FieldError]) {
    let path = FieldPath("status").child("loadBalancer").child("ingress")
    if spec.type != "LoadBalancer" && !status.loadBalancer.ingress.isEmpty && spec.type == old.spec.type {
      if old.status.loadBalancer != status.loadBalancer {
        errors.append(.forbidden(path, "may only be used when `spec.type` is \"LoadBalancer\""))
      }
    }
    for (i, ingress) in status.loadBalancer.ingress.enumerated() {
      if !ingress.ip.isEmpty { checkIP(ingress.ip, path.index(i).child("ip"), &errors) }
      if ingress.ip.isEmpty && ingress.ipMode != nil {
        errors.append(
          .forbidden(path.index(i).child("ipMode"), "may not be specified when `ip` is not set"))
      }
      if !ingress.hostname.isEmpty {
        checkDNS1123Subdomain(ingress.hostname, path.index(i).child("hostname"), &errors)
        if IPAddressBytes(ingress.hostname) != nil {
          errors.append(
            .invalid(path.index(i).child("hostname"), ingress.hostname, "must be a DNS name, not an IP address"))
        }
      }
    }
  }
}

private func checkServicePort(
  _ port: ServicePort, _ path: FieldPath, needsName: Bool, _ names: inout Set<String>, _ errors: inout [FieldError]
) {
  if needsName && port.name.isEmpty {
    errors.append(.required(path.child("name")))
  } else if !port.name.isEmpty {
    checkDNS1123Label(port.name, path.child("name"), &errors)
    if !names.insert(port.name).inserted { errors.append(.duplicate(path.child("name"), port.name)) }
  }
  checkPort(port.port, path.child("port"), &errors)
  checkRequiredOneOf(port.`protocol`, ["SCTP", "TCP", "UDP"], path.child("protocol"), &errors)
  checkPort(port.targetPort, path.child("targetPort"), &errors)
  if let name = port.appProtocol { checkLabelName(name, path.child("appProtocol"), &errors) }
  if port.nodePort < 0 || port.nodePort > 65535 {
    errors.append(.invalid(path.child("nodePort"), port.nodePort, portRangeMessage))
  }
}
