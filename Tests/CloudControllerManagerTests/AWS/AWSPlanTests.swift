import API
import HTTP
import Testing

@testable import CloudControllerManager

@Suite struct AWSPlanTests {
  private func configuration(_ text: String = "") throws -> AWSConfiguration {
    try AWSConfiguration(cloudConfig: text, environment: [:])
  }

  private func plan(_ service: Service, _ config: String = "") throws -> LoadBalancerPlan {
    try LoadBalancerPlan(service, tag: ClusterTag(clusterID: "c"), configuration: try configuration(config))
  }

  static func service(_ annotations: [String: String] = [:], ports: [(String, Int32, Int32)] = [("TCP", 80, 30080)])
    -> Service
  {
    var service = Service()
    service.metadata.name = "web-frontend"
    service.metadata.namespace = "shop"
    service.metadata.uid = "5f0ae3d2-6a0b-4a1c-9d5c-2f1f3c0f9a77"
    service.metadata.annotations = annotations.reduce(into: [:]) {
      $0[($1.key.contains("/") ? "" : ServiceAnnotations.prefix) + $1.key] = $1.value
    }
    service.spec.type = "LoadBalancer"
    service.spec.ports = ports.map {
      var port = ServicePort()
      port.protocol = $0.0
      port.port = $0.1
      port.nodePort = $0.2
      port.name = "p\($0.1)"
      return port
    }
    return service
  }

  @Test func names() throws {
    let plan = try plan(Self.service())
    #expect(plan.name == "a5f0ae3d26a0b4a1c9d5c2f1f3c0f9a7")
    #expect(plan.name.count == 32)
    let group = LoadBalancerPlan.targetGroupName(Self.service(), plan.ports[0], clusterID: "c", vpc: "v")
    #expect(group.hasPrefix("k8s-shop-webfront-"))
    #expect(group.count == 28)
    var other = plan.ports[0]
    other.nodePort += 1
    #expect(LoadBalancerPlan.targetGroupName(Self.service(), other, clusterID: "c", vpc: "v") != group)
  }

