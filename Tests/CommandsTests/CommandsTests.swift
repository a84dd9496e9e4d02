import ArgumentParser
import Testing

@testable import Commands

@Suite struct CommandLineTests {
  @Test func serverDefaultsAreUpstreams() throws {
    let command = try #require(try Apus.parseAsRoot(["server"]) as? ServerCommand)
    #expect(command.clusterCIDR == "10.244.0.0/16")
    #expect(command.serviceCIDR == "10.96.0.0/12")
    #expect(command.clusterDNS == "10.96.0.10")
    #expect(command.directories.adminKubeconfig == "/var/lib/apus/admin.kubeconfig")
  }

  @Test(arguments: [
    ["server", "--node-name", "Upper"], ["server", "--container-runtime-endpoint", "/run/x.sock"],
    ["server", "--log-level", "loud"], ["server", "--unknown"], ["image", "build-busybox"],
  ])
  func badArgumentsAreRefused(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try Apus.parseAsRoot(arguments) }
  }

  @Test func theFirstAddressOfARangeIsTheAPIServers() {
    #expect(ServerParts.firstAddress(of: "10.96.0.0/12") == "10.96.0.1")
    #expect(ServerParts.firstAddress(of: "172.20.255.0/24") == "172.20.255.1")
  }
}
