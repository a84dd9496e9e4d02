import Linux

/// The packet rules of the pod network, in a table of its own.
///
///     forward ─────▶ accept what comes from pods or goes to them
///     postrouting ─▶ masquerade what a pod of this node sends out of the cluster
///     prerouting, output ─▶ host ports, where no CNI plugin serves them
struct NetworkRules: Hashable, Sendable {
  static let table = "apus-network"

  /// A port of the node that leads to a pod of it.
  struct HostPort: Hashable, Sendable, Comparable {
    /// The node's address it is bound to; nil is any.
    var address: NetworkAddress?
    /// `tcp`, `udp` or `sctp`.
    var proto: String
    var port: Int32
    var pod: NetworkAddress
    var podPort: Int32

    static func < (left: HostPort, right: HostPort) -> Bool {
      (left.proto, left.port, left.address?.description ?? "") < (
        right.proto, right.port, right.address?.description ?? ""
      )
    }
  }

  /// This node's own ranges.
  var podRanges: [IPPrefix]
  /// The addresses of all pods; where it is not known, this node's are.
  var clusterRanges: [IPPrefix]
  var hostPorts: [HostPort] = []

  /// The whole table as one transaction: no packet sees a gap.
  var commands: String {
    let table = "ip \(Self.table)"
    let own = podRanges.filter(\.address.isIPv4).map(\.description)
    let cluster = clusterRanges.filter(\.address.isIPv4).map(\.description)
    var lines = ["add table \(table)", "delete table \(table)", "add table \(table)"]
    func chain(_ name: String, _ hook: String?, _ rules: [String]) {
      lines.append("add chain \(table) \(name)" + (hook.map { " { \($0) ; }" } ?? ""))
      lines += rules.map { "add rule \(table) \(name) \($0)" }
    }
    let all = cluster.isEmpty ? own : cluster
    chain(
      "forward", "type filter hook forward priority 0",
      all.flatMap { ["ip saddr \($0) accept", "ip daddr \($0) accept"] })
    chain(
      "postrouting", "type nat hook postrouting priority 100",
      own.map { range in
        "ip saddr \(range) ip daddr != { \((all + ["224.0.0.0/4"]).joined(separator: ", ")) } "
          + "masquerade fully-random"
      })
    guard !hostPorts.isEmpty else { return lines.joined(separator: "\n") + "\n" }
    let rules = hostPorts.sorted().map { entry in
      (entry.address.map { "ip daddr \($0) " } ?? "") + "\(entry.proto) dport \(entry.port) "
        + "dnat to \(entry.pod):\(entry.podPort)"
    }
    chain("hostports", nil, rules)
    // The node itself and a pod that asks for its own port must get the answer back the same way.
    let pods = Set(hostPorts.map(\.pod)).sorted().map(\.description).joined(separator: ", ")
    lines.append("add rule \(table) postrouting ct status dnat ip saddr { \(pods) } ip daddr { \(pods) } masquerade")
    let local = "fib daddr type local ip daddr != 127.0.0.0/8 jump hostports"
    chain("prerouting", "type nat hook prerouting priority -101", [local])
    chain("output", "type nat hook output priority -101", [local])
    return lines.joined(separator: "\n") + "\n"
  }

  /// Removes the table.
  static let removal = "add table ip \(table)\ndelete table ip \(table)\n"
}
