import API
import Testing

@testable import Kubelet

@Suite struct NodeStatusTests {
  private func addresses(external: Bool, previous: [String]) -> [String] {
    var configuration = KubeletConfiguration(nodeName: "node-1")
    configuration.externalCloud = external
    var status = NodeStatus()
    status.addresses = previous.map { text in
      NodeAddress {
        $0.type = "InternalIP"
        $0.address = text
      }
    }
    return build(previous: status, configuration).addresses.map(\.address)
  }

  private func build(previous: NodeStatus, _ configuration: KubeletConfiguration) -> NodeStatus {
    let machine = Machine(
      cores: 1, memory: 1 << 30, machineID: "", systemUUID: "", bootID: "", kernel: "", osImage: "",
      architecture: "amd64", hostname: "node-1", hugePages: [:])
    return NodeStatusBuilder.build(
      NodeStatusInput(
        machine: machine, configuration: configuration, hostIPs: ["10.0.0.1"], port: 10250, runtime: "", images: [],
        volumesInUse: [], problems: [], diskSize: 1 << 30, diskFree: 1 << 30, memoryAvailable: 1 << 30,
        previous: previous, now: Time(seconds: 100)))
  }

  @Test func extendedResourcesAreNotTheKubelets() {
    var status = NodeStatus()
    status.capacity = ["example.com/seat": 2, "cpu": 99, "hugepages-2Mi": 5]
    let built = build(previous: status, KubeletConfiguration(nodeName: "node-1"))
    #expect(built.capacity["example.com/seat"] == 2)
    #expect(built.allocatable["example.com/seat"] == 2)
    #expect(built.capacity["cpu"] == 1)
    #expect(built.capacity["hugepages-2Mi"] == nil)
  }

  @Test func aCloudHasTheLastWordOnAddresses() {
    #expect(addresses(external: false, previous: ["203.0.113.9"]) == ["10.0.0.1", "node-1"])
    #expect(addresses(external: true, previous: []) == ["10.0.0.1", "node-1"])
    #expect(addresses(external: true, previous: ["203.0.113.9"]) == ["203.0.113.9"])
  }
}
