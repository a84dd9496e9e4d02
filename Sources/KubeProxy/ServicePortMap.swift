/// One backend of a service port.
struct Backend: Hashable, Sendable {
  var address: String
  var port: Int32
  /// Whether it runs on this node, for the `Local` traffic policies.
  var isLocal: Bool
}

/// What the proxy needs of one port of one Service, with its backends already chosen.
struct ServicePort: Hashable, Sendable {
  /// The Service's key and the port's name: what affinity is remembered for.
  var identity: String
  /// `tcp`, `udp` or `sctp`, as nftables spells it.
  var proto: String
  var port: Int32
  var nodePort: Int32
  var clusterIPs: [String]
  /// External IPs and load-balancer addresses, whose traffic follows `externalBackends`.
  var externalAddresses: [String]
  /// Those of them that only `sourceRanges` may reach.
  var firewalledAddresses: [String]
  var sourceRanges: [String]
  /// Backends for ClusterIPs.
  var backends: [Backend]
  /// Backends for traffic from outside; local ones under `externalTrafficPolicy: Local`.
  var externalBackends: [Backend]
  /// Backends for pods and for the node itself when they use an address meant for outside: all, whatever the policy.
  var clusterBackends: [Backend]
  /// How long a client stays with its backend under `sessionAffinity: ClientIP`.
  var affinitySeconds: Int32?
  /// `externalTrafficPolicy: Local`: the client's address is kept, there is no masquerade.
  var isExternalLocal: Bool
}

/// Elements of the nftables maps and sets that one Service contributes: container name → key → value ("" for sets).
typealias Elements = [Container: [String: String]]

/// The maps and sets of the proxy's table, in the order in which they are made.
enum Container: String, CaseIterable, Sendable {
  case serviceEndpoints = "service-endpoints"
  case services
  case nodePortEndpoints = "nodeport-endpoints"
  case nodePorts = "nodeports"
  /// The same for traffic from pods and the node itself to addresses with the policy `Local`.
  case shortEndpoints = "short-endpoints"
  case shortServices = "short-services"
  case shortNodePortEndpoints = "short-nodeport-endpoints"
  case shortNodePorts = "short-nodeports"
  case hairpin
  case noEndpoints = "no-endpoint-services"
  case noEndpointNodePorts = "no-endpoint-nodeports"
  case clusterIPs = "cluster-ips"
  case localNodePorts = "local-nodeports"
  /// External addresses with the policy `Local`, and those with the policy `Cluster`.
  case localExternals = "local-externals"
  case clusterExternals = "cluster-externals"
  /// Addresses that only some sources may reach, and the sources.
  case firewalled
  case firewallAllowed = "firewall-allowed"

  /// A map's value says `tcp dport` for what stands for any protocol's port: with `th dport`, nft 1.0.6 refuses a later
  /// batch whose rule matches the protocol first ("conflicting protocols specified").
  var declaration: String {
    let name = "ip \(Ruleset.table) \(rawValue)"
    let address = "ip daddr . meta l4proto . th dport"
    let port = "meta l4proto . th dport"
    switch self {
    case .serviceEndpoints, .shortEndpoints:
      return "map \(name) { typeof \(address) . numgen random mod 2 : ip daddr . tcp dport ; }"
    case .services, .shortServices, .noEndpoints: return "map \(name) { typeof \(address) : verdict ; }"
    case .nodePortEndpoints, .shortNodePortEndpoints:
      return "map \(name) { typeof \(port) . numgen random mod 2 : ip daddr . tcp dport ; }"
    case .nodePorts, .shortNodePorts, .noEndpointNodePorts: return "map \(name) { typeof \(port) : verdict ; }"
    case .hairpin: return "set \(name) { typeof ip saddr . ip daddr ; }"
    case .localExternals, .clusterExternals, .firewalled: return "set \(name) { typeof \(address) ; }"
    case .localNodePorts: return "set \(name) { typeof \(port) ; }"
    case .clusterIPs: return "set \(name) { typeof ip daddr ; }"
    case .firewallAllowed:
      return "set \(name) { type ipv4_addr . inet_proto . inet_service . ipv4_addr ; flags interval ; }"
    }
  }

  /// Whether several Services can ask for the same element.
  var isShared: Bool { self == .hairpin || self == .clusterIPs }
}

