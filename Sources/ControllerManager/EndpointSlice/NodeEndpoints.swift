import API
import APIMachinery
import Client
import Logging

/// Slices whose endpoints are processes of a node itself, as those of the cluster's DNS: no pod stands behind them whose
/// readiness would say when they are gone, so the node's does. Pure.
enum NodeEndpoints {
  static let index = "node-endpoints"
  private static let managers: Set<String> = ["cluster-dns.apus.dev"]

  /// The node that a slice belongs to.
  static func owners(_ slice: EndpointSlice) -> [String] {
    guard let manager = slice.metadata.labels[EndpointSliceDecision.managedByLabel], managers.contains(manager) else {
      return []
    }
    return slice.metadata.ownerReferences.filter { $0.kind == "Node" }.map(\.name)
  }

  /// The slice as it should be while its node is ready or not; nil when it is.
  static func following(_ slice: EndpointSlice, isReady: Bool) -> EndpointSlice? {
    guard slice.endpoints.contains(where: { ($0.conditions.ready ?? true) != isReady }) else { return nil }
    var changed = slice
    for index in changed.endpoints.indices {
      changed.endpoints[index].conditions.ready = isReady
      changed.endpoints[index].conditions.serving = isReady
    }
    return changed
  }
}

/// Follows the nodes' readiness in the slices of what they run themselves.
final class NodeEndpointsController: Controller {
  let name = "node-endpoints-controller"
  private let client: APIClient
  private let nodes: Informer<Node>
  private let slices: Informer<EndpointSlice>
  private let queue = WorkQueue<String>("node_endpoints")
  private let logger: Logger

  init(_ context: ControllerContext) {
    client = context.client
    nodes = context.informers.informer(Node.self)
    slices = context.informers.informer(EndpointSlice.self)
    logger = context.logger(name)
    slices.addIndex(NodeEndpoints.index, keys: NodeEndpoints.owners)
    nodes.addHandler { [queue] event in
      if case .updated(let old, let new) = event, old.isReady == new.isReady { return }
      queue.add(event.object.metadata.name)
    }
    slices.addHandler { [queue] event in for name in NodeEndpoints.owners(event.object) { queue.add(name) } }
  }

  func run() async throws {
    try await nodes.waitForSync()
    try await slices.waitForSync()
    await runWorkers(queue, count: 2, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    // The slices of a deleted node go with it.
    guard let node = nodes.lister.get(name: name) else { return .done }
    for slice in slices.lister.byIndex(NodeEndpoints.index, name) {
      guard let changed = NodeEndpoints.following(slice, isReady: node.isReady) else { continue }
      do {
        try await client.update(changed)
      } catch let error as StatusError where error.isNotFound {}
    }
    return .done
  }
}
