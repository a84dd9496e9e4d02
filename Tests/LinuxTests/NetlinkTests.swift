import Glibc
import Testing

@testable import Linux

/// The kernel's own answers, in a network namespace of each test's own.
@Suite(.enabled(if: getuid() == 0, "namespaces need root"))
struct NetlinkTests {
  @Test func linksAndAddresses() async throws {
    try await Namespaces.withNew([.network]) {
      let socket = try RouteSocket()
      try socket.addVirtualPair("one", "two")
      let one = try #require(try socket.link(named: "one"))
      #expect(one.kind == "veth")
      #expect(!one.isUp)
      try socket.setUp(one.index, mtu: 1400)
      #expect(try socket.link(named: "one")?.isUp == true)
      #expect(try socket.link(named: "one")?.mtu == 1400)
      let address = LinkAddress(link: one.index, address: try #require(NetworkAddress("10.1.0.1")), length: 24)
      try socket.add(address)
      try socket.add(address)
      #expect(try socket.addresses().contains(address))
      try socket.delete(address)
      try socket.delete(address)
      #expect(try !socket.addresses().contains(address))
      try socket.deleteLink(one.index)
      try socket.deleteLink(one.index)
      #expect(try socket.link(named: "two") == nil)
    }
  }

  @Test func routesAreReplacedAndKnownByTheirMaker() async throws {
    try await Namespaces.withNew([.network]) {
      let socket = try RouteSocket()
      try socket.addVirtualPair("one", "two")
      for name in ["one", "two"] { try socket.setUp(try #require(try socket.link(named: name)).index) }
      let link = try #require(try socket.link(named: "one")).index
      try socket.add(LinkAddress(link: link, address: try #require(NetworkAddress("10.1.0.1")), length: 24))
      func route(_ gateway: String, onLink: Bool = false) throws -> NetworkRoute {
        NetworkRoute(
          destination: try #require(IPPrefix("10.244.1.0/24")), gateway: NetworkAddress(gateway), link: link,
          isOnLink: onLink, origin: 97)
      }
      try socket.replace(try route("10.1.0.2"))
      try socket.replace(try route("10.1.0.3"))
      #expect(try socket.routes(origin: 97) == [try route("10.1.0.3")])
      #expect(try socket.routes().filter(\.destination.address.isIPv4).count == 2)
      #expect(throws: SystemError.self) { try socket.replace(try route("192.168.7.7")) }
      try socket.replace(try route("192.168.7.7", onLink: true))
      #expect(try socket.routes(origin: 97) == [try route("192.168.7.7", onLink: true)])
      try socket.delete(try route("192.168.7.7", onLink: true))
      try socket.delete(try route("192.168.7.7", onLink: true))
      #expect(try socket.routes(origin: 97).isEmpty)
    }
  }

  @Test func overlayDeviceWithPeers() async throws {
    try await Namespaces.withNew([.network]) {
      let socket = try RouteSocket()
      let wanted = NetworkLink.VXLAN(identifier: 1, port: 8472, local: NetworkAddress("10.1.0.1"))
      let mac = try #require(MACAddress("02:00:00:00:00:07"))
      try socket.addVXLAN(name: "apus.vxlan", wanted, mac: mac, mtu: 1450)
      let link = try #require(try socket.link(named: "apus.vxlan"))
      #expect(link.vxlan == wanted)
      #expect(link.mac == mac)
      #expect(link.mtu == 1450)
      try socket.setUp(link.index)
      let peer = try #require(MACAddress("02:00:00:00:00:08"))
      let inside = NetworkNeighbour(link: link.index, address: try #require(NetworkAddress("10.244.1.0")), mac: peer)
      let machine = NetworkNeighbour(link: link.index, address: try #require(NetworkAddress("10.2.0.1")), mac: peer)
      try socket.setNeighbour(inside)
      try socket.setForwarding(machine)
      #expect(try socket.neighbours(of: link.index) == [inside])
      #expect(try socket.forwarding(of: link.index) == [machine])
      for _ in 0..<2 {
        try socket.deleteNeighbour(inside)
        try socket.deleteForwarding(machine)
      }
      #expect(try socket.neighbours(of: link.index).isEmpty)
      #expect(try socket.forwarding(of: link.index).isEmpty)
    }
  }

  @Test func changesAreTold() async throws {
    let (events, link) = try await Namespaces.withNew([.network]) {
      let events = try NetworkEvents()
      let socket = try RouteSocket()
      try socket.addVirtualPair("one", "two")
      let link = try #require(try socket.link(named: "one")).index
      try socket.deleteLink(link)
      return (events, link)
    }
    for await event in events.events where event == NetworkEvent(kind: .linkGone, link: link) { break }
    events.stop()
    for await _ in events.events {}
  }

  @Test func trackedFlowsAreForgotten() async throws {
    try await Namespaces.withNew([.network]) {
      let socket = try RouteSocket()
      try socket.setUp(try #require(try socket.link(named: "lo")).index)
      let tracking = try ConnectionTracking()
      #expect(try tracking.udpFlows().isEmpty)
    }
  }
}
