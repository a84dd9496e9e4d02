import API
import Client
import Synchronization
import Testing

@testable import CloudControllerManager

@Suite struct ServiceTests {
  private static let finalizer = "service.kubernetes.io/load-balancer-cleanup"

  @Test func whatConcernsALoadBalancer() {
    func update(_ change: (inout Service) -> Void) -> (needed: Bool, notes: [ServiceNeeds.Note]) {
      ServiceNeeds.update(from: makeService(), to: makeService("web", change))
    }
    #expect(!update { $0.metadata.labels = ["a": "b"] }.needed)
    #expect(!update { $0.spec.ports[0].targetPort = .int(9) }.needed)
    #expect(update { $0.spec.ports[0].nodePort = 30_081 }.needed)
    #expect(update { $0.metadata.annotations = ["a": "b"] }.needed)
    #expect(update { $0.spec.type = "NodePort" }.notes == [.init(reason: "Type", message: "LoadBalancer -> NodePort")])
    #expect(
      update { $0.spec.loadBalancerSourceRanges = ["10.0.0.0/8"] }.notes
        == [.init(reason: "LoadBalancerSourceRanges", message: "[] -> [10.0.0.0/8]")])
    #expect(
      update { $0.spec.externalTrafficPolicy = "Local" }.notes
        == [.init(reason: "ExternalTrafficPolicy", message: "Cluster -> Local")])
    #expect(update { $0.spec.loadBalancerClass = "other" }.needed)
    #expect(ServiceNeeds.wantsLoadBalancer(makeService { $0.spec.loadBalancerClass = "x" }, classes: ["x"]))
    #expect(!ServiceNeeds.wantsLoadBalancer(makeService { $0.spec.loadBalancerClass = "x" }))
  }

  @Test func nodesOfASet() {
    let nodes = [
      makeNode("b", ready: false), makeNode("a"),
      makeNode("excluded") { $0.metadata.labels[ServiceNodes.excludeLabel] = "" },
      makeNode("leaving", taints: [ServiceNodes.toBeDeletedTaint]),
      makeNode("gone") { $0.metadata.deletionTimestamp = moment },
    ]
    #expect(ServiceNodes.eligible(nodes).map(\.metadata.name) == ["a", "b"])
    #expect(!ServiceNodes.concerns(from: makeNode("a"), to: makeNode("a", ready: false)))
    #expect(ServiceNodes.concerns(from: makeNode("a"), to: nodes[2]))
    #expect(ServiceNodes.concerns(from: makeNode("a"), to: makeNode("a") { $0.spec.providerID = "fake://1" }))
  }

  @Test func lifeOfALoadBalancer() async throws {
    let cloud = FakeCloud()
    try await withControllers(["service"], provider: { _, _ in cloud }) { api, client in
      try api.seed(makeNode("a"))
      try api.seed(makeService("inner", type: "ClusterIP"))
      try api.seed(makeService("classy") { $0.spec.loadBalancerClass = "other" })
      try api.seed(makeService())
      #expect(
        await eventually {
          api.service()?.status.loadBalancer.ingress.map(\.hostname) == ["web.kubernetes.example"]
        })
      #expect(api.service()?.metadata.finalizers == [Self.finalizer])
      #expect(await eventually { Set(api.reasons("web")) == ["EnsuringLoadBalancer", "EnsuredLoadBalancer"] })
      #expect(cloud.state.withLock { $0.balancers } == ["web": ["a"]])

      // Nodes come and go; what is not in the set changes nothing.
      try api.seed(makeNode("b"))
      #expect(await eventually { cloud.state.withLock { $0.balancers } == ["web": ["a", "b"]] })
      #expect(await eventually { api.message("UpdatedLoadBalancer") == "Updated load balancer with new hosts" })
      try api.modify(Node.self, name: "b") { $0.metadata.labels[ServiceNodes.excludeLabel] = "" }
      #expect(await eventually { cloud.state.withLock { $0.balancers } == ["web": ["a"]] })

      // No longer wanted: taken away, with its status and its finalizer.
      try api.modify(Service.self, namespace: "default", name: "web") { $0.spec.type = "ClusterIP" }
      #expect(await eventually { api.service()?.status.loadBalancer.ingress.isEmpty == true })
      #expect(api.service()?.metadata.finalizers.isEmpty == true)
      #expect(cloud.state.withLock { $0.balancers.isEmpty })
      #expect(await eventually { api.reasons("web").contains("DeletedLoadBalancer") })
      #expect(api.message("DeletingLoadBalancer") == "Deleting load balancer")
      #expect(api.message("Type") == "LoadBalancer -> ClusterIP")

      // Wanted again, and deleted.
      try api.modify(Service.self, namespace: "default", name: "web") { $0.spec.type = "LoadBalancer" }
      #expect(await eventually { cloud.state.withLock { !$0.balancers.isEmpty } })
      try await client.delete(Service.self, namespace: "default", name: "web")
      #expect(await eventually { api.service() == nil })
      #expect(cloud.state.withLock { $0.balancers.isEmpty })
      #expect(!cloud.calls.contains { $0.hasSuffix("inner") || $0.hasSuffix("classy") })
      #expect(api.service("classy")?.metadata.finalizers.isEmpty == true)
    }
  }

  @Test func failuresAreTold() async throws {
    let cloud = FakeCloud { $0.failure = Failure("no money") }
    try await withControllers(["service"], provider: { _, _ in cloud }) { api, _ in
      try api.seed(makeService())
      #expect(
        await eventually {
          api.message("SyncLoadBalancerFailed")
            == "Error syncing load balancer: failed to ensure load balancer: no money"
        })
      #expect(
        await eventually {
          api.message("UnAvailableLoadBalancer") == "There are no available nodes for LoadBalancer"
        })
      #expect(api.service()?.metadata.finalizers == [Self.finalizer])
      #expect(api.service()?.status.loadBalancer.ingress.isEmpty == true)
    }
  }

  @Test func othersServicesAreLeftAlone() async throws {
    let cloud = FakeCloud { $0.failure = CloudProviderError.implementedElsewhere }
    try await withControllers(["service"], provider: { _, _ in cloud }) { api, _ in
      try api.seed(makeService { $0.status.loadBalancer = ServingNodes.status(of: ["192.0.2.9"]) })
      #expect(await eventually { cloud.calls == ["ensure web"] })
      #expect(await eventually { api.reasons("web").contains("EnsuringLoadBalancer") })
      #expect(api.service()?.status.loadBalancer.ingress.map(\.ip) == ["192.0.2.9"])
      #expect(!api.reasons("web").contains("SyncLoadBalancerFailed"))
    }
  }

  @Test func triesAgainWhenTheCloudSaysSo() async throws {
    let cloud = FakeCloud { $0.failure = CloudProviderError.retry(afterSeconds: 0, reason: "still growing") }
    try await withControllers(["service"], provider: { _, _ in cloud }) { api, _ in
      try api.seed(makeService())
      // Far more often than the back-off of failures lets it.
      #expect(await eventually { cloud.calls.count > 3 })
      cloud.state.withLock { $0.failure = nil }
      #expect(await eventually { api.service()?.status.loadBalancer.ingress.isEmpty == false })
      #expect(
        api.message("SyncLoadBalancerFailed")
          == "Error syncing load balancer: failed to ensure load balancer: still growing")
    }
  }
}
