/// A load balancer.
struct ELBLoadBalancer: Sendable, Equatable {
  var arn: String
  var name: String
  var dnsName: String
  var scheme: String
  var type: String
  var vpc: String
  var subnets: [String]
  /// `active`, `provisioning`, `active_impaired` or `failed`.
  var state: String

  init(_ item: XMLElement) {
    arn = item.string("LoadBalancerArn")
    name = item.string("LoadBalancerName")
    dnsName = item.string("DNSName")
    scheme = item.string("Scheme")
    type = item.string("Type")
    vpc = item.string("VpcId")
    subnets = item.list("AvailabilityZones").map { $0.string("SubnetId") }
    state = item.find("State", "Code")?.text ?? ""
  }
}

/// A port that a load balancer takes connections at.
struct ELBListener: Sendable, Equatable {
  var arn: String
  var port: Int
  var `protocol`: String
  var sslPolicy: String
  var certificates: [String]
  /// Where it forwards to.
  var targetGroup: String

  init(_ item: XMLElement) {
    arn = item.string("ListenerArn")
    port = item.int("Port") ?? 0
    `protocol` = item.string("Protocol")
    sslPolicy = item.string("SslPolicy")
    certificates = item.list("Certificates").map { $0.string("CertificateArn") }
    let action = item.list("DefaultActions").first { $0.string("Type") == "forward" }
    let plain = action?.string("TargetGroupArn") ?? ""
    targetGroup =
      plain.isEmpty
      ? action?.child("ForwardConfig")?.list("TargetGroups").first?.string("TargetGroupArn") ?? "" : plain
  }
}

/// How a load balancer finds out whether a target works.
struct ELBHealthCheck: Sendable, Hashable {
  /// A number, or `traffic-port`.
  var port = "traffic-port"
  /// Empty for TCP.
  var path = ""
  var `protocol` = "TCP"
  var interval = 30
  /// Nil: whatever the service takes by default.
  var timeout: Int?
  var healthy = 3
  var unhealthy = 3
}

/// What a listener forwards to.
struct ELBTargetGroup: Sendable, Equatable {
  var arn: String
  var name: String
  var port: Int
  var `protocol`: String
  var healthCheck: ELBHealthCheck

  init(_ item: XMLElement) {
    arn = item.string("TargetGroupArn")
    name = item.string("TargetGroupName")
    port = item.int("Port") ?? 0
    `protocol` = item.string("Protocol")
    healthCheck = ELBHealthCheck(
      port: item.string("HealthCheckPort"), path: item.string("HealthCheckPath"),
      protocol: item.string("HealthCheckProtocol"), interval: item.int("HealthCheckIntervalSeconds") ?? 0,
      timeout: item.int("HealthCheckTimeoutSeconds"), healthy: item.int("HealthyThresholdCount") ?? 0,
      unhealthy: item.int("UnhealthyThresholdCount") ?? 0)
  }
}

/// An instance's port behind a target group.
struct ELBTarget: Sendable, Hashable {
  var id: String
  var port: Int
}
