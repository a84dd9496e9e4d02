import API

/// The records of Kubernetes' DNS-Based Service Discovery 1.1.0, answered from what the informers hold.
struct ClusterZone: Sendable {
  /// What a name stands for in the cluster at this moment.
  protocol Source: Sendable {
    func service(namespace: String, name: String) -> Service?
    func service(withAddress address: String) -> Service?
    func slices(namespace: String, service: String) -> [EndpointSlice]
    func slices(withAddress address: String) -> [EndpointSlice]
    func namespaceExists(_ name: String) -> Bool
  }

  /// `answer`: the name exists (with no records of the type asked for: NODATA). `alias`: an ExternalName outside the zone.
  enum Outcome: Hashable, Sendable {
    case answer([Record], additional: [Record])
    case alias([Record], outside: DNSName)
    case absent
    case notMine
  }

  let domain: DNSName
  let timeToLive: UInt32 = 5
  let source: any Source

  init(domain: String, source: any Source) {
    self.domain = DNSName(domain)
    self.source = source
  }

  /// The start-of-authority record that goes with negative answers.
  func authority(serial: UInt32) -> Record {
    Record(
      name: domain, timeToLive: timeToLive,
      data: .soa(
        primary: DNSName(labels: ["ns", "dns"] + domain.labels),
        contact: DNSName(labels: ["hostmaster"] + domain.labels),
        serial: serial, minimum: timeToLive))
  }

  func resolve(_ question: Question) -> Outcome {
    if let reversed = question.name.prefix(before: DNSName("in-addr.arpa")) { return reverse(reversed, question) }
    guard let labels = question.name.prefix(before: domain) else { return .notMine }
    guard let kind = labels.last else { return .answer([], additional: []) }
    if labels == ["dns-version"] {
      return .answer(
        question.type == RecordType.txt ? [record(question, .txt("1.1.0"))] : [], additional: [])
    }
    switch kind {
    case "svc": return service(Array(labels.dropLast()), question)
    case "pod": return pod(Array(labels.dropLast()), question)
    default: return .absent
    }
  }

  private func record(_ question: Question, _ data: Record.Data) -> Record {
    Record(name: question.name, timeToLive: timeToLive, data: data)
  }

  // svc, ns.svc, name.ns.svc, host.name.ns.svc, _proto.name.ns.svc, _port._proto.name.ns.svc
  private func service(_ labels: [String], _ question: Question) -> Outcome {
    guard let namespace = labels.last else { return .answer([], additional: []) }
    guard labels.count > 1 else {
      return source.namespaceExists(namespace) ? .answer([], additional: []) : .absent
    }
    let name = labels[labels.count - 2]
    guard let service = source.service(namespace: namespace, name: name) else { return .absent }
    let rest = Array(labels.dropLast(2))
    if service.spec.type == "ExternalName" {
      guard rest.isEmpty else { return .absent }
      let target = DNSName(service.spec.externalName)
      return .alias([record(question, .cname(target))], outside: target)
    }
    let headless = service.spec.clusterIP == "None"
    if rest.isEmpty {
      let addresses = headless ? backends(of: service).map(\.address) : [service.spec.clusterIP]
      // A headless service without endpoints does not exist by name, as upstream's DNS has it.
      if headless && addresses.isEmpty { return .absent }
      return addressAnswer(Array(Set(addresses)).sorted(), question)
    }
    if rest.count == 1, !rest[0].hasPrefix("_") {
      guard headless else { return .absent }
      let found = backends(of: service).filter { $0.host == rest[0] }.map(\.address)
      return found.isEmpty ? .absent : addressAnswer(Array(Set(found)).sorted(), question)
    }
    if rest.count == 2, rest.allSatisfy({ $0.hasPrefix("_") }) {
      return serviceRecords(service, port: String(rest[0].dropFirst()), proto: String(rest[1].dropFirst()), question)
    }
    return .absent
  }

