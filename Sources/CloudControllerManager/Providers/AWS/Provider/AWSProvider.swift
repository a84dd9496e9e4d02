public import API
public import Client
import HTTP
public import Logging
import Synchronization

/// The cloud provider `aws`: EC2 instances, network load balancers and routes of a virtual network, with the behaviour,
/// tags, names and annotations of cloud-provider-aws. Load balancers are always network load balancers: a Service that
/// asks for a classic one gets an error.
public struct AWSProvider: CloudProvider {
  public let name = "aws"
  public let hasLoadBalancers = true
  public let hasRoutes = true

  let configuration: AWSConfiguration
  let region: String
  let clusterID: String
  let ec2: EC2Client
  let elb: ELBClient
  let lookup: InstanceLookup
  let zoneIDs = ZoneIDs()
  let nodes = KnownNodes()
  let logger: Logger

  /// Finds region, credentials and the cluster's id; fails with the reason when one of them cannot be found.
  public init(configuration: AWSConfiguration, logger: Logger) async throws {
    self.configuration = configuration
    self.logger = logger
    let http = HTTPClient(configuration: HTTPClientConfiguration(logger: logger))
    let environment = configuration.environment
    let profiles = try SharedProfiles(environment: environment)
    let metadata = InstanceMetadataClient(environment: environment, http: http)
    region = try await Self.region(configuration, profiles, metadata)
    let endpoints = AWSEndpoints(
      region: region, overrides: configuration.serviceOverrides, environment: environment,
      profileURL: profiles.current?["endpoint_url"])
    var credentials = try CredentialChain(
      environment: environment, profiles: profiles, region: region, endpoints: endpoints, http: http, logger: logger
    ).resolve()
    if !configuration.roleARN.isEmpty {
      let sts = QueryClient(
        service: .sts, endpoint: try endpoints.resolve(.sts), http: http, credentials: credentials, logger: logger)
      credentials = CachedCredentials(
        AssumedRoleCredentials(sts: sts, role: configuration.roleARN, session: "apus-cloud-controller-manager"))
    }
    func client(_ service: AWSService) throws -> QueryClient {
      QueryClient(
        service: service, endpoint: try endpoints.resolve(service), http: http, credentials: credentials,
        retry: configuration.retry, timeout: configuration.requestTimeout, logger: logger,
        observer: configuration.observer)
    }
    ec2 = EC2Client(query: try client(.ec2))
    elb = ELBClient(query: try client(.elb))
    lookup = InstanceLookup(
      ec2: ec2, vpc: configuration.vpc.isEmpty ? nil : configuration.vpc, window: configuration.batchWindow,
      lifetime: configuration.cacheLifetime)
    if configuration.clusterID.isEmpty {
      clusterID = try await Self.clusterID(metadata, lookup)
    } else {
      clusterID = configuration.clusterID
    }
    logger.info("AWS cloud provider for cluster \(clusterID) in \(region)")
  }

  private static func region(
    _ configuration: AWSConfiguration, _ profiles: SharedProfiles, _ metadata: InstanceMetadataClient
  ) async throws -> String {
    let environment = configuration.environment
    // A zone is its region's name with a letter behind it.
    let ofZone = configuration.zone.last?.isLetter == true ? String(configuration.zone.dropLast()) : ""
    let candidates = [
      configuration.region, environment["AWS_REGION"] ?? "", environment["AWS_DEFAULT_REGION"] ?? "",
      profiles.current?["region"] ?? "", ofZone,
    ]
    if let found = candidates.first(where: { !$0.isEmpty }) { return found }
    return try await metadata.region()
  }

  private static func clusterID(_ metadata: InstanceMetadataClient, _ lookup: InstanceLookup) async throws -> String {
    let missing =
      "AWS cloud failed to find ClusterID: set KubernetesClusterID in the cloud configuration, or tag the instance "
      + "with \(ClusterTag.prefix)<cluster>"
    let id: String
    do {
      id = try await metadata.instanceID()
    } catch {
      throw AWSConfigurationError("\(missing) (\(error))")
    }
    let tags = try await lookup.instance(id: id)?.tags ?? [:]
    let names = tags.keys.filter { $0.hasPrefix(ClusterTag.prefix) }.map {
      String($0.dropFirst(ClusterTag.prefix.count))
    }
    guard names.count <= 1 else {
      throw AWSConfigurationError("Found multiple cluster tags with prefix \(ClusterTag.prefix): \(names.sorted())")
    }
    guard let name = names.first ?? tags[ClusterTag.legacy], !name.isEmpty else { throw AWSConfigurationError(missing) }
    return name
  }

  /// Learns the cluster's nodes, so that routes are told apart by node.
  public func run(client: APIClient, informers: InformerFactory) async throws {
    let informer = informers.informer(Node.self)
    informer.addHandler { [nodes] event in
      switch event {
      case .added(let node), .updated(_, let node): nodes.set(node)
      case .deleted(let node): nodes.remove(node)
      }
    }
    // The informer is the factory's; this only stays until it is told to end.
    while true { try await Task.sleep(for: .seconds(3600)) }
  }
}

/// The tags by which a cluster's resources are known.
struct ClusterTag: Sendable {
  static let prefix = "kubernetes.io/cluster/"
  static let legacy = "KubernetesCluster"
  static let service = "kubernetes.io/service-name"
  static let publicSubnet = "kubernetes.io/role/elb"
  static let internalSubnet = "kubernetes.io/role/internal-elb"

  var clusterID: String

  var key: String { Self.prefix + clusterID }

  /// Whether a resource belongs to the cluster, alone (`owned`) or with others (`shared`).
  func matches(_ tags: [String: String]) -> Bool {
    tags[key] != nil || tags[Self.legacy] == clusterID
  }

  /// The tags of what the provider makes for a Service.
  func owned(service: Service, additional: [String: String]) -> [String: String] {
    var tags = additional
    tags[Self.service] = "\(service.metadata.namespace)/\(service.metadata.name)"
    tags[key] = "owned"
    return tags
  }
}

extension AWSProvider {
  var tag: ClusterTag { ClusterTag(clusterID: clusterID) }
}

/// The nodes by the instances they are, as far as their provider IDs say.
final class KnownNodes: Sendable {
  private let names = Mutex<[String: String]>([:])

  func set(_ node: Node) {
    guard let id = InstanceID(providerID: node.spec.providerID) else { return }
    names.withLock { $0[id.value] = node.metadata.name }
  }

  func remove(_ node: Node) {
    guard let id = InstanceID(providerID: node.spec.providerID) else { return }
    names.withLock { if $0[id.value] == node.metadata.name { $0[id.value] = nil } }
  }

  func name(instance id: String) -> String? { names.withLock { $0[id] } }
}
