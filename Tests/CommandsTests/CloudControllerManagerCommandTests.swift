import ArgumentParser
import CloudControllerManager
import Testing

@testable import Commands

@Suite struct CloudControllerManagerCommandTests {
  private func values(_ words: [String]) throws -> FlagValues {
    guard case .run(let values) = try CloudControllerManagerCommand.flags.parse(words) else {
      throw FlagError("nothing to run")
    }
    return values
  }

  @Test func upstreamsFlagsAreUnderstood() throws {
    let given = try CloudControllerManagerCommand.settings(
      values([
        "--cloud-provider=metal", "--kubeconfig", "/k", "--leader-elect=false", "--controllers=*,-route",
        "--cluster-name=c", "--cluster-cidr=10.0.0.0/16", "--allocate-node-cidrs", "--configure-cloud-routes=false",
        "--node-status-update-frequency=1m30s", "--concurrent-service-syncs=3", "--secure-port=0",
        "--bind-address=127.0.0.1", "--authentication-kubeconfig=/a", "--load-balancer-pool=10.0.0.1-10.0.0.9", "--v=4",
      ]))
    #expect(!given.isEnabled("node-route-controller"))
    #expect(given.isEnabled("service-lb-controller"))
    #expect(given.clusterName == "c")
    #expect(given.allocateNodeCIDRs)
    #expect(!given.configureCloudRoutes)
    #expect(given.nodeStatusUpdateFrequency == .seconds(90))
    #expect(given.concurrentServiceSyncs == 3)
    let plain = try values(["--cloud-provider", "metal"])
    #expect(plain.flag("leader-elect"))
    #expect(plain.integer("secure-port") == 10258)
    #expect(plain.text("leader-elect-resource-name") == "cloud-controller-manager")
    #expect(try CloudControllerManagerCommand.settings(plain).nodeStatusUpdateFrequency == .seconds(300))
  }

  @Test(arguments: [
    (["--cloud-provider=mars"], "unknown cloud provider \"mars\": aws and metal are known"),
    ([], "--cloud-provider cannot be empty"),
    (["--cloud-provider=metal", "--nonsense"], "unknown flag: --nonsense"),
    (["--cloud-provider=metal", "--controllers=nobody"], "\"nobody\" is not in the list of known controllers"),
    (["--cloud-provider=metal", "--allocate-node-cidrs"], "--allocate-node-cidrs needs --cluster-cidr"),
    (
      ["--cloud-provider=aws", "--load-balancer-pool=10.0.0.1"],
      "--load-balancer-pool is for --cloud-provider=metal only"
    ),
  ])
  func wrongLinesAreToldSo(_ words: [String], _ message: String) {
    let error = #expect(throws: FlagError.self) {
      try CloudControllerManagerCommand.settings(values(words))
    }
    #expect(error?.description == message)
  }
}
