import API

extension Endpoints: Validated {
  func validate(_ errors: inout [FieldError]) {
    for (i, subset) in subsets.enumerated() {
      let path = FieldPath("subsets").index(i)
      if subset.addresses.isEmpty && subset.notReadyAddresses.isEmpty {
        errors.append(.required(path, "must specify `addresses` or `notReadyAddresses`"))
      }
      for (field, addresses) in [("addresses", subset.addresses), ("notReadyAddresses", subset.notReadyAddresses)] {
        for (j, address) in addresses.enumerated() {
          let path = path.child(field).index(j)
          checkNonSpecialIP(
            address.ip, path.child("ip"), &errors, loopback: isAPIServerEndpoints(metadata))
          if !address.hostname.isEmpty { checkDNS1123Label(address.hostname, path.child("hostname"), &errors) }
          if let node = address.nodeName { checkDNS1123Subdomain(node, path.child("nodeName"), &errors) }
        }
      }
      for (j, port) in subset.ports.enumerated() {
        let path = path.child("ports").index(j)
        if port.name.isEmpty {
          if subset.ports.count > 1 { errors.append(.required(path.child("name"))) }
        } else {
          checkDNS1123Label(port.name, path.child("name"), &errors)
        }
        checkPort(port.port, path.child("port"), &errors)
        checkRequiredOneOf(port.`protocol`, ["SCTP", "TCP", "UDP"], path.child("protocol"), &errors)
        if let name = port.appProtocol { checkLabelName(name, path.child("appProtocol"), &errors) }
      }
    }
  }
}

extension EndpointSlice: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkRequiredOneOf(addressType, ["FQDN", "IPv4", "IPv6"], FieldPath("addressType"), &errors)
    checkSliceEndpoints(FieldPath("endpoints"), &errors)
    checkSlicePorts(FieldPath("ports"), &errors)
  }

  private func checkSliceEndpoints(_ path: FieldPath, _ errors: inout [FieldError]) {
    if endpoints.count > 1000 {
      errors.append(.tooMany(path, actual: endpoints.count, max: 1000))
      return
    }
    for (i, endpoint) in endpoints.enumerated() {
      let path = path.index(i)
      let addresses = path.child("addresses")
      if endpoint.addresses.isEmpty {
        errors.append(.required(addresses, "must contain at least 1 address"))
      } else if endpoint.addresses.count > 100 {
        errors.append(.tooMany(addresses, actual: endpoint.addresses.count, max: 100))
      }
      for (j, address) in endpoint.addresses.enumerated() { checkSliceAddress(address, addresses.index(j), &errors) }
      if let node = endpoint.nodeName { checkDNS1123Subdomain(node, path.child("nodeName"), &errors) }
      if let name = endpoint.hostname { checkDNS1123Label(name, path.child("hostname"), &errors) }
      let topology = path.child("deprecatedTopology")
      if endpoint.deprecatedTopology.count > 16 {
        errors.append(.tooMany(topology, actual: endpoint.deprecatedTopology.count, max: 16))
      }
      checkLabels(endpoint.deprecatedTopology, topology, &errors)
    }
  }

  private func checkSliceAddress(_ address: String, _ path: FieldPath, _ errors: inout [FieldError]) {
    switch addressType {
    case "IPv4", "IPv6":
      let isV4 = addressType == "IPv4"
      guard let ip = IPAddressBytes(address), ip.isV4 == isV4 else {
        errors.append(
          .invalid(path, address, isV4 ? "must be an IPv4 address" : "must be an IPv6 address"))
        return
      }
      checkNonSpecialIP(address, path, &errors, loopback: isAPIServerEndpoints(metadata))
    case "FQDN": checkDNS1123Subdomain(address, path, &errors)
    default: break
    }
  }

  private func checkSlicePorts(_ path: FieldPath, _ errors: inout [FieldError]) {
    if ports.count > 20_000 {
      errors.append(.tooMany(path, actual: ports.count, max: 20_000))
      return
    }
    var names: Set<String> = []
    for (i, port) in ports.enumerated() {
      let path = path.index(i)
      let name = port.name ?? ""
      if !name.isEmpty { checkDNS1123Label(name, path.child("name"), &errors) }
      if !names.insert(name).inserted { errors.append(.duplicate(path.child("name"), name)) }
      if let number = port.port { checkPort(number, path.child("port"), &errors) }
      checkRequiredOneOf(
        port.`protocol` ?? "", ["SCTP", "TCP", "UDP"], path.child("protocol"), &errors)
      if let name = port.appProtocol { checkLabelName(name, path.child("appProtocol"), &errors) }
    }
  }

  func validateChange(of old: EndpointSlice, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutable(addressType, old.addressType, FieldPath("addressType"), &errors)
  }
}