  private func serviceRecords(_ service: Service, port: String, proto: String, _ question: Question) -> Outcome {
    let name = DNSName(labels: [service.metadata.name, service.metadata.namespace, "svc"] + domain.labels)
    var answers: [Record] = []
    var additional: [Record] = []
    func add(_ number: Int32, target: DNSName, address: String) {
      guard let bytes = Self.bytes(address) else { return }
      answers.append(
        record(question, .srv(priority: 0, weight: 100, port: UInt16(clamping: number), target: target)))
      additional.append(Record(name: target, timeToLive: timeToLive, data: .a(bytes)))
    }
    if service.spec.clusterIP == "None" {
      for backend in backends(of: service) {
        for (number, portName, portProtocol) in backend.ports
        where portName == port && portProtocol.lowercased() == proto {
          add(number, target: DNSName(labels: [backend.host] + name.labels), address: backend.address)
        }
      }
    } else {
      for candidate in service.spec.ports
      where candidate.name == port && (candidate.protocol.isEmpty ? "tcp" : candidate.protocol.lowercased()) == proto {
        add(candidate.port, target: name, address: service.spec.clusterIP)
      }
    }
    guard !answers.isEmpty else { return .absent }
    return question.type == RecordType.srv || question.type == RecordType.any
      ? .answer(answers, additional: additional) : .answer([], additional: [])
  }

  /// `1-2-3-4.namespace.pod`: the address stands in the name ("pods insecure", the mode kubeadm ships).
  private func pod(_ labels: [String], _ question: Question) -> Outcome {
    guard let namespace = labels.last, source.namespaceExists(namespace) else { return .absent }
    guard labels.count > 1 else { return .answer([], additional: []) }
    guard labels.count == 2 else { return .absent }
    let address = labels[0].split(separator: "-", omittingEmptySubsequences: false).joined(separator: ".")
    guard Self.bytes(address) != nil else { return .absent }
    return addressAnswer([address], question)
  }

  private func reverse(_ labels: [String], _ question: Question) -> Outcome {
    guard labels.count == 4 else { return .notMine }
    let address = labels.reversed().joined(separator: ".")
    var names: [DNSName] = []
    if let service = source.service(withAddress: address) {
      names = [DNSName(labels: [service.metadata.name, service.metadata.namespace, "svc"] + domain.labels)]
    } else {
      for slice in source.slices(withAddress: address) {
        guard let service = slice.metadata.labels["kubernetes.io/service-name"] else { continue }
        for endpoint in slice.endpoints where endpoint.addresses.contains(address) {
          guard let host = endpoint.hostname, !host.isEmpty else { continue }
          names.append(DNSName(labels: [host, service, slice.metadata.namespace, "svc"] + domain.labels))
        }
      }
    }
    guard !names.isEmpty else { return .notMine }
    return .answer(
      question.type == RecordType.ptr || question.type == RecordType.any
        ? names.map { record(question, .ptr($0)) } : [],
      additional: [])
  }

  private func addressAnswer(_ addresses: [String], _ question: Question) -> Outcome {
    guard question.type == RecordType.a || question.type == RecordType.any else { return .answer([], additional: []) }
    return .answer(addresses.compactMap(Self.bytes).map { record(question, .a($0)) }, additional: [])
  }

  private struct HeadlessBackend {
    var address: String
    /// The endpoint's host name, or its address with dashes.
    var host: String
    var ports: [(Int32, String, String)]
  }

  private func backends(of service: Service) -> [HeadlessBackend] {
    var found: [HeadlessBackend] = []
    for slice in source.slices(namespace: service.metadata.namespace, service: service.metadata.name)
    where slice.addressType == "IPv4" {
      let ports = slice.ports.map { ($0.port ?? 0, $0.name ?? "", $0.protocol ?? "TCP") }
      for endpoint in slice.endpoints
      where (endpoint.conditions.ready ?? true) || service.spec.publishNotReadyAddresses {
        for address in endpoint.addresses {
          let host = endpoint.hostname.flatMap { $0.isEmpty ? nil : $0 }
          found.append(
            HeadlessBackend(
              address: address, host: host ?? address.split(separator: ".").joined(separator: "-"), ports: ports))
        }
      }
    }
    return found
  }

  static func bytes(_ address: String) -> [UInt8]? {
    let parts = address.split(separator: ".", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { UInt8($0) }
    return parts.count == 4 && bytes.count == 4 ? bytes : nil
  }
}
