import API
import Glibc
import HTTP
import Linux
import NFTables
import Synchronization
import Testing

@testable import KubeProxy

private func service(_ name: String, type: String = "ClusterIP", nodePort: Int32 = 0) -> Service {
  var service = Service()
  service.metadata.name = name
  service.metadata.namespace = "default"
  service.spec.type = type
  service.spec.clusterIP = "10.96.0.7"
  service.spec.clusterIPs = ["10.96.0.7"]
  var port = API.ServicePort()
  port.name = "http"
  port.port = 80
  port.protocol = "TCP"
  port.nodePort = nodePort
  service.spec.ports = [port]
  return service
}

private func slice(_ endpoints: [(address: String, ready: Bool, serving: Bool, node: String)]) -> EndpointSlice {
  var slice = EndpointSlice()
  slice.addressType = "IPv4"
  var port = DiscoveryEndpointPort()
  port.name = "http"
  port.port = 8080
  slice.ports = [port]
  slice.endpoints = endpoints.map {
    var endpoint = Endpoint()
    endpoint.addresses = [$0.address]
    endpoint.conditions.ready = $0.ready
    endpoint.conditions.serving = $0.serving
    endpoint.nodeName = $0.node
    return endpoint
  }
  return slice
}

@Suite struct BackendSelectionTests {
  @Test func readyEndpointsAreChosen() {
    let ports = BackendSelection.ports(
      of: service("web"),
      slices: [slice([("10.0.0.2", true, true, "b"), ("10.0.0.1", true, true, "a"), ("10.0.0.3", false, true, "a")])],
      node: "a")
    #expect(ports.count == 1)
    #expect(ports[0].backends.map(\.address) == ["10.0.0.1", "10.0.0.2"])
    #expect(ports[0].backends.map(\.isLocal) == [true, false])
    #expect(ports[0].backends.allSatisfy { $0.port == 8080 })
  }

  @Test func servingOnesAreTheLastResort() {
    let ports = BackendSelection.ports(
      of: service("web"), slices: [slice([("10.0.0.1", false, true, "a"), ("10.0.0.2", false, false, "a")])], node: "a")
    #expect(ports[0].backends.map(\.address) == ["10.0.0.1"])
  }

  @Test func localPolicyKeepsToTheNode() {
    var web = service("web", type: "NodePort", nodePort: 30080)
    web.spec.externalTrafficPolicy = "Local"
    let ports = BackendSelection.ports(
      of: web, slices: [slice([("10.0.0.1", true, true, "a"), ("10.0.0.2", true, true, "b")])], node: "a")
    #expect(ports[0].backends.count == 2)
    #expect(ports[0].externalBackends.map(\.address) == ["10.0.0.1"])
    #expect(ports[0].clusterBackends.count == 2)
    #expect(ports[0].isExternalLocal)
  }

  @Test func headlessAndExternalNamesHaveNone() {
    var headless = service("web")
    headless.spec.clusterIP = "None"
    #expect(BackendSelection.ports(of: headless, slices: [], node: "a").isEmpty)
    #expect(BackendSelection.ports(of: service("web", type: "ExternalName"), slices: [], node: "a").isEmpty)
  }
}

@Suite struct HintTests {
  private func hinted(_ hints: [(node: String?, zone: String?)]) -> EndpointSlice {
    var slice = slice(hints.indices.map { ("10.0.0.\($0)", true, true, "n\($0)") })
    for (index, hint) in hints.enumerated() {
      var hints = EndpointHints()
      hints.forNodes = hint.node.map { name in [ForNode { $0.name = name }] } ?? []
      hints.forZones = hint.zone.map { name in [ForZone { $0.name = name }] } ?? []
      slice.endpoints[index].hints = hints
    }
    return slice
  }

  private func chosen(_ slice: EndpointSlice, node: String, zone: String = "") -> [String] {
    BackendSelection.ports(of: service("web"), slices: [slice], node: node, zone: zone)[0].backends.map(\.address)
  }

  @Test func aNodesOwnEndpointComesFirst() {
    let slice = hinted([("a", nil), ("b", nil), ("b", nil)])
    #expect(chosen(slice, node: "a") == ["10.0.0.0"])
    #expect(chosen(slice, node: "b") == ["10.0.0.1", "10.0.0.2"])
    #expect(chosen(slice, node: "c").count == 3)
  }

  @Test func aZonesOwnEndpointComesFirst() {
    let slice = hinted([(nil, "x"), (nil, "y")])
    #expect(chosen(slice, node: "a", zone: "y") == ["10.0.0.1"])
    #expect(chosen(slice, node: "a", zone: "z").count == 2)
    #expect(chosen(slice, node: "a").count == 2)
  }

