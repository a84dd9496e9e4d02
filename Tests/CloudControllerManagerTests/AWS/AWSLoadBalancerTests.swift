import API
import Testing

@testable import CloudControllerManager

@Suite struct AWSLoadBalancerTests {
  private static let name = "a5f0ae3d26a0b4a1c9d5c2f1f3c0f9a7"

  /// What a load balancer looks like from outside.
  private struct View {
    var balancer: ELBLoadBalancer
    var listeners: [ELBListener]
    var groups: [ELBTargetGroup]
    var targets: [String: Set<ELBTarget>] = [:]

    init(_ elb: ELBClient) async throws {
      balancer = try #require(try await elb.loadBalancer(name: name))
      listeners = try await elb.listeners(loadBalancer: balancer.arn).sorted { $0.port < $1.port }
      groups = try await elb.targetGroups(loadBalancer: balancer.arn)
      for group in groups { targets[group.arn] = try await elb.targets(group: group.arn) }
    }

    func group(_ port: Int) throws -> ELBTargetGroup {
      let listener = try #require(listeners.first { $0.port == port })
      return try #require(groups.first { $0.arn == listener.targetGroup })
    }
  }

  @Test func fromBeginningToEnd() async throws {
    let world = try await MotoWorld("us-east-1")
    let elb = ELBClient(query: world.elb)
    let instances = try await world.run(3)
    let nodes = instances.map { MotoWorld.node($0) }
    let provider = try await world.provider()
    var service = AWSPlanTests.service(
      ["additional-resource-tags": "team=shop"], ports: [("TCP", 80, 30080), ("UDP", 53, 30053)])
    #expect(try await provider.loadBalancer(cluster: "test", service) == nil)

    let status = try await provider.ensureLoadBalancer(cluster: "test", service, nodes: Array(nodes.prefix(2)))
    var view = try await View(elb)
    #expect(status.ingress.map(\.hostname) == [view.balancer.dnsName])
    #expect(!view.balancer.dnsName.isEmpty)
    #expect(try await provider.loadBalancer(cluster: "test", service) == status)
    #expect(view.balancer.type == "network")
    #expect(view.balancer.scheme == "internet-facing")
    #expect(Set(view.balancer.subnets) == Set(world.subnets))
    #expect(view.listeners.map(\.protocol) == ["UDP", "TCP"])
    #expect(try view.group(80).port == 30080)
    #expect(try view.group(53).protocol == "UDP")
    #expect(
      try view.targets[view.group(80).arn]
        == Set(instances.prefix(2).map { ELBTarget(id: $0.id, port: 30080) }))
    let arns = [view.balancer.arn] + view.groups.map(\.arn)
    for tags in try await elb.tags(arns).values {
      #expect(tags["kubernetes.io/service-name"] == "shop/web-frontend")
      #expect(tags[MotoWorld.tag.key] == "owned")
      #expect(tags["team"] == "shop")
    }
    var rules = try await world.rules()
    #expect(
      Set(
        rules.filter { $0.description == "\(IngressRules.client)=\(Self.name)" }.map {
          "\($0.proto) \($0.from) \($0.cidr)"
        })
        == ["tcp 30080 0.0.0.0/0", "udp 30053 0.0.0.0/0"])
    // The health of the UDP port is asked for by TCP, from the load balancer's own subnets.
    #expect(
      Set(
        rules.filter { $0.description == "\(IngressRules.health)=\(Self.name)" }.map {
          "\($0.proto) \($0.from) \($0.cidr)"
        })
        == ["tcp 30053 10.0.0.0/24", "tcp 30053 10.0.1.0/24"])
    #expect(rules.contains { $0.description == IngressRules.mtu && $0.proto == "icmp" })

    // Nothing changed: nothing is written.
    _ = world.actions()
    _ = try await provider.ensureLoadBalancer(cluster: "test", service, nodes: Array(nodes.prefix(2)))
    #expect(world.writes() == [])

    // Other nodes: the difference only.
    try await provider.updateLoadBalancer(cluster: "test", service, nodes: Array(nodes.suffix(2)))
    #expect(
      world.writes().sorted() == ["DeregisterTargets", "DeregisterTargets", "RegisterTargets", "RegisterTargets"])
    view = try await View(elb)
    #expect(
      try view.targets[view.group(53).arn]
        == Set(instances.suffix(2).map { ELBTarget(id: $0.id, port: 30053) }))

    // Another port, another node port, health checks at the nodes, fewer clients, other attributes.
    service.spec.ports[0].nodePort = 30081
    service.spec.ports[1].protocol = "TCP"
    service.spec.ports[1].port = 8080
    service.spec.externalTrafficPolicy = "Local"
    service.spec.healthCheckNodePort = 31_000
    service.spec.loadBalancerSourceRanges = ["192.0.2.0/24"]
    service.metadata.annotations[ServiceAnnotations.prefix + "cross-zone-load-balancing-enabled"] = "true"
    _ = try await provider.ensureLoadBalancer(cluster: "test", service, nodes: nodes)
    view = try await View(elb)
    #expect(view.listeners.map(\.port) == [80, 8080])
    #expect(view.groups.count == 2)
    #expect(try view.group(80).port == 30081)
    #expect(try view.group(8080).healthCheck.port == "31000")
    #expect(try view.group(8080).healthCheck.path == "/healthz")
    #expect(try view.targets[view.group(80).arn]?.count == 3)
    #expect(try await elb.attributes(loadBalancer: view.balancer.arn)["load_balancing.cross_zone.enabled"] == "true")
    #expect(try await elb.allTargetGroups().count == 2)
    rules = try await world.rules()
    #expect(
      Set(rules.map { "\($0.proto) \($0.from) \($0.cidr)" })
        == [
          "tcp 30081 192.0.2.0/24", "tcp 30053 192.0.2.0/24", "icmp 3 192.0.2.0/24", "tcp 31000 10.0.0.0/24",
          "tcp 31000 10.0.1.0/24",
        ])

    // Health checks change in place.
    _ = world.actions()
    service.metadata.annotations[ServiceAnnotations.prefix + "healthcheck-interval"] = "30"
    _ = try await provider.ensureLoadBalancer(cluster: "test", service, nodes: nodes)
    #expect(world.writes() == ["ModifyTargetGroup", "ModifyTargetGroup"])

    // Internal instead of public: another load balancer of the same name.
    let before = try await View(elb).balancer.arn
    service.metadata.annotations[ServiceAnnotations.prefix + "internal"] = "true"
    _ = try await provider.ensureLoadBalancer(cluster: "test", service, nodes: nodes)
    view = try await View(elb)
    #expect(view.balancer.scheme == "internal")
    #expect(view.balancer.arn != before)
    #expect(view.listeners.count == 2)

    _ = world.actions()
    try await provider.deleteLoadBalancer(cluster: "test", service)
    let writes = world.writes()
    #expect(writes.first == "DeleteLoadBalancer")
    #expect(writes.last == "RevokeSecurityGroupIngress")
    #expect(try await provider.loadBalancer(cluster: "test", service) == nil)
    #expect(try await elb.allTargetGroups().isEmpty)
    #expect(try await world.rules().isEmpty)
    try await provider.deleteLoadBalancer(cluster: "test", service)
    #expect(world.writes() == [])
    await #expect(throws: AWSConfigurationError.self) {
      try await provider.updateLoadBalancer(cluster: "test", service, nodes: nodes)
    }
  }

  /// What an interrupted attempt left is taken up, or cleared away.
  @Test func leftovers() async throws {
    let world = try await MotoWorld("ca-central-1")
    let elb = ELBClient(query: world.elb)
    let instances = try await world.run(1)
    let nodes = instances.map { MotoWorld.node($0) }
    let provider = try await world.provider()
    let service = AWSPlanTests.service()
    let plan = try LoadBalancerPlan(service, tag: MotoWorld.tag, configuration: provider.configuration)
    func make(_ cluster: String) async throws -> ELBTargetGroup {
      try await elb.createTargetGroup(
        .init(
          name: LoadBalancerPlan.targetGroupName(service, plan.ports[0], clusterID: cluster, vpc: world.vpc),
          port: 30080, protocol: "TCP", vpc: world.vpc, healthCheck: plan.ports[0].healthCheck,
          tags: ClusterTag(clusterID: cluster).owned(service: service, additional: [:])))
    }
    let own = try await make("test")
    let foreign = try await make("other")
    _ = try await provider.ensureLoadBalancer(cluster: "test", service, nodes: nodes)
    #expect(try await View(elb).groups.map(\.arn) == [own.arn])
    try await elb.deleteLoadBalancer(arn: try await View(elb).balancer.arn)
    // The load balancer is gone, its target group and rules are not.
    try await provider.deleteLoadBalancer(cluster: "test", service)
    #expect(try await elb.allTargetGroups().map(\.arn) == [foreign.arn])
    #expect(try await world.rules().isEmpty)
  }

  @Test func missingSubnets() async throws {
    let world = try await MotoWorld("ap-southeast-2")
    let instances = try await world.run(1)
    var parameters = QueryParameters()
    parameters.list("ResourceId", world.subnets)
    parameters.set("Tag.1.Key", ClusterTag.publicSubnet)
    _ = try await world.ec2.call("DeleteTags", parameters)
    let provider = try await world.provider()
    // Without the tag of the role, a subnet must have a way to the internet.
    let nodes = instances.map { MotoWorld.node($0) }
    let error = await #expect(throws: AWSConfigurationError.self) {
      _ = try await provider.ensureLoadBalancer(cluster: "test", AWSPlanTests.service(), nodes: nodes)
    }
    #expect(error?.description == "could not find any suitable subnets for creating the ELB")
    let gateway = try await world.ec2.call("CreateInternetGateway").find("internetGateway", "internetGatewayId")!.text
    _ = try await world.ec2.call(
      "AttachInternetGateway", QueryParameters(["InternetGatewayId": gateway, "VpcId": world.vpc]))
    _ = try await world.ec2.call(
      "CreateRoute",
      QueryParameters(["RouteTableId": world.table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway]))
    _ = try await world.ec2.call(
      "AssociateRouteTable", QueryParameters(["RouteTableId": world.table, "SubnetId": world.subnets[1]]))
    _ = try await provider.ensureLoadBalancer(cluster: "test", AWSPlanTests.service(), nodes: nodes)
    #expect(try await View(ELBClient(query: world.elb)).balancer.subnets == [world.subnets[1]])
  }

  @Test func classicIsRefused() async throws {
    let world = try await MotoWorld("sa-east-1")
    let provider = try await world.provider()
    let classic = AWSPlanTests.service(["type": "clb"])
    await #expect(throws: AWSConfigurationError.self) {
      _ = try await provider.ensureLoadBalancer(cluster: "test", classic, nodes: [])
    }
    await #expect(throws: CloudProviderError.self) {
      _ = try await provider.loadBalancer(cluster: "test", AWSPlanTests.service(["type": "external"]))
    }
  }
}
