import API
import Linux
import Testing

@testable import PodNetwork

func node(_ name: String, _ address: String, _ range: String, overlay: Bool = true) -> Node {
  var node = Node()
  node.metadata.name = name
  node.spec.podCIDR = range
  node.spec.podCIDRs = [range]
  var own = NodeAddress()
  own.type = "InternalIP"
  own.address = address
  node.status.addresses = [own]
  if overlay {
    node.metadata.annotations = [
      NetworkNode.Annotation.mac: NetworkNode.mac(ofNode: name).description,
      NetworkNode.Annotation.endpoint: address,
    ]
  }
  return node
}

@Suite struct NetworkPlanTests {
  private let links = [
    NetworkLink(index: 1, name: "lo", mtu: 65536, isUp: true),
    NetworkLink(index: 2, name: "eth0", mtu: 1500, isUp: true),
    NetworkLink(index: 3, name: "cni0", mtu: 1500, isUp: true, kind: "bridge"),
  ]

  private func plan(_ nodes: [Node]) throws -> NetworkPlan {
    let own = try #require(NetworkAddress("10.77.0.11"))
    return NetworkPlan.decide(
      node: "a", address: own, nodes: nodes.map(NetworkNode.init), links: links,
      addresses: [
        LinkAddress(link: 1, address: try #require(NetworkAddress("127.0.0.1")), length: 8),
        LinkAddress(link: 2, address: own, length: 24),
        LinkAddress(link: 3, address: try #require(NetworkAddress("10.244.0.1")), length: 24),
      ])
  }

  @Test func aNeighbourIsReachedDirectly() throws {
    let plan = try plan([node("a", "10.77.0.11", "10.244.0.0/24"), node("b", "10.77.0.12", "10.244.1.0/24")])
    #expect(
      plan.direct == [
        .init(
          range: try #require(IPPrefix("10.244.1.0/24")), gateway: try #require(NetworkAddress("10.77.0.12")), link: 2)
      ])
    #expect(plan.overlay.isEmpty)
    #expect(plan.endpoint == nil)
    #expect(plan.podMTU == 1500)
  }

  @Test func anyOtherIsReachedThroughTheOverlay() throws {
    let plan = try plan([node("a", "10.77.0.11", "10.244.0.0/24"), node("b", "10.78.0.12", "10.244.1.0/24")])
    #expect(plan.direct.isEmpty)
    #expect(plan.overlay.map(\.endpoint.description) == ["10.78.0.12"])
    #expect(plan.overlay.map(\.address.description) == ["10.244.1.0"])
    #expect(plan.endpoint?.address.description == "10.244.0.0")
    #expect(plan.endpoint?.parent == 2)
    #expect(plan.endpoint?.mtu == 1450)
    #expect(plan.podMTU == 1450)
  }

  @Test func aNodeThatHasNotToldItsEndMustWait() throws {
    let plan = try plan([
      node("a", "10.77.0.11", "10.244.0.0/24"), node("b", "10.78.0.12", "10.244.1.0/24", overlay: false),
    ])
    #expect(plan.unreachable == ["b"])
    #expect(plan.overlay.isEmpty)
  }

  @Test func aNodeWithoutARangeIsNoPeer() throws {
    var bare = node("b", "10.77.0.12", "")
    bare.spec.podCIDRs = []
    let plan = try plan([node("a", "10.77.0.11", "10.244.0.0/24"), bare])
    #expect(plan.direct.isEmpty && plan.overlay.isEmpty && plan.unreachable.isEmpty)
    #expect(try self.plan([bare]).podRanges.isEmpty)
  }

  @Test func linkLayerAddressesFollowFromNames() {
    #expect(NetworkNode.mac(ofNode: "a") == NetworkNode.mac(ofNode: "a"))
    #expect(NetworkNode.mac(ofNode: "a") != NetworkNode.mac(ofNode: "b"))
    #expect(NetworkNode.mac(ofNode: "a").bytes[0] == 2)
  }
}