  @Test func hintsOfSomeEndpointsAloneCountForNothing() {
    #expect(chosen(hinted([("a", "x"), (nil, nil)]), node: "a", zone: "x").count == 2)
  }

  @Test func theZoneCountsWhereTheNodeHasNone() {
    #expect(chosen(hinted([("a", "x"), ("b", "y")]), node: "c", zone: "y") == ["10.0.0.1"])
  }
}

@Suite struct StaleFlowTests {
  @Test func onlyBackendsMayAnswer() {
    var dns = service("dns", type: "NodePort", nodePort: 30053)
    dns.spec.ports[0].protocol = "UDP"
    let ports = BackendSelection.ports(
      of: dns, slices: [slice([("10.0.0.1", true, true, "a"), ("10.0.0.2", true, true, "b")])], node: "a")
    func flow(_ destination: String, _ port: UInt16, _ reply: String) throws -> TrackedFlow {
      TrackedFlow(
        destination: try #require(NetworkAddress(destination)), destinationPort: port,
        replySource: try #require(NetworkAddress(reply)), replyPort: 53)
    }
    var stale = StaleFlows()
    stale.add(ports, before: [])
    #expect(throws: Never.self) {
      let good = try [
        flow("10.96.0.7", 80, "10.0.0.1"), flow("1.2.3.4", 30053, "10.0.0.2"), flow("8.8.8.8", 53, "8.8.8.8"),
      ]
      let bad = try [
        flow("10.96.0.7", 80, "10.0.0.9"), flow("10.96.0.7", 80, "10.96.0.7"), flow("1.2.3.4", 30053, "10.0.0.8"),
      ]
      #expect(stale.stale(among: good + bad) == bad)
    }
    var gone = StaleFlows()
    gone.add([], before: ports)
    #expect(!gone.isEmpty)
    #expect(throws: Never.self) {
      let flows = try [flow("10.96.0.7", 80, "10.0.0.1"), flow("1.2.3.4", 30053, "10.0.0.2")]
      #expect(gone.stale(among: flows) == flows)
    }
  }
}

@Suite struct HealthTests {
  @Test func staleRulesMakeTheProxyUnhealthyAfterAMinute() {
    let time = Mutex(1000.0)
    let state = ProxyState { time.withLock { $0 } }
    #expect(state.isHealthy)
    state.queued()
    time.withLock { $0 += 59 }
    #expect(state.isHealthy)
    time.withLock { $0 += 2 }
    #expect(!state.isHealthy)
    state.synced(seconds: 0.002, isFull: false)
    #expect(state.isHealthy)
  }

  @Test func answersInUpstreamsForm() throws {
    let state = ProxyState { 1_700_000_000.5 }
    let head = HTTPRequestHead(method: "GET", target: "/healthz")
    let answer = try #require(HealthHandler(state: state).handleSync(head))
    guard case .bytes(let bytes) = answer.body else { Issue.record("no body"); return }
    let time = "2023-11-14 22:13:20.500000000 +0000 UTC"
    #expect(
      String(decoding: bytes, as: UTF8.self)
        == #"{"lastUpdated": "\#(time)","currentTime": "\#(time)", "nodeEligible": true}"#)
    state.change { $0.isNodeEligible = false }
    #expect(HealthHandler(state: state).handleSync(head)?.status == 503)
    #expect(HealthHandler(state: state).handleSync(HTTPRequestHead(method: "GET", target: "/livez"))?.status == 200)
    let key = ObjectKey(namespace: "shop", name: "web")
    #expect(ServiceHealthHandler(service: key, state: state).handleSync(head)?.status == 503)
    state.change { $0.localEndpoints[key] = 2 }
    #expect(ServiceHealthHandler(service: key, state: state).handleSync(head)?.status == 200)
  }
}

@Suite struct RulesetTests {
  private static let three = [
    ("10.0.0.1", true, true, "a"), ("10.0.0.2", true, true, "b"), ("10.0.0.3", true, true, "b"),
  ]

  @Test func nothingIsWrittenTwice() {
    var ruleset = Ruleset()
    _ = ruleset.initialCommands(clusterCIDR: "10.0.0.0/8")
    let ports = BackendSelection.ports(of: service("web"), slices: [slice(Self.three)], node: "a")
    #expect(!ruleset.update(service: "default/web", ports: ports, clusterIPs: ["10.96.0.7"]).isEmpty)
    #expect(ruleset.update(service: "default/web", ports: ports, clusterIPs: ["10.96.0.7"]).isEmpty)
  }

