import API
import Client
import Glibc
import Linux
import NFTables
import Testing

@testable import PodNetwork

/// Against the kernel, in a network namespace of each test's own.
@Suite(.enabled(if: getuid() == 0, "namespaces need root"))
struct KernelTests {
  private static func underlay(_ socket: RouteSocket) throws -> Int32 {
    try socket.addVirtualPair("eth0", "other")
    for name in ["lo", "eth0", "other"] { try socket.setUp(try #require(try socket.link(named: name)).index) }
    let link = try #require(try socket.link(named: "eth0")).index
    try socket.add(LinkAddress(link: link, address: try #require(NetworkAddress("10.77.0.11")), length: 24))
    try socket.replace(
      NetworkRoute(
        destination: try #require(IPPrefix("0.0.0.0/0")), gateway: NetworkAddress("10.77.0.1"), link: link,
        origin: 3))
    return link
  }

  private static func plan(_ kernel: KernelNetwork, _ nodes: [Node]) throws -> NetworkPlan {
    NetworkPlan.decide(
      node: "a", address: try #require(NetworkAddress("10.77.0.11")), nodes: nodes.map(NetworkNode.init),
      links: try kernel.socket.links(), addresses: try kernel.socket.addresses())
  }

  private static let nodes = [
    node("a", "10.77.0.11", "10.244.0.0/24"), node("b", "10.77.0.12", "10.244.1.0/24"),
    node("c", "10.78.0.13", "10.244.2.0/24"),
  ]

  @Test func aPlanIsMadeKeptAndTakenBack() async throws {
    try await Namespaces.withNew([.network]) {
      let kernel = try KernelNetwork()
      let link = try Self.underlay(kernel.socket)
      #expect(try !kernel.apply(try Self.plan(kernel, Self.nodes)).isEmpty)
      #expect(try kernel.apply(try Self.plan(kernel, Self.nodes)).isEmpty)
      let device = try #require(try kernel.socket.link(named: NetworkPlan.device))
      #expect(device.vxlan?.parent == link)
      #expect(device.mtu == 1450)
      let routes = try kernel.socket.routes(origin: NetworkPlan.origin)
      #expect(
        Set(routes.map { "\($0.destination) via \($0.gateway.map { "\($0)" } ?? "") on \($0.link == link)" }) == [
          "10.244.1.0/24 via 10.77.0.12 on true", "10.244.2.0/24 via 10.244.2.0 on false",
        ])
      #expect(try kernel.socket.forwarding(of: device.index).map(\.address.description) == ["10.78.0.13"])

      // The node behind the overlay goes: so does the overlay.
      #expect(try !kernel.apply(try Self.plan(kernel, Array(Self.nodes.prefix(2)))).isEmpty)
      #expect(try kernel.socket.link(named: NetworkPlan.device) == nil)
      #expect(try kernel.socket.routes(origin: NetworkPlan.origin).count == 1)
      try kernel.remove()
      #expect(try kernel.socket.routes(origin: NetworkPlan.origin).isEmpty)
      #expect(try kernel.socket.routes().filter(\.destination.address.isIPv4).count == 2)
    }
  }

  @Test func whatWasDeletedComesBack() async throws {
    try await Namespaces.withNew([.network]) {
      let kernel = try KernelNetwork()
      _ = try Self.underlay(kernel.socket)
      _ = try kernel.apply(try Self.plan(kernel, Self.nodes))
      let device = try #require(try kernel.socket.link(named: NetworkPlan.device))
      for entry in try kernel.socket.neighbours(of: device.index) { try kernel.socket.deleteNeighbour(entry) }
      for entry in try kernel.socket.forwarding(of: device.index) { try kernel.socket.deleteForwarding(entry) }
      #expect(try kernel.apply(try Self.plan(kernel, Self.nodes)).count == 2)
      try kernel.socket.deleteLink(device.index)
      _ = try kernel.apply(try Self.plan(kernel, Self.nodes))
      let anew = try #require(try kernel.socket.link(named: NetworkPlan.device))
      #expect(anew.mac == device.mac)
      #expect(try kernel.socket.neighbours(of: anew.index).count == 1)
      #expect(try kernel.socket.routes(origin: NetworkPlan.origin).count == 2)
    }
  }

  @Test func rulesAreTakenByTheKernel() async throws {
    try await Namespaces.withNew([.network]) {
      let filter = try NFTables()
      var rules = NetworkRules(
        podRanges: [try #require(IPPrefix("10.244.0.0/24"))], clusterRanges: [try #require(IPPrefix("10.244.0.0/16"))])
      try filter.run(rules.commands)
      var text = try filter.run("list table ip \(NetworkRules.table)")
      #expect(text.contains("ip saddr 10.244.0.0/24 ip daddr != { 10.244.0.0/16, 224.0.0.0/4 } masquerade"))
      #expect(text.contains("ip daddr 10.244.0.0/16 accept"))
      rules.hostPorts = [
        .init(address: nil, proto: "tcp", port: 8080, pod: try #require(NetworkAddress("10.244.0.5")), podPort: 80),
        .init(
          address: NetworkAddress("10.77.0.11"), proto: "udp", port: 53,
          pod: try #require(NetworkAddress("10.244.0.6")),
          podPort: 5353),
      ]
      try filter.run(rules.commands)
      text = try filter.run("list table ip \(NetworkRules.table)")
      #expect(text.contains("tcp dport 8080 dnat to 10.244.0.5:80"))
      #expect(text.contains("ip daddr 10.77.0.11 udp dport 53 dnat to 10.244.0.6:5353"))
      try filter.run(NetworkRules.removal)
      #expect(try !filter.run("list tables").contains(NetworkRules.table))
    }
  }
}

@Suite struct HostPortTests {
  @Test func portsOfAPodThatRuns() {
    var pod = Pod()
    pod.status.phase = "Running"
    pod.status.podIP = "10.244.0.5"
    var port = ContainerPort()
    port.containerPort = 80
    port.hostPort = 8080
    port.hostIP = "0.0.0.0"
    var container = Container()
    container.ports = [port]
    pod.spec.containers = [container]
    #expect(
      HostPorts.of(pod)
        == NetworkAddress("10.244.0.5").map {
          [.init(address: nil, proto: "tcp", port: 8080, pod: $0, podPort: 80)]
        })
    pod.spec.hostNetwork = true
    #expect(HostPorts.of(pod).isEmpty)
    pod.spec.hostNetwork = false
    pod.status.phase = "Succeeded"
    #expect(HostPorts.of(pod).isEmpty)
  }
}