/// From where a chain that picks a backend is reached.
enum Entrance: String, Sendable {
  case service, nodePort = "nodeport", shortService = "short", shortNodePort = "short-nodeport"

  var endpoints: Container {
    switch self {
    case .service: .serviceEndpoints
    case .nodePort: .nodePortEndpoints
    case .shortService: .shortEndpoints
    case .shortNodePort: .shortNodePortEndpoints
    }
  }

  var verdicts: Container {
    switch self {
    case .service: .services
    case .nodePort: .nodePorts
    case .shortService: .shortServices
    case .shortNodePort: .shortNodePorts
    }
  }
}

/// Which chain picks by chance among how many backends.
struct Picker: Hashable, Sendable {
  var count: Int
  var entrance: Entrance

  var chain: String { "\(entrance.rawValue)-random-\(count)" }

  /// The rules of the chain. `dnat to address:port` wants the protocol matched before it.
  var rules: [String] {
    let choice = "numgen random mod \(count)"
    let byPort = entrance == .nodePort || entrance == .shortNodePort
    let key = byPort ? "meta l4proto . th dport . \(choice)" : "ip daddr . meta l4proto . th dport . \(choice)"
    return ["tcp", "udp", "sctp"].map { "meta l4proto \($0) dnat to \(key) map @\(entrance.endpoints.rawValue)" }
  }
}

/// All that one Service wants of the kernel.
struct Contribution: Sendable {
  var elements: Elements = [:]
  var pickers: Set<Picker> = []
  var affinity = AffinityChains()
}

extension ServicePort {
  /// The elements of this port, and the chains they jump to.
  func contribute(to want: inout Contribution) {
    for address in clusterIPs {
      serve("\(address) . \(proto) . \(port)", backends, .service, to: &want, without: (.noEndpoints, Self.reject))
    }
    let unserved = isExternalLocal && !clusterBackends.isEmpty ? "drop" : Self.reject
    for address in externalAddresses {
      let key = "\(address) . \(proto) . \(port)"
      want.elements[isExternalLocal ? .localExternals : .clusterExternals, default: [:]][key] = ""
      serve(key, externalBackends, .service, to: &want, without: (.noEndpoints, unserved))
      if isExternalLocal { serve(key, clusterBackends, .shortService, to: &want) }
    }
    if !sourceRanges.isEmpty {
      for address in firewalledAddresses {
        let key = "\(address) . \(proto) . \(port)"
        want.elements[.firewalled, default: [:]][key] = ""
        for range in sourceRanges { want.elements[.firewallAllowed, default: [:]]["\(key) . \(range)"] = "" }
      }
    }
    for backend in Set(backends + externalBackends + clusterBackends) where backend.isLocal {
      want.elements[.hairpin, default: [:]]["\(backend.address) . \(backend.address)"] = ""
    }
    guard nodePort != 0 else { return }
    let key = "\(proto) . \(nodePort)"
    serve(key, externalBackends, .nodePort, to: &want, without: (.noEndpointNodePorts, unserved))
    if isExternalLocal {
      want.elements[.localNodePorts, default: [:]][key] = ""
      serve(key, clusterBackends, .shortNodePort, to: &want)
    }
  }

  private static let reject = "goto reject-it"

  /// Leads traffic for a key to one of the backends; without any, to what `without` says.
  private func serve(
    _ key: String, _ chosen: [Backend], _ entrance: Entrance, to want: inout Contribution,
    without: (Container, String)? = nil
  ) {
    guard !chosen.isEmpty else {
      if let (container, verdict) = without { want.elements[container, default: [:]][key] = verdict }
      return
    }
    if let affinitySeconds {
      want.elements[entrance.verdicts, default: [:]][key] =
        "goto \(want.affinity.add(chosen, of: self, seconds: affinitySeconds))"
      return
    }
    let picker = Picker(count: chosen.count, entrance: entrance)
    want.pickers.insert(picker)
    want.elements[entrance.verdicts, default: [:]][key] = "goto \(picker.chain)"
    for (index, backend) in chosen.enumerated() {
      want.elements[entrance.endpoints, default: [:]]["\(key) . \(index)"] = "\(backend.address) . \(backend.port)"
    }
  }
}
