import API
import Crypto
import FoundationEssentials

/// What a Service's load balancer shall be, read from the Service alone.
struct LoadBalancerPlan: Equatable {
  /// A listener with what it forwards to.
  struct Port: Equatable {
    var port: Int
    var nodePort: Int
    /// `TCP`, `UDP`, `TCP_UDP` or `TLS`.
    var listener: String
    /// The same of what comes out at the nodes.
    var traffic: String
    var certificate = ""
    var sslPolicy = ""
    var healthCheck: ELBHealthCheck

    /// As security groups name them.
    var trafficProtocols: [String] {
      switch traffic {
      case "UDP": ["udp"]
      case "TCP_UDP": ["tcp", "udp"]
      default: ["tcp"]
      }
    }
  }

  var name: String
  var isInternal: Bool
  var ports: [Port]
  /// Who may connect.
  var clients: [String]
  var attributes: [String: String]
  var tags: [String: String]
  /// Ids or names of subnets; empty: they are looked for.
  var subnets: [String]
  /// Allocation ids of the addresses to stand at.
  var addresses: [String]

  /// The name of a Service's load balancer: `a` and the Service's uid, 32 characters.
  static func name(_ service: Service) -> String {
    String(("a" + service.metadata.uid.filter { $0 != "-" }).prefix(32))
  }

  /// Whether the Service is for this provider; throws `implementedElsewhere` when the AWS Load Balancer Controller
  /// serves it, and an error for a type of load balancer that is not offered.
  static func checkType(_ service: Service) throws {
    switch ServiceAnnotations(service)["type"] {
    case nil, "", "nlb": return
    case "external", "nlb-ip": throw CloudProviderError.implementedElsewhere
    case let type?:
      throw AWSConfigurationError(
        "load balancer type \"\(type)\" is not supported: only network load balancers are "
          + "(\(ServiceAnnotations.prefix)type: nlb, which is also the default)")
    }
  }

  init(_ service: Service, tag: ClusterTag, configuration: AWSConfiguration) throws {
    try Self.checkType(service)
    let spec = service.spec
    if spec.sessionAffinity == "ClientIP" {
      throw AWSConfigurationError("unsupported load balancer affinity: \(spec.sessionAffinity)")
    }
    if spec.ports.isEmpty { throw AWSConfigurationError("requested load balancer with no ports") }
    if !spec.loadBalancerIP.isEmpty { throw AWSConfigurationError("LoadBalancerIP cannot be specified for AWS ELB") }
    let annotations = ServiceAnnotations(service)
    name = Self.name(service)
    let wanted = annotations["internal"] ?? ""
    isInternal = !wanted.isEmpty && wanted != "false"
    let healthCheck = try Self.healthCheck(service, annotations, configuration)
    ports = try Self.ports(spec.ports, annotations, healthCheck)
    if ports.isEmpty { throw AWSConfigurationError("requested load balancer with no ports that have a node port") }
    clients = try Self.clients(service, annotations)
    attributes = try Self.attributes(annotations)
    tags = tag.owned(service: service, additional: annotations.pairs("additional-resource-tags"))
    subnets = annotations.list("subnets")
    addresses = annotations.list("eip-allocations")
  }

  private static func ports(
    _ ports: [ServicePort], _ annotations: ServiceAnnotations, _ healthCheck: ELBHealthCheck
  ) throws -> [Port] {
    let certificate = annotations["ssl-cert"] ?? ""
    let sslPorts = annotations.list("ssl-ports").filter { $0 != "*" }
    var out: [Port] = []
    for port in ports {
      let proto = port.protocol.isEmpty ? "TCP" : port.protocol
      guard ["TCP", "UDP"].contains(proto) else {
        throw AWSConfigurationError("Protocol \(proto) not supported by LoadBalancer")
      }
      guard port.nodePort != 0 else { continue }
      var mapping = Port(
        port: Int(port.port), nodePort: Int(port.nodePort), listener: proto, traffic: proto, healthCheck: healthCheck)
      let named = sslPorts.isEmpty || sslPorts.contains(String(port.port)) || sslPorts.contains(port.name)
      if proto == "TCP", !certificate.isEmpty, named {
        mapping.listener = "TLS"
        mapping.certificate = certificate
        mapping.sslPolicy = annotations["ssl-negotiation-policy"] ?? ""
        if ["ssl", "https"].contains(annotations["backend-protocol"]) { mapping.traffic = "TLS" }
      }
      // One listener takes a port; for both protocols it forwards to one port of the nodes.
      if let index = out.firstIndex(where: { $0.port == mapping.port }) {
        guard out[index].nodePort == mapping.nodePort, out[index].listener != "TLS", mapping.listener != "TLS" else {
          throw AWSConfigurationError(
            "port \(mapping.port) is used for TCP and UDP: both must have the same node port, and none may use TLS")
        }
        out[index].listener = "TCP_UDP"
        out[index].traffic = "TCP_UDP"
      } else {
        out.append(mapping)
      }
    }
    return out.sorted { $0.port < $1.port }
  }

