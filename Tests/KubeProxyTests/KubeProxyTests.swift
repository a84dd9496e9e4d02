import API
import Glibc
import Linux
import NFTables
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
    #expect(ports[0].preservesClientAddress)
  }

  @Test func headlessAndExternalNamesHaveNone() {
    var headless = service("web")
    headless.spec.clusterIP = "None"
    #expect(BackendSelection.ports(of: headless, slices: [], node: "a").isEmpty)
    #expect(BackendSelection.ports(of: service("web", type: "ExternalName"), slices: [], node: "a").isEmpty)
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
            let ports = BackendSelection.ports(of: web, slices: [slice(state)], node: "a")
            try run(ruleset.update(service: "default/web", ports: ports, clusterIPs: ["10.96.0.7"]))
          }
        }
        try run(ruleset.update(service: "default/web", ports: [], clusterIPs: []))
        let left = try kernel.run("list table ip apus-proxy\n")
        // Made anew over what is there: the way a restarted proxy begins.
        var second = Ruleset()
        try run(second.initialCommands(clusterCIDR: ""))
        return left.contains("elements") ? "elements left: \(left)" : "ok"
      } catch { return "\(error)" }
    }
    #expect(result == "ok")
  }
}
