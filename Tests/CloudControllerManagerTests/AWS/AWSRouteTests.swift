import API
import Testing

@testable import CloudControllerManager

@Suite struct AWSRouteTests {
  @Test func routes() async throws {
    let world = try await MotoWorld("us-east-2")
    let instances = try await world.run(2)
    let provider = try await world.provider()
    #expect(try await provider.routes(cluster: "test") == [])
    for (index, instance) in instances.enumerated() {
      let node = MotoWorld.node(instance)
      provider.nodes.set(node)
      let route = CloudRoute(
        name: "", targetNode: node.metadata.name, destinationCIDR: "10.244.\(index).0/24")
      try await provider.createRoute(cluster: "test", route, to: node)
    }
    _ = world.actions()
    let listed = try await provider.routes(cluster: "test").sorted { $0.destinationCIDR < $1.destinationCIDR }
    #expect(listed.map(\.destinationCIDR) == ["10.244.0.0/24", "10.244.1.0/24"])
    #expect(listed.map(\.name) == ["test-10.244.0.0/24", "test-10.244.1.0/24"])
    #expect(listed.map(\.targetNode) == instances.map(\.privateDNSName))
    #expect(listed.allSatisfy { !$0.isBlackhole })

    let answer = try await world.ec2.call(
      "DescribeNetworkInterfaceAttribute",
      QueryParameters([
        "NetworkInterfaceId": instances[0].primaryInterface?.id, "Attribute": "sourceDestCheck",
      ]))
    #expect(answer.find("sourceDestCheck", "value")?.text == "false")

    // The same route again is no new route.
    try await provider.createRoute(cluster: "test", listed[0], to: MotoWorld.node(instances[0]))
    #expect(!world.writes().contains("CreateRoute"))

    // A route to an instance that is gone leads nowhere, and makes room for another.
    try await world.change("TerminateInstances", [instances[0].id])
    let after = try await provider.routes(cluster: "test").sorted { $0.destinationCIDR < $1.destinationCIDR }
    #expect(after.map(\.isBlackhole) == [true, false])
    try await provider.createRoute(cluster: "test", listed[0], to: MotoWorld.node(instances[1]))
    #expect(try await provider.routes(cluster: "test").allSatisfy { $0.targetNode == instances[1].privateDNSName })
    // Somebody else's live route is left alone.
    let third = try #require(try await world.run(1).first)
    await #expect(throws: AWSError.self) {
      try await provider.createRoute(cluster: "test", listed[1], to: MotoWorld.node(third))
    }

    for route in listed { try await provider.deleteRoute(cluster: "test", route) }
    #expect(try await provider.routes(cluster: "test") == [])
    try await provider.deleteRoute(cluster: "test", listed[0])
  }

  @Test func theTableMustBeOne() async throws {
    let world = try await MotoWorld("us-west-1")
    let second = try await world.ec2.call("CreateRouteTable", QueryParameters(["VpcId": world.vpc]))
      .find("routeTable", "routeTableId")!.text
    try await world.tag([second], [MotoWorld.tag.key: "shared"])
    let provider = try await world.provider()
    let error = await #expect(throws: AWSConfigurationError.self) { _ = try await provider.routes(cluster: "test") }
    #expect(error?.description == "found multiple matching AWS route tables for AWS cluster: test")
    let named = try await world.provider("RouteTableID = \(second)\n")
    #expect(try await named.routes(cluster: "test") == [])
  }
}