  private static func healthCheck(
    _ service: Service, _ annotations: ServiceAnnotations, _ configuration: AWSConfiguration
  ) throws -> ELBHealthCheck {
    var check = ELBHealthCheck()
    var path = "/"
    if service.spec.externalTrafficPolicy == "Local" {
      path = "/healthz"
      check = ELBHealthCheck(
        port: String(service.spec.healthCheckNodePort), protocol: "HTTP", interval: 10, healthy: 2, unhealthy: 2)
    } else if configuration.sharedHealthProbe {
      path = configuration.sharedHealthProbePath
      check = ELBHealthCheck(
        port: String(configuration.sharedHealthProbePort), protocol: "HTTP", interval: 10, healthy: 2, unhealthy: 2)
    }
    if let proto = annotations["healthcheck-protocol"], !proto.isEmpty { check.protocol = proto.uppercased() }
    guard ["TCP", "HTTP", "HTTPS"].contains(check.protocol) else {
      throw AWSConfigurationError("Unsupported health check protocol \(check.protocol)")
    }
    check.path = check.protocol == "TCP" ? "" : annotations["healthcheck-path"] ?? path
    if let port = annotations["healthcheck-port"], !port.isEmpty {
      guard port == "traffic-port" || Int(port).map({ (1...65_535).contains($0) }) == true else {
        throw AWSConfigurationError("Invalid health check port '\(port)'")
      }
      check.port = port
    }
    check.interval = try annotations.int("healthcheck-interval", in: 5...300) ?? check.interval
    check.timeout = try annotations.int("healthcheck-timeout", in: 2...120)
    check.healthy = try annotations.int("healthcheck-healthy-threshold", in: 2...10) ?? check.healthy
    check.unhealthy = try annotations.int("healthcheck-unhealthy-threshold", in: 2...10) ?? check.unhealthy
    return check
  }

  private static func clients(_ service: Service, _ annotations: ServiceAnnotations) throws -> [String] {
    var ranges = service.spec.loadBalancerSourceRanges.map { $0.filter { !$0.isWhitespace } }
    if ranges.isEmpty { ranges = ServiceAnnotations.split(annotations.full(ServiceAnnotations.sourceRanges) ?? "") }
    for range in ranges {
      let halves = range.split(separator: "/")
      guard halves.count == 2, let bits = Int(halves[1]), bits >= 0, bits <= (halves[0].contains(":") ? 128 : 32) else {
        throw AWSConfigurationError(
          "service.Spec.LoadBalancerSourceRanges: \(ranges) is not valid. Expecting a list of IP ranges. "
            + "For example, 10.0.0.0/24")
      }
    }
    return ranges.isEmpty ? ["0.0.0.0/0"] : Array(Set(ranges)).sorted()
  }

  private static func attributes(_ annotations: ServiceAnnotations) throws -> [String: String] {
    let logs = try annotations.bool("access-log-enabled") ?? false
    var out = [
      "load_balancing.cross_zone.enabled":
        String(try annotations.bool("cross-zone-load-balancing-enabled") ?? false),
      "access_logs.s3.enabled": String(logs),
    ]
    // The service refuses an empty bucket, so without logs it stays as it is.
    if logs {
      out["access_logs.s3.bucket"] = annotations["access-log-s3-bucket-name"] ?? ""
      out["access_logs.s3.prefix"] = annotations["access-log-s3-bucket-prefix"] ?? ""
    }
    return out
  }

  /// The start of the names of all target groups of a Service.
  static func targetGroupPrefix(_ service: Service) -> String {
    func part(_ text: String) -> String { String(text.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }.prefix(8)) }
    return "k8s-\(part(service.metadata.namespace))-\(part(service.metadata.name))-"
  }

  /// A target group's name, which holds what of it cannot be changed: the node port, the protocol, the network.
  static func targetGroupName(_ service: Service, _ port: Port, clusterID: String, vpc: String) -> String {
    let text = [
      clusterID, service.metadata.namespace, service.metadata.name, service.metadata.uid, String(port.port),
      String(port.nodePort), port.traffic, "instance", vpc,
    ].joined(separator: "/")
    let hash = SigV4.hex(SHA256.hash(data: Data(text.utf8)))
    return targetGroupPrefix(service) + hash.prefix(10)
  }
}
