import Glibc
import Testing

@testable import Linux

@Test func defaultRouteWithTheLowestMetricWins() {
  let routes = """
    Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
    wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
    eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
    eth0\t0001A8C0\t00000000\t0001\t0\t0\t10\t00FFFFFF\t0\t0\t0
    """
  #expect(HostNetwork.defaultInterface(routes: routes) == "eth0")
  #expect(HostNetwork.defaultInterface(routes: "Iface\n") == nil)
}

@Test func addressesAreWellFormed() {
  for entry in HostNetwork.addresses() {
    #expect(entry.address.split(separator: ".").count == 4)
    #expect(entry.address != "127.0.0.1")
    #expect((0...32).contains(entry.prefixLength))
  }
}

@Test(.enabled(if: getuid() == 0, "namespaces need root"))
func aNewNetworkNamespaceIsEmpty() async throws {
  let inside = try await Namespaces.withNew([.network]) { HostNetwork.addresses() }
  #expect(inside.isEmpty)
}

@Test func aMissingNamespaceIsAnError() async {
  await #expect(throws: SystemError.self) { try await Namespaces.withNetwork(at: "/nonexistent") {} }
}
