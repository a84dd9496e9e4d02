import API
import Client
import Logging
import Synchronization
import Testing

@testable import CloudControllerManager

@Suite struct RouteTests {
  private func node(_ name: String, _ ranges: String...) -> Node { makeNode(name) { $0.spec.podCIDRs = ranges } }

  @Test func plansRoutes() {
    let routes = [
      CloudRoute(name: "1", targetNode: "a", destinationCIDR: "10.244.0.0/24"),
      CloudRoute(name: "2", targetNode: "gone", destinationCIDR: "10.244.9.0/24"),
      CloudRoute(name: "3", targetNode: "b", destinationCIDR: "10.244.1.0/24", isBlackhole: true),
      CloudRoute(name: "4", targetNode: "", destinationCIDR: "172.16.0.0/16"),
      CloudRoute(name: "5", targetNode: "b", destinationCIDR: "10.244.0.0/24"),
    ]
    let plan = RoutePlan(
      nodes: [node("a", "10.244.0.0/24"), node("b", "10.244.1.0/24", "fd00::/64"), node("c")], routes: routes,
      cluster: [AddressRange("10.244.0.0/16"), AddressRange("fd00::/48")].compactMap { $0 })
    #expect(plan.delete.map(\.name) == ["2", "3", "5"])
    #expect(plan.create == [.init(node: "b", range: "10.244.1.0/24"), .init(node: "b", range: "fd00::/64")])
    #expect(plan.complete == ["a"])
  }

  @Test func makesRoutesAndTellsNodes() async throws {
    let cloud = FakeCloud {
      $0.routes = [CloudRoute(name: "old", targetNode: "gone", destinationCIDR: "10.244.7.0/24")]
    }
    try await withControllers(
      ["route"], provider: { _, _ in cloud },
      configure: {
        $0.clusterCIDR = "10.244.0.0/16"
        $0.allocateNodeCIDRs = true
      }
    ) { api, _ in
      try api.seed(node("a", "10.244.0.0/24"))
      try api.seed(node("b"))
      func reason(_ name: String) -> String? {
        api.object(Node.self, name: name)?.status.conditions.condition("NetworkUnavailable")?.reason
      }
      #expect(await eventually { reason("a") == "RouteCreated" && reason("b") == "NoRouteCreated" })
      #expect(cloud.state.withLock { $0.routes.map(\.destinationCIDR) } == ["10.244.0.0/24"])
      #expect(cloud.state.withLock { $0.routes.map(\.name) } == ["a-uid"])
      cloud.state.withLock { $0.failure = CloudProviderError.instanceNotFound }
      try api.modify(Node.self, name: "b") { $0.spec.podCIDRs = ["10.244.1.0/24"] }
      #expect(await eventually { api.reasons("b").contains("FailedToCreateRoute") })
      cloud.state.withLock { $0.failure = nil }
      #expect(await eventually { reason("b") == "RouteCreated" })
      #expect(api.object(Node.self, name: "b")?.status.conditions.condition("Ready")?.status == "True")
    }
  }

  @Test func runsOnlyWhenAskedTo() {
    let api = MemoryAPI()
    func names(_ change: (inout CloudControllerManager.Configuration) -> Void) -> [String] {
      var configuration = CloudControllerManager.Configuration()
      change(&configuration)
      return CloudControllerManager(
        client: api.client(), informers: InformerFactory(client: api.client()), provider: FakeCloud(),
        configuration: configuration, logger: Logger(label: "test")
      ).controllerNames
    }
    #expect(
      names { _ in } == ["cloud-node-controller", "cloud-node-lifecycle-controller", "service-lb-controller"])
    #expect(names { $0.allocateNodeCIDRs = true }.last == "node-route-controller")
    #expect(
      names {
        $0.allocateNodeCIDRs = true
        $0.configureCloudRoutes = false
        $0.controllers = ["*", "-service", "-cloud-node-controller"]
      } == ["cloud-node-lifecycle-controller"])
  }
}
