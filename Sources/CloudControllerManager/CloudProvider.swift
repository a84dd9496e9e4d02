public import API
public import Client

/// What a cloud knows of one of its machines.
public struct InstanceMetadata: Sendable, Equatable {
  /// The machine's name in the cloud, `<provider>://<id>`.
  public var providerID: String
  /// The machine's kind, for the label `node.kubernetes.io/instance-type`; empty: no label.
  public var instanceType: String
  /// The machine's addresses, the preferred ones first.
  public var addresses: [NodeAddress]
  /// For the label `topology.kubernetes.io/zone`; empty: no label.
  public var zone: String
  /// For the label `topology.kubernetes.io/region`; empty: no label.
  public var region: String
  /// Labels of the provider's own; those of kubernetes.io are not taken.
  public var additionalLabels: [String: String]

  /// Makes metadata from its parts.
  public init(
    providerID: String, instanceType: String = "", addresses: [NodeAddress] = [], zone: String = "",
    region: String = "", additionalLabels: [String: String] = [:]
  ) {
    self.providerID = providerID
    self.instanceType = instanceType
    self.addresses = addresses
    self.zone = zone
    self.region = region
    self.additionalLabels = additionalLabels
  }
}

/// A route of a cloud's network that leads a node's pod range to the node.
public struct CloudRoute: Sendable, Hashable {
  /// The route's name in the cloud.
  public var name: String
  /// The node it leads to; empty when the cloud knows no such node any more.
  public var targetNode: String
  /// The pod range.
  public var destinationCIDR: String
  /// The cloud says that the route leads nowhere.
  public var isBlackhole: Bool

  /// Makes a route from its parts.
  public init(name: String, targetNode: String, destinationCIDR: String, isBlackhole: Bool = false) {
    self.name = name
    self.targetNode = targetNode
    self.destinationCIDR = destinationCIDR
    self.isBlackhole = isBlackhole
  }
}

/// An error that a controller treats in a way of its own.
public enum CloudProviderError: Error, Sendable {
  /// The cloud has no machine for the node.
  case instanceNotFound
  /// Nothing is wrong, but another controller answers for this Service (upstream's ImplementedElsewhere).
  case implementedElsewhere
  /// Try again after so many seconds, without counting it as a failure.
  case retry(afterSeconds: Int, reason: String)
}

/// A cloud, as far as Kubernetes needs one: upstream's `cloudprovider.Interface` with `InstancesV2`, `LoadBalancer` and
/// `Routes`.
public protocol CloudProvider: Sendable {
  /// The provider's name, as in `--cloud-provider` and in provider IDs.
  var name: String { get }
  /// Whether the service controller should run.
  var hasLoadBalancers: Bool { get }
  /// Whether the route controller should run.
  var hasRoutes: Bool { get }
  /// The values of `spec.loadBalancerClass` that this provider answers for. Services without a class are always its own.
  var loadBalancerClasses: Set<String> { get }

  /// Background work of the provider's own, until the task is cancelled.
  func run(client: APIClient, informers: InformerFactory) async throws

  /// Whether the node's machine is there, running or not.
  func instanceExists(_ node: Node) async throws -> Bool
  /// Whether the node's machine is stopped.
  func instanceShutdown(_ node: Node) async throws -> Bool
  /// What the cloud knows of the node's machine; throws `instanceNotFound`.
  func instanceMetadata(_ node: Node) async throws -> InstanceMetadata

  /// The Service's load balancer as it is; nil when there is none.
  func loadBalancer(cluster: String, _ service: Service) async throws -> LoadBalancerStatus?
  /// Makes or changes the Service's load balancer so that it leads to the nodes.
  func ensureLoadBalancer(cluster: String, _ service: Service, nodes: [Node]) async throws -> LoadBalancerStatus
  /// Changes only the nodes that the load balancer leads to.
  func updateLoadBalancer(cluster: String, _ service: Service, nodes: [Node]) async throws
  /// Deletes the load balancer with all that belongs to it. Succeeds when there is none.
  func deleteLoadBalancer(cluster: String, _ service: Service) async throws

  /// The cluster's routes.
  func routes(cluster: String) async throws -> [CloudRoute]
  /// Makes a route.
  func createRoute(cluster: String, _ route: CloudRoute, to node: Node) async throws
  /// Deletes a route.
  func deleteRoute(cluster: String, _ route: CloudRoute) async throws
}

extension CloudProvider {
  /// As upstream's: a Service that names a class is somebody else's.
  public var loadBalancerClasses: Set<String> { [] }

  /// Most providers have no work of their own.
  public func run(client: APIClient, informers: InformerFactory) async throws {}
}
