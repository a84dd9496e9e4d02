import API

extension Ingress: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if spec.rules.isEmpty && spec.defaultBackend == nil {
      errors.append(.invalid(path, spec.rules, "either `defaultBackend` or `rules` must be specified"))
    }
    if let backend = spec.defaultBackend { checkBackend(backend, path.child("defaultBackend"), &errors) }
    for (i, rule) in spec.rules.enumerated() { checkRule(rule, path.child("rules").index(i), &errors) }
    for (i, tls) in spec.tls.enumerated() {
      for (j, host) in tls.hosts.enumerated() {
        checkHost(host, path.child("tls").index(i).child("hosts").index(j), &errors)
      }
      if !tls.secretName.isEmpty {
        checkDNS1123Subdomain(tls.secretName, path.child("tls").index(i).child("secretName"), &errors)
      }
    }
    if let name = spec.ingressClassName {
      checkDNS1123Subdomain(name, path.child("ingressClassName"), &errors)
    }
  }

  private func checkHost(_ host: String, _ path: FieldPath, _ errors: inout [FieldError]) {
    if host.contains("*") {
      checkProblems(Names.isWildcardDNS1123Subdomain(host), host, path, &errors)
    } else {
      checkDNS1123Subdomain(host, path, &errors)
    }
  }

  private func checkRule(_ rule: IngressRule, _ path: FieldPath, _ errors: inout [FieldError]) {
    if !rule.host.isEmpty {
      if IPAddressBytes(rule.host) != nil {
        errors.append(.invalid(path.child("host"), rule.host, "must be a DNS name, not an IP address"))
      }
      checkHost(rule.host, path.child("host"), &errors)
    }
    guard let http = rule.http else { return }
    let path = path.child("http").child("paths")
    if http.paths.isEmpty { errors.append(.required(path)) }
    for (i, entry) in http.paths.enumerated() {
      checkPath(entry, path.index(i), &errors)
      checkBackend(entry.backend, path.index(i).child("backend"), &errors)
    }
  }

  private func checkPath(_ entry: HTTPIngressPath, _ path: FieldPath, _ errors: inout [FieldError]) {
    guard let type = entry.pathType else {
      errors.append(.required(path.child("pathType"), "pathType must be specified"))
      return
    }
    let place = path.child("path")
    switch type {
    case "Exact", "Prefix":
      if !entry.path.hasPrefix("/") { errors.append(.invalid(place, entry.path, "must be an absolute path")) }
      for sequence in ["//", "/./", "/../", "%2f", "%2F"] where entry.path.asciiRange(of: sequence) != nil {
        errors.append(.invalid(place, entry.path, "must not contain '\(sequence)'"))
      }
      for suffix in ["/..", "/."] where entry.path.hasSuffix(suffix) {
        errors.append(.invalid(place, entry.path, "cannot end with '\(suffix)'"))
      }
    case "ImplementationSpecific":
      if !entry.path.isEmpty && !entry.path.hasPrefix("/") {
        errors.append(.invalid(place, entry.path, "must be an absolute path"))
      }
    default:
      errors.append(
        .notSupported(path.child("pathType"), type, ["Exact", "ImplementationSpecific", "Prefix"]))
    }
  }

  private func checkBackend(_ backend: IngressBackend, _ path: FieldPath, _ errors: inout [FieldError]) {
    switch (backend.service, backend.resource) {
    case (nil, nil): errors.append(.required(path, "resource or service backend is required"))
    case (.some, .some):
      errors.append(.invalid(path, "", "cannot set both resource and service backends"))
    case (nil, let resource?):
      if resource.kind.isEmpty { errors.append(.required(path.child("resource", "kind"))) }
      if resource.name.isEmpty { errors.append(.required(path.child("resource", "name"))) }
    case (let service?, nil):
      if service.name.isEmpty {
        errors.append(.required(path.child("service", "name")))
      } else {
        checkProblems(Names.isDNS1035Label(service.name), service.name, path.child("service", "name"), &errors)
      }
      let portPath = path.child("service", "port")
      let port = service.port ?? ServiceBackendPort()
      if !port.name.isEmpty && port.number != 0 {
        errors.append(.invalid(path, "", "cannot set both port name & port number"))
      } else if !port.name.isEmpty {
        checkProblems(portNameProblems(port.name), port.name, portPath.child("name"), &errors)
      } else if port.number != 0 {
        checkPort(port.number, portPath.child("number"), &errors)
      } else {
        errors.append(.required(path, "port name or number is required"))
      }
    }
  }

  func validateStatusChange(of old: Ingress, _ errors: inout [FieldError]) {
    for (i, ingress) in status.loadBalancer.ingress.enumerated() {
      let path = FieldPath("status").child("loadBalancer").child("ingress").index(i)
      if !ingress.ip.isEmpty { checkIP(ingress.ip, path.child("ip"), &errors) }
      if !ingress.hostname.isEmpty { checkDNS1123Subdomain(ingress.hostname, path.child("hostname"), &errors) }
    }
  }
}
