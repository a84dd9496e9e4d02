import API
import Client
import Synchronization
import Testing

@testable import CloudControllerManager

@Suite struct CloudNodeTests {
  private static let uninitialized = "node.cloudprovider.kubernetes.io/uninitialized"

  private func address(_ type: String, _ address: String) -> NodeAddress {
    NodeAddress {
      $0.type = type
      $0.address = address
    }
  }

  private var metadata: InstanceMetadata {
    InstanceMetadata(
      providerID: "fake://1", instanceType: "large", addresses: [address("InternalIP", "10.0.0.1")], zone: "z1",
      region: "r1",
      additionalLabels: ["example.org/rack": "7", "x.kubernetes.io/no": "1", "k8s.io/no": "1", "mine": "theirs"])
  }

  @Test func initializationTakesWhatTheCloudKnows() {
    let node = makeNode("a", taints: [Self.uninitialized, "other"]) { $0.metadata.labels = ["mine": "own"] }
    let change = NodeInitialization(of: node, metadata)
    #expect(change.providerID == "fake://1")
    #expect(change.taints.map(\.key) == ["other"])
    #expect(change.discarded == ["k8s.io/no", "mine", "x.kubernetes.io/no"])
    #expect(
      change.labels == [
        "beta.kubernetes.io/instance-type": "large", "node.kubernetes.io/instance-type": "large",
        "failure-domain.beta.kubernetes.io/zone": "z1", "topology.kubernetes.io/zone": "z1",
        "failure-domain.beta.kubernetes.io/region": "r1", "topology.kubernetes.io/region": "r1",
        "example.org/rack": "7",
      ])
    let named = NodeInitialization(of: makeNode("a") { $0.spec.providerID = "fake://0" }, metadata)
    #expect(named.providerID == nil)
  }

  @Test func addressesHonourTheKubelets() throws {
    let cloud = [
      address("InternalIP", "10.0.0.1"), address("InternalIP", "10.0.0.2"), address("ExternalIP", "198.51.100.1"),
    ]
    var node = makeNode("a", addresses: [("Hostname", "a"), ("InternalIP", "10.0.0.2")])
    #expect(try NodeAddresses.desired(for: node, cloud: []) == nil)
    #expect(try NodeAddresses.desired(for: node, cloud: cloud) == cloud + [address("Hostname", "a")])
    node.metadata.annotations["alpha.kubernetes.io/provided-node-ip"] = "10.0.0.2"
    let enforced = [
      address("InternalIP", "10.0.0.2"), address("ExternalIP", "198.51.100.1"), address("Hostname", "a"),
    ]
    #expect(try NodeAddresses.desired(for: node, cloud: cloud) == enforced)
    node.metadata.annotations["alpha.kubernetes.io/provided-node-ip"] = "10.0.0.3"
    #expect(throws: Failure.self) { try NodeAddresses.desired(for: node, cloud: cloud) }
  }

  @Test func initializesNodesAndKeepsTheirAddresses() async throws {
    let cloud = FakeCloud { $0.metadata["a"] = metadata }
    try await withControllers(["cloud-node"], provider: { _, _ in cloud }) { api, _ in
      try api.seed(makeNode("a", addresses: [("Hostname", "a")], taints: [Self.uninitialized]))
      #expect(
        await eventually {
          let node = api.object(Node.self, name: "a")
          return node?.spec.providerID == "fake://1" && node?.spec.taints.isEmpty == true
            && node?.metadata.labels["topology.kubernetes.io/zone"] == "z1"
            && node?.status.addresses.map(\.address) == ["10.0.0.1", "a"]
        })
      #expect(await eventually { api.reasons("a") == ["Synced"] })
      cloud.state.withLock { $0.metadata["a"]?.addresses = [address("InternalIP", "10.0.0.9")] }
      #expect(
        await eventually {
          api.object(Node.self, name: "a")?.status.addresses.map(\.address) == ["10.0.0.9", "a"]
        })
      // The old names of labels follow the new ones.
      try api.modify(Node.self, name: "a") { $0.metadata.labels["topology.kubernetes.io/zone"] = "z2" }
      #expect(
        await eventually {
          api.object(Node.self, name: "a")?.metadata.labels["failure-domain.beta.kubernetes.io/zone"] == "z2"
        })
    }
  }

  @Test func aMachineTheCloudDoesNotKnowStaysTainted() async throws {
    let cloud = FakeCloud { $0.metadata["b"] = metadata }
    try await withControllers(["cloud-node-controller"], provider: { _, _ in cloud }) { api, _ in
      try api.seed(makeNode("a", taints: [Self.uninitialized]))
      try api.seed(makeNode("b", taints: [Self.uninitialized]))
      #expect(await eventually { api.object(Node.self, name: "b")?.spec.taints.isEmpty == true })
      #expect(api.object(Node.self, name: "a")?.spec.taints.count == 1)
    }
  }

  @Test func fateOfANode() async throws {
    func fate(ready: Bool?, exists: Bool, isShutDown: Bool) async throws -> NodeFate {
      try await NodeFate.of(makeNode("a", ready: ready), exists: { exists }, isShutDown: { isShutDown })
    }
    #expect(try await fate(ready: true, exists: false, isShutDown: true) == .clearTaint)
    #expect(try await fate(ready: false, exists: false, isShutDown: true) == .delete)
    #expect(try await fate(ready: nil, exists: true, isShutDown: true) == .taint)
    #expect(try await fate(ready: false, exists: true, isShutDown: false) == .leave)
  }

  @Test func machinesThatAreGoneOrStopped() async throws {
    let cloud = FakeCloud {
      $0.missing = ["gone", "ready"]
      $0.stopped = ["off"]
    }
    try await withControllers(["cloud-node-lifecycle"], provider: { _, _ in cloud }) { api, _ in
      try api.seed(makeNode("ready"))
      try api.seed(makeNode("off", ready: false))
      try api.seed(makeNode("gone", ready: false))
      #expect(await eventually { api.object(Node.self, name: "gone") == nil })
      #expect(await eventually { api.reasons("gone") == ["DeletingNode"] })
      #expect(
        api.message("DeletingNode") == "Deleting node gone because it does not exist in the cloud provider")
      #expect(
        await eventually {
          api.object(Node.self, name: "off")?.spec.taints.map { "\($0.key):\($0.effect)" }
            == ["node.cloudprovider.kubernetes.io/shutdown:NoSchedule"]
        })
      #expect(api.object(Node.self, name: "ready") != nil)
      try api.modify(Node.self, name: "off") { $0.status.conditions[0].status = "True" }
      #expect(await eventually { api.object(Node.self, name: "off")?.spec.taints.isEmpty == true })
    }
  }
}