  @Test func oneEndpointLessTouchesItsServiceAlone() {
    var ruleset = Ruleset()
    _ = ruleset.initialCommands(clusterCIDR: "10.0.0.0/8")
    let before = BackendSelection.ports(of: service("web"), slices: [slice(Self.three)], node: "z")
    let after = BackendSelection.ports(of: service("web"), slices: [slice(Array(Self.three.prefix(2)))], node: "z")
    _ = ruleset.update(service: "default/web", ports: before, clusterIPs: [])
    let commands = ruleset.update(service: "default/web", ports: after, clusterIPs: [])
    #expect(
      commands.filter { $0.contains("element") } == [
        "delete element ip apus-proxy service-endpoints { 10.96.0.7 . tcp . 80 . 2 }",
        "delete element ip apus-proxy services { 10.96.0.7 . tcp . 80 }",
        "add element ip apus-proxy services { 10.96.0.7 . tcp . 80 : goto service-random-2 }",
      ])
  }

  @Test(.enabled(if: getuid() == 0, "a network namespace needs root"))
  func theKernelTakesEveryTransition() async throws {
    let states: [[(String, Bool, Bool, String)]] = [
      [], Self.three, Array(Self.three.prefix(1)), Self.three.reversed(), [],
    ]
    let result = try await Namespaces.withNew([.network]) { () -> String in
      do {
        let kernel = try NFTables()
        var ruleset = Ruleset()
        func run(_ commands: [String]) throws {
          if !commands.isEmpty { try kernel.run(commands.joined(separator: "\n") + "\n") }
        }
        try run(ruleset.initialCommands(clusterCIDR: "10.0.0.0/8"))
        for state in states {
          for affinity in ["None", "ClientIP"] {
            var web = service("web", type: "NodePort", nodePort: 30080)
            web.spec.sessionAffinity = affinity
            web.spec.externalTrafficPolicy = affinity == "None" ? "Cluster" : "Local"
            web.spec.externalIPs = ["192.0.2.7"]
            web.spec.loadBalancerSourceRanges = ["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"]
            var ingress = LoadBalancerIngress()
            ingress.ip = "192.0.2.8"
            web.status.loadBalancer.ingress = [ingress]
            if state.count == 1 {
              var time = SessionAffinityConfig()
              time.clientIP = ClientIPConfig()
              time.clientIP?.timeoutSeconds = 60
              web.spec.sessionAffinityConfig = time
            }
            let ports = BackendSelection.ports(of: web, slices: [slice(state)], node: "a")
            try run(ruleset.update(service: "default/web", ports: ports, clusterIPs: ["10.96.0.7"]))
          }
        }
        try run(ruleset.update(service: "default/web", ports: [], clusterIPs: []))
        let left = try kernel.run("list table ip apus-proxy\n")
        if left.contains("affinity-") || left.contains("clients-") { return "chains left: \(left)" }
        // Made anew over what is there: the way a restarted proxy begins.
        var second = Ruleset()
        try run(second.initialCommands(clusterCIDR: ""))
        return left.contains("elements") ? "elements left: \(left)" : "ok"
      } catch { return "\(error)" }
    }
    #expect(result == "ok")
  }
}

@Suite struct ConnectionTrackingTests {
  @Test(.enabled(if: getuid() == 0, "a network namespace needs root"))
  func aFlowIsFoundAndForgotten() async throws {
    try await Namespaces.withNew([.network]) {
      let links = try RouteSocket()
      try links.setUp(try #require(try links.link(named: "lo")).index)
      // Connections are tracked only where a rule asks for it.
      let kernel = try NFTables()
      var ruleset = Ruleset()
      try kernel.run(ruleset.initialCommands(clusterCIDR: "").joined(separator: "\n") + "\n")
      let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      defer { close(descriptor) }
      var target = sockaddr_in()
      target.sin_family = sa_family_t(AF_INET)
      target.sin_port = UInt16(9999).bigEndian
      target.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      let sent = withUnsafePointer(to: target) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(descriptor, "x", 1, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      #expect(sent == 1)
      let tracking = try ConnectionTracking()
      let flow = try #require(try tracking.udpFlows().first { $0.destinationPort == 9999 })
      #expect(flow.destination == NetworkAddress("127.0.0.1"))
      #expect(flow.replySource == NetworkAddress("127.0.0.1"))
      try tracking.forget(flow)
      try tracking.forget(flow)
      #expect(try !tracking.udpFlows().contains { $0.destinationPort == 9999 })
    }
  }
}