  @Test func defaults() throws {
    let plan = try plan(Self.service())
    #expect(!plan.isInternal)
    #expect(plan.clients == ["0.0.0.0/0"])
    #expect(plan.ports[0].listener == "TCP")
    #expect(plan.ports[0].healthCheck == ELBHealthCheck())
    #expect(
      plan.tags == ["kubernetes.io/service-name": "shop/web-frontend", "kubernetes.io/cluster/c": "owned"])
    #expect(plan.attributes["load_balancing.cross_zone.enabled"] == "false")
  }

  @Test func annotations() throws {
    let plan = try plan(
      Self.service([
        "type": "nlb", "internal": "true", "additional-resource-tags": "a=1, b = 2,c", "subnets": "subnet-1, subnet-2",
        "eip-allocations": "eip-1,eip-2", "cross-zone-load-balancing-enabled": "true",
        "healthcheck-protocol": "http", "healthcheck-port": "8080", "healthcheck-path": "/up",
        "healthcheck-interval": "10", "healthcheck-healthy-threshold": "2", "healthcheck-unhealthy-threshold": "4",
        ServiceAnnotations.sourceRanges: "10.0.0.0/8, 192.0.2.0/24",
      ]))
    #expect(plan.isInternal)
    #expect(plan.tags["b"] == "2" && plan.tags["c"] == "")
    #expect(plan.subnets == ["subnet-1", "subnet-2"])
    #expect(plan.addresses == ["eip-1", "eip-2"])
    #expect(plan.attributes["load_balancing.cross_zone.enabled"] == "true")
    #expect(plan.clients == ["10.0.0.0/8", "192.0.2.0/24"])
    #expect(
      plan.ports[0].healthCheck
        == ELBHealthCheck(port: "8080", path: "/up", protocol: "HTTP", interval: 10, healthy: 2, unhealthy: 4))
  }

  @Test func localTrafficIsCheckedAtTheNodes() throws {
    var service = Self.service()
    service.spec.externalTrafficPolicy = "Local"
    service.spec.healthCheckNodePort = 31_000
    let check = try plan(service).ports[0].healthCheck
    #expect(
      check == ELBHealthCheck(port: "31000", path: "/healthz", protocol: "HTTP", interval: 10, healthy: 2, unhealthy: 2)
    )
  }

  @Test func sharedProbe() throws {
    let config = "[Global]\nClusterServiceLoadBalancerHealthProbeMode = Shared\n"
    let check = try plan(Self.service(), config).ports[0].healthCheck
    #expect(check.port == "10256" && check.path == "/healthz" && check.protocol == "HTTP")
  }

  @Test func protocols() throws {
    let both = try plan(Self.service(ports: [("TCP", 53, 30053), ("UDP", 53, 30053), ("UDP", 90, 30090)]))
    #expect(both.ports.map(\.listener) == ["TCP_UDP", "UDP"])
    #expect(both.ports[0].trafficProtocols == ["tcp", "udp"])
    let tls = try plan(
      Self.service(
        ["ssl-cert": "arn:c", "ssl-ports": "443,p8443", "backend-protocol": "ssl", "ssl-negotiation-policy": "pol"],
        ports: [("TCP", 80, 30080), ("TCP", 443, 30443), ("TCP", 8443, 31443)]))
    #expect(tls.ports.map(\.listener) == ["TCP", "TLS", "TLS"])
    #expect(tls.ports.map(\.traffic) == ["TCP", "TLS", "TLS"])
    #expect(tls.ports[1].certificate == "arn:c" && tls.ports[1].sslPolicy == "pol")
  }

  @Test func refusals() throws {
    func message(_ service: Service) -> String {
      do {
        _ = try plan(service)
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(message(Self.service(["type": "classic"])).contains("only network load balancers are"))
    #expect(throws: CloudProviderError.self) { try plan(Self.service(["type": "external"])) }
    #expect(message(Self.service(ports: [("SCTP", 1, 30001)])) == "Protocol SCTP not supported by LoadBalancer")
    #expect(message(Self.service(ports: [])) == "requested load balancer with no ports")
    #expect(message(Self.service(ports: [("TCP", 53, 30053), ("UDP", 53, 30054)])).contains("same node port"))
    #expect(message(Self.service(["healthcheck-interval": "x"])).hasPrefix("failed to parse annotation"))
    #expect(message(Self.service(["healthcheck-interval": "1"])).contains("between 5 and 300"))
    #expect(message(Self.service(["healthcheck-protocol": "ftp"])) == "Unsupported health check protocol FTP")
    #expect(message(Self.service([ServiceAnnotations.sourceRanges: "10.0.0.1"])).contains("not valid"))
    var affinity = Self.service()
    affinity.spec.sessionAffinity = "ClientIP"
    #expect(message(affinity) == "unsupported load balancer affinity: ClientIP")
  }

  @Test func cloudConfig() throws {
    let config = try configuration(
      """
      ; written by hand
      [Global]
      Zone = eu-west-1a
      KubernetesClusterID = "my cluster"
      vpc=vpc-1
      DisableSecurityGroupIngress = true
      NodeIPFamilies = ipv6
      NodeIPFamilies = ipv4
      [ServiceOverride "1"]
      Service = ec2
      Region = eu-west-1
      URL = https://ec2.example.com:8443
      SigningRegion = eu-west-9
      """)
    #expect(config.zone == "eu-west-1a" && config.clusterID == "my cluster" && config.vpc == "vpc-1")
    #expect(config.disableSecurityGroupIngress)
    #expect(config.nodeIPFamilies == ["ipv6", "ipv4"])
    let endpoint = try AWSEndpoints(region: "eu-west-1", overrides: config.serviceOverrides).resolve(.ec2)
    #expect(endpoint.origin == .https(host: "ec2.example.com", port: 8443))
    #expect(endpoint.signingRegion == "eu-west-9")
    #expect(throws: AWSConfigurationError.self) { try configuration("[ServiceOverride \"1\"]\nService = ec2\n") }
    #expect(throws: AWSConfigurationError.self) { try configuration("[Nonsense]\n") }
    #expect(throws: AWSConfigurationError.self) { try configuration("Zone = a\n") }
  }

  @Test func subnets() {
    let elb = ClusterTag.publicSubnet
    let own = ["kubernetes.io/cluster/c": "shared"]
    let all = [
      EC2Subnet(id: "s-1", zone: "b", tags: own), EC2Subnet(id: "s-2", zone: "a", tags: own),
      EC2Subnet(id: "s-3", zone: "a", tags: own.merging([elb: "1"]) { $1 }),
      EC2Subnet(id: "s-0", zone: "a", tags: [elb: "1"]),
      EC2Subnet(id: "s-4", zone: "c", tags: [elb: "1", "kubernetes.io/cluster/other": "owned"]),
      EC2Subnet(id: "s-5", zone: "d", tags: own), EC2Subnet(id: "s-6", zone: "e", tags: [:]),
    ]
    let outside = SubnetChoice(tag: ClusterTag(clusterID: "c"), isInternal: false, isPublic: { $0.id != "s-5" })
    #expect(outside.choose(all).map(\.id) == ["s-3", "s-1"])
    let inside = SubnetChoice(tag: ClusterTag(clusterID: "c"), isInternal: true, isPublic: { _ in false })
    #expect(inside.choose(all).map(\.id) == ["s-2", "s-1", "s-5"])
  }

  @Test func instanceIDs() {
    #expect(InstanceID(providerID: "aws:///eu-west-1a/i-0abc")?.value == "i-0abc")
    #expect(InstanceID(providerID: "aws:///i-0abc")?.value == "i-0abc")
    #expect(InstanceID(providerID: "i-0abc")?.value == "i-0abc")
    #expect(InstanceID(providerID: "aws:///eu-west-1a/")?.value == nil)
    #expect(InstanceID(providerID: "gce://x/y")?.value == nil)
    #expect(InstanceID(nodeName: "i-0abc.eu-west-1.compute.internal")?.value == "i-0abc")
    #expect(InstanceID(nodeName: "ip-10-0-0-1.ec2.internal") == nil)
  }

  @Test func addresses() {
    var instance = EC2Instance()
    instance.privateIP = "10.0.0.1"
    instance.publicIP = "192.0.2.1"
    instance.privateDNSName = "ip-10-0-0-1.ec2.internal"
    instance.publicDNSName = "ec2.example.com"
    instance.interfaces = [
      .init(status: "in-use", privateIPs: ["10.0.0.1", "10.0.0.2"], ipv6: ["2001:db8::1", "2001:db8::2"]),
      .init(status: "detaching", deviceIndex: 1, privateIPs: ["10.0.0.9"]),
    ]
    func list(_ families: [String]) -> [String] {
      AWSProvider.addresses(instance, families: families).map { "\($0.type) \($0.address)" }
    }
    let names = [
      "InternalDNS ip-10-0-0-1.ec2.internal", "Hostname ip-10-0-0-1.ec2.internal", "ExternalDNS ec2.example.com",
    ]
    let fourth = ["InternalIP 10.0.0.1", "InternalIP 10.0.0.2", "ExternalIP 192.0.2.1"]
    #expect(list(["ipv4"]) == fourth + names)
    #expect(list(["ipv6", "ipv4"]) == ["InternalIP 2001:db8::1"] + fourth + names)
  }
}

@Suite struct AWSIngressTests {
  private func port(_ number: Int, _ traffic: String = "TCP", check: String = "traffic-port") -> LoadBalancerPlan.Port {
    .init(port: 80, nodePort: number, listener: traffic, traffic: traffic, healthCheck: ELBHealthCheck(port: check))
  }

  @Test func whatAllMayReachNeedsNoHealthRule() {
    let open = IngressRules.desired(name: "n", ports: [port(30080)], clients: ["0.0.0.0/0"], subnets: ["10.0.0.0/24"])
    #expect(open.map(\.description) == ["kubernetes.io/rule/nlb/client=n"])
    let closed = IngressRules.desired(
      name: "n", ports: [port(30080, "UDP", check: "31000")], clients: ["10.0.0.0/24"], subnets: ["10.0.0.0/24"])
    #expect(
      closed == [
        EC2Rule(
          proto: "udp", from: 30080, to: 30080, cidr: "10.0.0.0/24", description: "kubernetes.io/rule/nlb/client=n"),
        EC2Rule(
          proto: "tcp", from: 31000, to: 31000, cidr: "10.0.0.0/24", description: "kubernetes.io/rule/nlb/health=n"),
      ])
    // The same rule for both would be refused.
    let same = IngressRules.desired(name: "n", ports: [port(30080)], clients: ["10.0.0.0/24"], subnets: ["10.0.0.0/24"])
    #expect(same.count == 1)
  }

  @Test func changes() {
    let foreign = EC2Rule(proto: "tcp", from: 22, to: 22, cidr: "0.0.0.0/0")
    let wanted = IngressRules.desired(name: "n", ports: [port(30080)], clients: ["10.0.0.0/8"], subnets: [])
    let first = IngressRules.change([foreign], name: "n", desired: wanted)
    #expect(first.revoke.isEmpty)
    #expect(first.grant.map(\.description) == ["kubernetes.io/rule/nlb/client=n", "kubernetes.io/rule/nlb/mtu"])
    let present = [foreign] + first.grant
    #expect(IngressRules.change(present, name: "n", desired: wanted) == .init())
    // Another load balancer's clients keep the rule for the path's MTU.
    let other = EC2Rule(
      proto: "tcp", from: 30081, to: 30081, cidr: "10.0.0.0/8", description: "kubernetes.io/rule/nlb/client=m")
    #expect(IngressRules.change(present + [other], name: "n", desired: []).revoke.map(\.from) == [30080])
    let last = IngressRules.change(present, name: "n", desired: [])
    #expect(Set(last.revoke) == Set(first.grant))
    #expect(last.grant.isEmpty)
  }

  @Test func parameters() {
    let rules = [
      EC2Rule(proto: "tcp", from: 1, to: 2, cidr: "10.0.0.0/8", description: "d"),
      EC2Rule(proto: "icmpv6", from: 2, to: -1, cidr: "2001:db8::/32"),
    ]
    let form = String(decoding: EC2Client.parameters("sg", rules).encoded, as: UTF8.self)
    #expect(
      form == "GroupId=sg&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=2"
        + "&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0%2F8&IpPermissions.1.IpRanges.1.Description=d"
        + "&IpPermissions.2.IpProtocol=icmpv6&IpPermissions.2.FromPort=2&IpPermissions.2.ToPort=-1"
        + "&IpPermissions.2.Ipv6Ranges.1.CidrIpv6=2001%3Adb8%3A%3A%2F32")
  }
}
