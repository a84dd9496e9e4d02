/// The rules that let a load balancer's traffic into the instances.
enum IngressRules {
  static let client = "kubernetes.io/rule/nlb/client"
  static let health = "kubernetes.io/rule/nlb/health"
  static let mtu = "kubernetes.io/rule/nlb/mtu"

  struct Change: Equatable {
    var revoke: [EC2Rule] = []
    var grant: [EC2Rule] = []
  }

  /// What a load balancer needs: its clients on the ports of the traffic, its own subnets on those of the health checks.
  static func desired(
    name: String, ports: [LoadBalancerPlan.Port], clients: [String], subnets: [String]
  ) -> Set<EC2Rule> {
    var rules: Set<EC2Rule> = []
    for port in ports {
      for proto in port.trafficProtocols {
        for range in clients {
          rules.insert(
            EC2Rule(proto: proto, from: port.nodePort, to: port.nodePort, cidr: range, description: "\(client)=\(name)")
          )
        }
      }
    }
    let open = Set(
      rules.filter { $0.cidr == "0.0.0.0/0" }.map { EC2Rule.Key(proto: $0.proto, from: $0.from, to: $0.to, cidr: "") })
    let taken = Set(rules.map(\.key))
    for port in ports {
      let number = Int(port.healthCheck.port) ?? port.nodePort
      // What all the world may ask, the load balancer may too.
      if open.contains(EC2Rule.Key(proto: "tcp", from: number, to: number, cidr: "")) { continue }
      for range in subnets {
        let rule = EC2Rule(proto: "tcp", from: number, to: number, cidr: range, description: "\(health)=\(name)")
        if !taken.contains(rule.key) { rules.insert(rule) }
      }
    }
    return rules
  }

  /// How a group's rules must change for the load balancer to have the desired ones, none for a group that no instance
  /// uses. Where rules of clients change, those for the discovery of the path's MTU (ICMP) follow all load balancers'.
  static func change(_ present: [EC2Rule], name: String, desired: Set<EC2Rule>) -> Change {
    let mine = present.filter { $0.description == "\(client)=\(name)" || $0.description == "\(health)=\(name)" }
    var change = Change()
    change.revoke = mine.filter { !desired.contains($0) }
    let remaining = present.filter { !change.revoke.contains($0) }
    let keys = Set(remaining.map(\.key))
    change.grant = desired.filter { !keys.contains($0.key) }.sorted(by: order)
    guard change != Change() else { return change }
    let after = remaining + change.grant
    let ranges = Set(after.filter { $0.description.hasPrefix(client) }.map(\.cidr))
    let discovery = Set(
      ranges.map { range in
        // Type 3 with code 4 of ICMP, type 2 with any code of ICMPv6.
        range.contains(":")
          ? EC2Rule(proto: "icmpv6", from: 2, to: -1, cidr: range, description: mtu)
          : EC2Rule(proto: "icmp", from: 3, to: 4, cidr: range, description: mtu)
      })
    change.revoke += present.filter { $0.description == mtu && !discovery.contains($0) }
    change.grant += discovery.filter { !keys.contains($0.key) }.sorted(by: order)
    return change
  }

  private static func order(_ a: EC2Rule, _ b: EC2Rule) -> Bool {
    (a.description, a.proto, a.from, a.cidr) < (b.description, b.proto, b.from, b.cidr)
  }
}
