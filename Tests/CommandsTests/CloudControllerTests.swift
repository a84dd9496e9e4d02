import ArgumentParser
import Testing

@testable import Commands

@Suite struct CloudControllerTests {
  @Test func aServerChecksItsPool() throws {
    let options = try CloudControllerOptions.parse(["--load-balancer-pool", "10.0.0.0/28"])
    #expect(options.cloudProvider == .metal)
    #expect(throws: (any Error).self) { try CloudControllerOptions.parse(["--load-balancer-pool", "ten"]) }
    #expect(throws: (any Error).self) {
      try CloudControllerOptions.parse(["--cloud-provider", "none", "--load-balancer-pool", "10.0.0.1"])
    }
  }

  @Test func settingsSayWhoseCloudItIs() {
    let settings = ClusterSettings(
      clusterCIDR: "a", serviceCIDR: "b", clusterDNS: "c", clusterDomain: "d", cloudProvider: "aws")
    #expect(ClusterSettings(settings.data) == settings)
    var old = settings.data
    old["cloudProvider"] = nil
    #expect(ClusterSettings(old)?.cloudProvider == "metal")
  }
}
