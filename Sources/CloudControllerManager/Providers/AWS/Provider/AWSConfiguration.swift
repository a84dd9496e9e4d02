public import FoundationEssentials

/// What the provider is told: the cloud configuration file, as cloud-provider-aws reads it, and the environment.
public struct AWSConfiguration: Sendable {
  /// `Zone`: the zone to take the region from, where nothing else names it.
  public var zone = ""
  /// `Region`; empty: the environment, the profile or the instance metadata say.
  public var region = ""
  /// `VPC`; empty: that of the instances.
  public var vpc = ""
  /// `SubnetID`: the one subnet for load balancers.
  public var subnetID = ""
  /// `RouteTableID`; empty: found by the cluster's tag.
  public var routeTableID = ""
  /// `RoleARN`: a role to take on for every request.
  public var roleARN = ""
  /// `KubernetesClusterID`; empty: read from the tags of the instance that this runs on.
  public var clusterID = ""
  /// `DisableSecurityGroupIngress`: leave the instances' security groups alone.
  public var disableSecurityGroupIngress = false
  /// `NodeIPFamilies`: the families of a node's addresses, in order.
  public var nodeIPFamilies = ["ipv4"]
  /// `ClusterServiceLoadBalancerHealthProbeMode` is `Shared`: ask the nodes' proxy, not every Service's own port.
  public var sharedHealthProbe = false
  /// `ClusterServiceSharedLoadBalancerHealthProbePort`.
  public var sharedHealthProbePort = 10_256
  /// `ClusterServiceSharedLoadBalancerHealthProbePath`.
  public var sharedHealthProbePath = "/healthz"
  /// The `[ServiceOverride "…"]` sections.
  public var serviceOverrides: [AWSServiceOverride] = []
  /// The environment: credentials, region, endpoints.
  public var environment: [String: String]

  /// How long lookups wait for others to join them.
  var batchWindow = Duration.milliseconds(100)
  /// How long an instance's description is believed.
  var cacheLifetime = Duration.seconds(15)
  var retry = RetryPolicy()
  var requestTimeout = Duration.seconds(30)
  /// How long a deletion waits for what depends on it.
  var deletionTimeout = Duration.seconds(60)
  /// Told of every action sent.
  var observer: (@Sendable (String) -> Void)?

  /// Reads a cloud configuration file's text.
  public init(
    cloudConfig text: String = "", environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws {
    self.environment = environment
    let file: INIFile
    do {
      file = try INIFile(text)
    } catch {
      throw AWSConfigurationError("unable to read AWS cloud provider config file: \(error)")
    }
    for section in file.sections {
      if section.header.lowercased() == "global" {
        try read(global: section)
      } else if section.header.lowercased().hasPrefix("serviceoverride") {
        try read(override: section)
      } else {
        throw AWSConfigurationError(
          "unable to read AWS cloud provider config file: unknown section [\(section.header)]")
      }
    }
    var seen: Set<String> = []
    for override in serviceOverrides where !seen.insert("\(override.service.lowercased())_\(override.region)").inserted
    {
      throw AWSConfigurationError(
        "duplicate entry found for service override (\(override.service) in \(override.region))")
    }
  }

  private mutating func read(global section: INIFile.Section) throws {
    zone = section["Zone"] ?? zone
    region = section["Region"] ?? region
    vpc = section["VPC"] ?? vpc
    subnetID = section["SubnetID"] ?? subnetID
    routeTableID = section["RouteTableID"] ?? routeTableID
    roleARN = section["RoleARN"] ?? roleARN
    clusterID = section["KubernetesClusterID"] ?? section["KubernetesClusterTag"] ?? clusterID
    if let value = section["DisableSecurityGroupIngress"] {
      guard let flag = goBool(value) else {
        throw AWSConfigurationError("DisableSecurityGroupIngress: \"\(value)\" is neither true nor false")
      }
      disableSecurityGroupIngress = flag
    }
    let families = section.all("NodeIPFamilies").filter { !$0.isEmpty }
    if let wrong = families.first(where: { $0 != "ipv4" && $0 != "ipv6" }) {
      throw AWSConfigurationError("unknown family in NodeIPFamilies: \(wrong)")
    }
    if !families.isEmpty { nodeIPFamilies = families }
    if let mode = section["ClusterServiceLoadBalancerHealthProbeMode"] {
      guard ["Shared", "ServiceNodePort", ""].contains(mode) else {
        throw AWSConfigurationError("unknown ClusterServiceLoadBalancerHealthProbeMode: \(mode)")
      }
      sharedHealthProbe = mode == "Shared"
    }
    if let text = section["ClusterServiceSharedLoadBalancerHealthProbePort"] {
      guard let port = Int(text), (1...65_535).contains(port) else {
        throw AWSConfigurationError("ClusterServiceSharedLoadBalancerHealthProbePort: \"\(text)\" is no port")
      }
      sharedHealthProbePort = port
    }
    sharedHealthProbePath = section["ClusterServiceSharedLoadBalancerHealthProbePath"] ?? sharedHealthProbePath
  }

  private mutating func read(override section: INIFile.Section) throws {
    let quoted = section.header.split(separator: "\"")
    let number = quoted.count > 1 ? String(quoted[1]) : ""
    var override = AWSServiceOverride()
    func required(_ key: String, _ name: String) throws -> String {
      guard let value = section[key], !value.isEmpty else {
        throw AWSConfigurationError("\(name) is missing [\(key) is \"\"] in override \(number)")
      }
      return value
    }
    override.service = try required("Service", "service name")
    override.region = try required("Region", "service region")
    override.url = try required("URL", "url")
    override.signingRegion = try required("SigningRegion", "signingRegion")
    override.signingName = section["SigningName"] ?? ""
    serviceOverrides.append(override)
  }
}

/// What Go's `strconv.ParseBool` takes.
func goBool(_ text: String) -> Bool? {
  switch text {
  case "1", "t", "T", "true", "TRUE", "True": true
  case "0", "f", "F", "false", "FALSE", "False": false
  default: nil
  }
}
