import API
import Client
import Logging
import Testing

@testable import CloudControllerManager

@Suite struct MetalTests {
  private func pool(_ text: String) throws -> AddressPool { try #require(AddressPool(text)) }
  private func ip(_ text: String) throws -> IPv4 { try #require(IPv4(text)) }

  @Test func readsPools() throws {
    let range = try pool("10.77.0.200-10.77.0.201, 10.78.0.0/30")
    func take(_ taken: [String]) throws -> String? {
      range.first(notIn: Set(try taken.map(ip)))?.description
    }
    #expect(try take([]) == "10.77.0.200")
    #expect(try take(["10.77.0.200"]) == "10.77.0.201")
    #expect(try take(["10.77.0.200", "10.77.0.201"]) == "10.78.0.1")
    #expect(try take(["10.77.0.200", "10.77.0.201", "10.78.0.1", "10.78.0.2"]) == nil)
    #expect(range.contains(try ip("10.78.0.2")))
    #expect(!range.contains(try ip("10.78.0.3")))
    #expect(try pool("10.0.0.8/31").first(notIn: [])?.description == "10.0.0.8")
    #expect(try pool("255.255.255.255").first(notIn: [try ip("255.255.255.255")]) == nil)
    for wrong in ["", "10.0.0.1-", "10.0.0.2-10.0.0.1", "10.0.0.0/33", "10.0.0.0/0", "fd00::/64", "10.0.0.1,,10.0.0.2"]
    {
      #expect(AddressPool(wrong) == nil, "\(wrong)")
    }
  }

  private func refusal(
    _ service: Service, _ services: [Service], _ pool: AddressPool
  ) -> String? {
    do {
      _ = try PoolAllocation.address(for: service, among: services, pool: pool, claimed: [:])
      return nil
    } catch {
      return "\(error.reason): \(error)"
    }
  }

  @Test func allocatesFromThePool() throws {
    let range = try pool("10.77.0.200-10.77.0.201")
    func holding(_ name: String, _ address: String, age: Int64 = 0) -> Service {
      makeService(name) {
        $0.metadata.creationTimestamp = moment.adding(seconds: -age)
        $0.status.loadBalancer = ServingNodes.status(of: [address])
      }
    }
    func get(_ service: Service, _ others: [Service], claimed: [ObjectKey: IPv4] = [:]) throws -> String {
      try PoolAllocation.address(for: service, among: others + [service], pool: range, claimed: claimed).description
    }
    let a = holding("a", "10.77.0.200")
    // What a Service shows it keeps, whatever came before it; what another shows is taken.
    #expect(try get(holding("b", "10.77.0.201"), []) == "10.77.0.201")
    #expect(try get(makeService(), [a]) == "10.77.0.201")
    #expect(try get(makeService(), [], claimed: [a.key: ip("10.77.0.200")]) == "10.77.0.201")
    // Of two that show the same, the older keeps it.
    #expect(try get(a, [holding("old", "10.77.0.200", age: 9)]) == "10.77.0.201")
    #expect(try get(holding("old", "10.77.0.200", age: 9), [a]) == "10.77.0.200")
    // Requests.
    #expect(try get(makeService { $0.spec.loadBalancerIP = "10.77.0.201" }, [a]) == "10.77.0.201")
    let annotated = makeService { $0.metadata.annotations[PoolAllocation.requestAnnotation] = "10.77.0.200" }
    #expect(refusal(annotated, [a], range) == "AddressInUse: address 10.77.0.200 is in use by service default/a")
    #expect(
      refusal(makeService { $0.spec.loadBalancerIP = "10.77.0.1" }, [], range)
        == "NotInPool: address 10.77.0.1 is not in the load balancer pool")
    #expect(
      refusal(makeService { $0.spec.loadBalancerIP = "x" }, [], range) == "InvalidAddress: \"x\" is no IPv4 address")
    #expect(
      refusal(makeService(), [a, holding("b", "10.77.0.201")], range)
        == "PoolExhausted: no address of the load balancer pool is free")
    #expect(refusal(makeService { $0.spec.ipFamilies = ["IPv6"] }, [], range)?.hasPrefix("WrongFamily") == true)
  }

  @Test func nodesThatServe() {
    let nodes = [
      makeNode("a", addresses: [("InternalIP", "10.0.0.1"), ("InternalIP", "fd00::1"), ("Hostname", "a")]),
      makeNode("b", addresses: [("InternalIP", "10.0.0.2")]), makeNode("c", ready: false),
      makeNode("d") { $0.metadata.labels[ServiceNodes.excludeLabel] = "" },
    ]
    let local = makeService { $0.spec.externalTrafficPolicy = "Local" }
    func names(_ service: Service, _ slice: EndpointSlice) -> [String] {
      ServingNodes.of(service, nodes: nodes, slices: [slice]).map(\.metadata.name)
    }
    #expect(names(makeService(), makeSlice("web", on: [])) == ["a", "b"])
    #expect(names(local, makeSlice("web", on: ["b", "c"])) == ["b"])
    #expect(names(local, makeSlice("web", on: ["b"], ready: false)) == [])
    func addresses(_ nodes: [Node]) -> [String] {
      ServingNodes.status(makeService(), nodes).ingress.map { "\($0.ip) \($0.ipMode ?? "")" }
    }
    #expect(addresses(nodes) == ["10.0.0.1 VIP", "10.0.0.2 VIP"])
    #expect(addresses(nodes + [makeNode("e", addresses: [("ExternalIP", "192.0.2.5")])]) == ["192.0.2.5 VIP"])
  }

  @Test func speakersAreSpreadAndStay() throws {
    let nodes = (1...5).map { "node-\($0)" }
    let addresses = (0..<200).map { IPv4(0x0a4d_0000 + $0) }
    var counts: [String: Int] = [:]
    for address in addresses {
      let speaker = try #require(SpeakerElection.speaker(for: address, among: nodes))
      counts[speaker, default: 0] += 1
      #expect(SpeakerElection.speaker(for: address, among: nodes.reversed()) == speaker)
      let rest = nodes.filter { $0 != "node-3" }
      if speaker != "node-3" { #expect(SpeakerElection.speaker(for: address, among: rest) == speaker) }
    }
    #expect(counts.count == 5)
    #expect(counts.values.allSatisfy { (20...70).contains($0) }, "\(counts)")
    #expect(SpeakerElection.speaker(for: addresses[0], among: []) == nil)
  }

  @Test func everyAddressHasOneSpeaker() throws {
    let allocated = Condition {
      $0.type = SpeakerElection.condition
      $0.status = "True"
    }
    let services =
      (1...9).map { number in
        makeService("web-\(number)") {
          $0.status.loadBalancer = ServingNodes.status(of: ["10.77.0.\(number)"])
          $0.status.conditions = [allocated]
        }
      } + [
        makeService("local") {
          $0.spec.externalTrafficPolicy = "Local"
          $0.status.loadBalancer = ServingNodes.status(of: ["10.77.0.100"])
          $0.status.conditions = [allocated]
        },
        makeService("nodes") { $0.status.loadBalancer = ServingNodes.status(of: ["10.77.0.101"]) },
      ]
    func own(_ name: String, _ nodes: [Node]) -> Set<IPv4> {
      SpeakerElection.addresses(
        of: name, services: services, nodes: nodes,
        slices: { $0.metadata.name == "local" ? [makeSlice("local", on: ["b"])] : [] })
    }
    let nodes = [makeNode("a"), makeNode("b"), makeNode("c", ready: false)]
    let (a, b) = (own("a", nodes), own("b", nodes))
    #expect(a.isDisjoint(with: b))
    #expect(a.union(b).count == 10)
    #expect(b.contains(try ip("10.77.0.100")))
    #expect(own("c", nodes).isEmpty)
    #expect(own("a", [nodes[0], makeNode("b", ready: false)]).count == 9)
  }

  @Test func addressesGoToTheirNetworks() throws {
    let interfaces = [
      AddressAnnouncer.Interface(name: "eth0", address: "10.77.0.11", prefix: 24),
      AddressAnnouncer.Interface(name: "eth1", address: "10.78.0.11", prefix: 24),
    ]
    func place(_ texts: String...) throws -> [String: [String]] {
      AddressAnnouncer.place(Set(try texts.map(ip)), interfaces, nodeAddress: "10.77.0.11")
        .mapValues { $0.sorted().map(\.description) }
    }
    #expect(try place("10.78.0.200", "10.77.0.200") == ["eth0": ["10.77.0.200"], "eth1": ["10.78.0.200"]])
    #expect(try place("192.0.2.1") == ["eth0": ["192.0.2.1"]])
    #expect(try place("10.77.0.11").isEmpty)
  }

  @Test func loadBalancersAreTheNodes() async throws {
    try await withControllers(
      ["*"],
      provider: { MetalProvider(pool: nil, client: $0, informers: $1, logger: Logger(label: "test")) }
    ) { api, _ in
      try api.seed(makeNode("a", addresses: [("InternalIP", "10.0.0.1")]))
      try api.seed(
        makeNode(
          "b", addresses: [("InternalIP", "10.0.0.2")], taints: ["node.cloudprovider.kubernetes.io/uninitialized"]))
      try api.seed(makeService())
      func ingress() -> [String]? { api.service()?.status.loadBalancer.ingress.map(\.ip) }
      #expect(await eventually { ingress() == ["10.0.0.1", "10.0.0.2"] })
      #expect(await eventually { api.object(Node.self, name: "b")?.spec.providerID == "metal://b" })
      try api.modify(Node.self, name: "b") { $0.status.conditions[0].status = "Unknown" }
      #expect(await eventually { ingress() == ["10.0.0.1"] })
      try api.seed(makeSlice("web", on: ["a"], ready: false))
      try api.modify(Service.self, namespace: "default", name: "web") { $0.spec.externalTrafficPolicy = "Local" }
      #expect(await eventually { ingress() == [] })
      try api.modify(EndpointSlice.self, namespace: "default", name: "web-1") {
        $0.endpoints[0].conditions.ready = true
      }
      #expect(await eventually { ingress() == ["10.0.0.1"] })
    }
  }

  @Test func loadBalancersGetAddressesOfThePool() async throws {
    let range = try pool("10.77.0.200-10.77.0.201")
    try await withControllers(
      ["service"],
      provider: { MetalProvider(pool: range, client: $0, informers: $1, logger: Logger(label: "test")) }
    ) { api, client in
      // It was there before this start, and comes last in every order.
      try api.seed(
        makeService("z") {
          $0.metadata.creationTimestamp = moment.adding(seconds: 100)
          $0.status.loadBalancer = ServingNodes.status(of: ["10.77.0.200"])
        })
      try api.seed(makeService("a"))
      func ingress(_ name: String) -> [String]? { api.service(name)?.status.loadBalancer.ingress.map(\.ip) }
      #expect(await eventually { ingress("a") == ["10.77.0.201"] })
      #expect(ingress("z") == ["10.77.0.200"])
      #expect(await eventually { api.service("a")?.status.conditions.isTrue(SpeakerElection.condition) == true })

      try api.seed(makeService("b"))
      #expect(
        await eventually {
          api.service("b")?.status.conditions.condition(SpeakerElection.condition)?.reason == "PoolExhausted"
        })
      #expect(
        await eventually {
          api.message("SyncLoadBalancerFailed")
            == "Error syncing load balancer: failed to ensure load balancer: no address of the load balancer pool is free"
        })
      // Whoever waits gets what becomes free, at once.
      try await client.delete(Service.self, namespace: "default", name: "z")
      #expect(await eventually { ingress("b") == ["10.77.0.200"] })
      try api.modify(Service.self, namespace: "default", name: "a") { $0.spec.type = "NodePort" }
      #expect(await eventually { ingress("a") == [] && api.service("a")?.status.conditions.isEmpty == true })
    }
  }
}
