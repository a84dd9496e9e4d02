/// One backend of a service port.
struct Backend: Hashable, Sendable {
  var address: String
  var port: Int32
  /// Whether it runs on this node, for the `Local` traffic policies.
  var isLocal: Bool
}

/// What the proxy needs of one port of one Service, with its backends already chosen.
struct ServicePort: Hashable, Sendable {
  /// `tcp`, `udp` or `sctp`, as nftables spells it.
  var proto: String
  var port: Int32
  var nodePort: Int32
  /// ClusterIPs, external IPs and load-balancer addresses that lead here from anywhere.
  var addresses: [String]
  /// External IPs and load-balancer addresses, whose traffic follows `externalBackends`.
  var externalAddresses: [String]
  var backends: [Backend]
  /// Backends for traffic from outside; differs from `backends` under `externalTrafficPolicy: Local`.
  var externalBackends: [Backend]
  /// `sessionAffinity: ClientIP`.
  var clientAffinity: Bool
  /// Under `externalTrafficPolicy: Local` the client's address is kept: no masquerade.
  var preservesClientAddress: Bool
}

/// Elements of the nftables maps and sets that one Service contributes: container name → key → value ("" for sets).
typealias Elements = [Container: [String: String]]

/// The maps and sets of the proxy's table, in the order in which they are made.
enum Container: String, CaseIterable, Sendable {
  case serviceEndpoints = "service-endpoints"
  case services
  case nodePortEndpoints = "nodeport-endpoints"
  case nodePorts = "nodeports"
  case hairpin
  case noEndpoints = "no-endpoint-services"
  case noEndpointNodePorts = "no-endpoint-nodeports"
  case clusterIPs = "cluster-ips"
  case localNodePorts = "local-nodeports"

  /// A map's value says `tcp dport` for what stands for any protocol's port: with `th dport`, nft 1.0.6 refuses a later
  /// batch whose rule matches the protocol first ("conflicting protocols specified").
  var declaration: String {
    switch self {
    case .serviceEndpoints:
      "map ip \(Ruleset.table) \(rawValue) { typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . tcp dport ; }"
    case .services: "map ip \(Ruleset.table) \(rawValue) { typeof ip daddr . meta l4proto . th dport : verdict ; }"
    case .nodePortEndpoints:
      "map ip \(Ruleset.table) \(rawValue) { typeof meta l4proto . th dport . numgen random mod 2 : ip daddr . tcp dport ; }"
    case .nodePorts: "map ip \(Ruleset.table) \(rawValue) { typeof meta l4proto . th dport : verdict ; }"
    case .hairpin: "set ip \(Ruleset.table) \(rawValue) { typeof ip saddr . ip daddr ; }"
    case .noEndpoints: "set ip \(Ruleset.table) \(rawValue) { typeof ip daddr . meta l4proto . th dport ; }"
    case .noEndpointNodePorts, .localNodePorts:
      "set ip \(Ruleset.table) \(rawValue) { typeof meta l4proto . th dport ; }"
    case .clusterIPs: "set ip \(Ruleset.table) \(rawValue) { typeof ip daddr ; }"
    }
  }
}

/// Which chain picks among how many backends: by chance or by a hash of the client's address.
struct Picker: Hashable, Sendable {
  var count: Int
  var byClient: Bool
  var nodePort: Bool

  var chain: String { "\(nodePort ? "nodeport" : "service")-\(byClient ? "client" : "random")-\(count)" }

  /// The rules of the chain. `dnat to address:port` wants the protocol matched before it.
  var rules: [String] {
    let choice = byClient ? "jhash ip saddr mod \(count) seed 0x61707573" : "numgen random mod \(count)"
    let key = nodePort ? "meta l4proto . th dport . \(choice)" : "ip daddr . meta l4proto . th dport . \(choice)"
    let map = nodePort ? Container.nodePortEndpoints : .serviceEndpoints
    return ["tcp", "udp", "sctp"].map { "meta l4proto \($0) dnat to \(key) map @\(map.rawValue)" }
  }
}

extension ServicePort {
  /// The elements of this port, and the chains they jump to.
  func contribute(to elements: inout Elements, pickers: inout Set<Picker>) {
    let external = Set(externalAddresses)
    for address in addresses {
      let chosen = external.contains(address) ? externalBackends : backends
      let key = "\(address) . \(proto) . \(port)"
      guard !chosen.isEmpty else {
        elements[.noEndpoints, default: [:]][key] = ""
        continue
      }
      let picker = Picker(count: chosen.count, byClient: clientAffinity, nodePort: false)
      pickers.insert(picker)
      elements[.services, default: [:]][key] = "goto \(picker.chain)"
      for (index, backend) in chosen.enumerated() {
        elements[.serviceEndpoints, default: [:]]["\(key) . \(index)"] = "\(backend.address) . \(backend.port)"
      }
    }
    for backend in Set(backends + externalBackends) where backend.isLocal {
      elements[.hairpin, default: [:]]["\(backend.address) . \(backend.address)"] = ""
    }
    guard nodePort != 0 else { return }
    let key = "\(proto) . \(nodePort)"
    if preservesClientAddress { elements[.localNodePorts, default: [:]][key] = "" }
    guard !externalBackends.isEmpty else {
      elements[.noEndpointNodePorts, default: [:]][key] = ""
      return
    }
    let picker = Picker(count: externalBackends.count, byClient: clientAffinity, nodePort: true)
    pickers.insert(picker)
    elements[.nodePorts, default: [:]][key] = "goto \(picker.chain)"
    for (index, backend) in externalBackends.enumerated() {
      elements[.nodePortEndpoints, default: [:]]["\(key) . \(index)"] = "\(backend.address) . \(backend.port)"
    }
  }
}
