/// The kernel's rules as the proxy last left them, and the commands that lead from there to what is wanted.
///
/// A value: it decides, and the shell runs what it returns. Layout: global maps instead of a chain per service, so that
/// a change costs its own elements whatever the number of services (upstream's layout in KEP-3866 is a chain each).
///
///     prerouting, output ─▶ services ─▶ vmap @services  ─▶ service-random-N ─▶ dnat to … map @service-endpoints
///                                     ├▶ from pods and the node, policy Local: vmap @short-services ─▶ …
///                                     └▶ vmap @nodeports ─▶ nodeport-random-N ─▶ dnat to … map @nodeport-endpoints
///     postrouting ─▶ masquerade for marked traffic and for pods that reach themselves
///     prerouting ─▶ firewall: drop what loadBalancerSourceRanges shuts out
///     input, forward, output ─▶ reject for services without endpoints and for unknown ports of a ClusterIP
struct Ruleset: Sendable {
  static let table = "apus-proxy"
  static let masqueradeMark = "0x4000"

  private(set) var chains: Set<Picker> = []
  private var perService: [String: (elements: Elements, affinity: AffinityChains)] = [:]
  /// How many services contribute an element that several can share (hairpin pairs, ClusterIPs).
  private var references: [Container: [String: Int]] = [:]

  /// Commands that make the table anew, empty of services. Replacing it whole is one transaction: no packet sees a gap.
  mutating func initialCommands(clusterCIDR: String) -> [String] {
    chains = []
    perService = [:]
    references = [:]
    let table = "ip \(Self.table)"
    var commands = ["add table \(table)", "delete table \(table)", "add table \(table)"]
    commands += Container.allCases.map { "add \($0.declaration)" }
    func chain(_ name: String, _ hook: String? = nil, _ rules: [String]) {
      commands.append("add chain \(table) \(name)" + (hook.map { " { \($0) ; }" } ?? ""))
      commands += rules.map { "add rule \(table) \(name) \($0)" }
    }
    let mark = "meta mark set meta mark or \(Self.masqueradeMark)"
    let target = "ip daddr . meta l4proto . th dport"
    let port = "meta l4proto . th dport"
    let pods = clusterCIDR.isEmpty ? nil : "ip saddr \(clusterCIDR)"
    chain(
      "nodeport-traffic", nil,
      [
        "\(port) != @local-nodeports \(mark)",
        "fib saddr type local \(port) @local-nodeports \(mark)",
        pods.map { "\($0) \(port) vmap @short-nodeports" },
        "fib saddr type local \(port) vmap @short-nodeports",
        "\(port) vmap @nodeports",
      ].compactMap { $0 })
    chain(
      "services", nil,
      [
        clusterCIDR.isEmpty ? nil : "ip saddr != \(clusterCIDR) ip daddr @cluster-ips \(mark)",
        "\(target) @cluster-externals \(mark)",
        "fib saddr type local \(target) @local-externals \(mark)",
        pods.map { "\($0) \(target) vmap @short-services" },
        "fib saddr type local \(target) vmap @short-services",
        "\(target) vmap @services",
        "fib daddr type local ip daddr != 127.0.0.0/8 goto nodeport-traffic",
      ].compactMap { $0 })
    chain("prerouting", "type nat hook prerouting priority -100", ["jump services"])
    chain("output", "type nat hook output priority -100", ["jump services"])
    chain(
      "postrouting", "type nat hook postrouting priority 100",
      [
        "ip saddr . ip daddr @hairpin masquerade fully-random",
        "meta mark and \(Self.masqueradeMark) == 0 return",
        // Encapsulated packets inherit the mark and must not be masqueraded again.
        "meta mark set meta mark xor \(Self.masqueradeMark)",
        "ct status dnat masquerade fully-random",
      ])
    chain(
      "firewall", "type filter hook prerouting priority -110",
      ["ct state new \(target) @firewalled \(target) . ip saddr != @firewall-allowed drop"])
    chain("reject-it", nil, ["reject"])
    chain(
      "reject-unserved", nil,
      [
        "\(target) vmap @no-endpoint-services",
        "fib daddr type local \(port) vmap @no-endpoint-nodeports",
        "ip daddr @cluster-ips meta l4proto { tcp, udp, sctp } reject",
      ])
    for hook in ["input", "forward", "output"] {
      chain("filter-\(hook)", "type filter hook \(hook) priority 0", ["ct state new jump reject-unserved"])
    }
    return commands
  }

  /// Commands that bring one Service to what its ports want; none when nothing differs.
  mutating func update(service key: String, ports: [ServicePort], clusterIPs: [String]) -> [String] {
    var want = Contribution()
    for port in ports { port.contribute(to: &want) }
    for address in clusterIPs { want.elements[.clusterIPs, default: [:]][address] = "" }
    let current = perService[key] ?? ([:], AffinityChains())
    // A set's timeout cannot be changed: what stands is taken down first.
    if want.affinity.conflicts(with: current.affinity) {
      return update(service: key, ports: [], clusterIPs: [])
        + update(service: key, ports: ports, clusterIPs: clusterIPs)
    }
    var commands: [String] = []
    for picker in want.pickers.subtracting(chains).sorted(by: { $0.chain < $1.chain }) {
      commands.append("add chain ip \(Self.table) \(picker.chain)")
      commands += picker.rules.map { "add rule ip \(Self.table) \(picker.chain) \($0)" }
    }
    chains.formUnion(want.pickers)
    commands += want.affinity.additions(over: current.affinity)
    perService[key] = want.elements.isEmpty ? nil : (want.elements, want.affinity)
    commands += difference(from: current.elements, to: want.elements)
    return commands + want.affinity.removals(from: current.affinity)
  }

  /// Deletions stand before additions: within one transaction a key can then move from one value to another.
  private mutating func difference(from current: Elements, to wanted: Elements) -> [String] {
    var deletions: [String] = []
    var additions: [String] = []
    for container in Container.allCases {
      let old = current[container] ?? [:]
      let new = wanted[container] ?? [:]
      let removed = old.filter { new[$0.key] != $0.value }.filter { release(container, $0.key) }
      let added = new.filter { old[$0.key] != $0.value }.filter { retain(container, $0.key) }
      if !removed.isEmpty {
        deletions.append(
          "delete element ip \(Self.table) \(container.rawValue) { \(Self.list(removed.mapValues { _ in "" })) }")
      }
      if !added.isEmpty {
        additions.append("add element ip \(Self.table) \(container.rawValue) { \(Self.list(added)) }")
      }
    }
    return deletions + additions
  }

  private static func list(_ elements: [String: String]) -> String {
    elements.sorted { $0.key < $1.key }.map { $0.value.isEmpty ? $0.key : "\($0.key) : \($0.value)" }.joined(
      separator: ", ")
  }

  /// True when the first service asks for the element. Elements that belong to one service alone are not counted.
  private mutating func retain(_ container: Container, _ key: String) -> Bool {
    guard container.isShared else { return true }
    references[container, default: [:]][key, default: 0] += 1
    return references[container]?[key] == 1
  }

  private mutating func release(_ container: Container, _ key: String) -> Bool {
    guard container.isShared else { return true }
    let left = (references[container]?[key] ?? 1) - 1
    references[container]?[key] = left > 0 ? left : nil
    return left == 0
  }
}
