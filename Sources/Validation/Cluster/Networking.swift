import API

extension NetworkPolicy: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkLabelSelector(spec.podSelector, path.child("podSelector"), &errors)
    for (i, rule) in spec.ingress.enumerated() {
      let path = path.child("ingress").index(i)
      checkPolicyPorts(rule.ports, path.child("ports"), &errors)
      for (j, peer) in rule.from.enumerated() { checkPeer(peer, path.child("from").index(j), &errors) }
    }
    for (i, rule) in spec.egress.enumerated() {
      let path = path.child("egress").index(i)
      checkPolicyPorts(rule.ports, path.child("ports"), &errors)
      for (j, peer) in rule.to.enumerated() { checkPeer(peer, path.child("to").index(j), &errors) }
    }
    if spec.policyTypes.count > 2 {
      errors.append(
        .invalid(path.child("policyTypes"), spec.policyTypes, "may not specify more than two policyTypes"))
      return
    }
    for (i, type) in spec.policyTypes.enumerated() {
      checkOneOf(type, ["Egress", "Ingress"], path.child("policyTypes").index(i), &errors)
    }
  }

  private func checkPolicyPorts(_ ports: [NetworkPolicyPort], _ path: FieldPath, _ errors: inout [FieldError]) {
    for (i, port) in ports.enumerated() {
      let path = path.index(i)
      if let name = port.`protocol` { checkOneOf(name, ["SCTP", "TCP", "UDP"], path.child("protocol"), &errors) }
      if let number = port.port { checkPort(number, path.child("port"), &errors) }
      guard let end = port.endPort else { continue }
      switch port.port {
      case nil:
        errors.append(
          .required(path.child("port"), "must be specified when endPort is specified"))
      case .string:
        errors.append(
          .invalid(path.child("endPort"), end, "may not be specified when `port` is non-numeric"))
      case .int(let start):
        if end < start {
          errors.append(.invalid(path.child("endPort"), end, "must be greater than or equal to `port`"))
        }
        checkPort(end, path.child("endPort"), &errors)
      }
    }
  }

  private func checkPeer(_ peer: NetworkPolicyPeer, _ path: FieldPath, _ errors: inout [FieldError]) {
    let selects = peer.podSelector != nil || peer.namespaceSelector != nil
    checkLabelSelector(peer.podSelector, path.child("podSelector"), &errors)
    checkLabelSelector(peer.namespaceSelector, path.child("namespaceSelector"), &errors)
    if let block = peer.ipBlock {
      if selects {
        errors.append(.forbidden(path, "may not specify both ipBlock and another peer"))
      }
      checkBlock(block, path.child("ipBlock"), &errors)
    } else if !selects {
      errors.append(.required(path, "must specify a peer"))
    }
  }

  private func checkBlock(_ block: IPBlock, _ path: FieldPath, _ errors: inout [FieldError]) {
    if block.cidr.isEmpty {
      errors.append(.required(path.child("cidr")))
      return
    }
    guard let outer = CIDRBlock(block.cidr) else {
      errors.append(.invalid(path.child("cidr"), block.cidr, cidrMessage))
      return
    }
    for (i, exception) in block.except.enumerated() {
      let path = path.child("except").index(i)
      guard let inner = CIDRBlock(exception) else {
        errors.append(.invalid(path, exception, cidrMessage))
        continue
      }
      if !outer.contains(inner) || inner.length <= outer.length {
        errors.append(.invalid(path, exception, "must be a strict subset of `cidr`"))
      }
    }
  }
}

extension IngressClass: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if spec.controller.utf8.count > 250 { errors.append(.tooLong(path.child("controller"), max: 250)) }
    if spec.controller.isEmpty {
      errors.append(.required(path.child("controller")))
    } else if spec.controller.split(separator: "/", omittingEmptySubsequences: false).count < 2 {
      errors.append(
        .invalid(
          path.child("controller"), spec.controller, "must be a domain-prefixed path (such as \"acme.io/foo\")"))
    }
    guard let parameters = spec.parameters else { return }
    let parametersPath = path.child("parameters")
    checkRequiredField(parameters.kind, parametersPath.child("kind"), "kind is required", &errors)
    checkRequiredField(parameters.name, parametersPath.child("name"), "name is required", &errors)
    switch parameters.scope {
    case "Cluster":
      if parameters.namespace != nil {
        errors.append(
          .forbidden(
            parametersPath.child("namespace"), "`parameters.scope` is set to 'Cluster'"))
      }
    case "Namespace":
      if (parameters.namespace ?? "").isEmpty {
        errors.append(
          .required(
            parametersPath.child("namespace"), "`parameters.scope` is set to 'Namespace'"))
      }
    default:
      errors.append(.notSupported(parametersPath.child("scope"), parameters.scope ?? "", ["Cluster", "Namespace"]))
    }
  }

  private func checkRequiredField(
    _ value: String, _ path: FieldPath, _ hint: String, _ errors: inout [FieldError]
  ) {
    if value.isEmpty { errors.append(.required(path, hint)) }
  }

  func validateChange(of old: IngressClass, _ errors: inout [FieldError]) {
    checkImmutable(spec.controller, old.spec.controller, FieldPath("spec").child("controller"), &errors)
    validate(&errors)
  }
}

extension IPAddress: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkIP(metadata.name, FieldPath("metadata").child("name"), &errors)
    if let parent = spec.parentRef {
      let path = FieldPath("spec").child("parentRef")
      checkRequired(parent.resource, path.child("resource"), &errors)
      checkRequired(parent.name, path.child("name"), &errors)
    } else {
      errors.append(.required(FieldPath("spec").child("parentRef"), "is required"))
    }
  }

  static var nameRule: NameRule { .pathSegment }

  func validateChange(of old: IPAddress, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(spec.parentRef, old.spec.parentRef, FieldPath("spec").child("parentRef"), &errors)
  }
}

extension ServiceCIDR: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec").child("cidrs")
    if spec.cidrs.isEmpty { errors.append(.required(path, "at least one CIDR required")) }
    if spec.cidrs.count > 2 {
      errors.append(.invalid(path, spec.cidrs, "must only specify up to two values, one IPv4 and one IPv6"))
    }
    for (i, block) in spec.cidrs.enumerated() { checkCIDR(block, path.index(i), &errors) }
  }
}
