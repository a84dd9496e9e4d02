import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Gives every node its range of pod addresses.
final class NodeIPAMController: Controller {
  let name = "node-ipam-controller"
  private let client: APIClient
  private let nodes: Informer<Node>
  private let recorder: EventRecorder
  private let logger: Logger
  private let allocator: Mutex<CIDRAllocator>
  private let queue = WorkQueue<String>("node_ipam", baseDelay: .milliseconds(100), maxDelay: .seconds(60))

  /// Nil when the configured ranges make no sense.
  init?(_ context: ControllerContext) {
    let configuration = context.configuration
    guard
      let allocator = CIDRAllocator(
        cluster: configuration.clusterCIDR, nodeMask: configuration.nodeCIDRMaskSize)
    else { return nil }
    self.allocator = Mutex(allocator)
    client = context.client
    nodes = context.informers.informer(Node.self)
    recorder = context.recorder("cidrAllocator")
    logger = context.logger(name)
    nodes.addHandler { [weak self] event in
      switch event {
      case .added(let node), .updated(_, let node):
        self?.occupy(node)
        if node.spec.podCIDR.isEmpty { self?.queue.add(node.metadata.name) }
      case .deleted(let node):
        self?.release(node)
      }
    }
  }

  func run() async throws {
    // Ranges in use must be known before any is given away.
    try await nodes.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  private func occupy(_ node: Node) {
    guard !node.spec.podCIDR.isEmpty else { return }
    allocator.withLock { _ = $0.occupy(node.spec.podCIDR) }
  }

  private func release(_ node: Node) {
    guard !node.spec.podCIDR.isEmpty else { return }
    allocator.withLock { $0.release(node.spec.podCIDR) }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard let cached = nodes.lister.get(name: name), cached.spec.podCIDR.isEmpty,
      cached.metadata.deletionTimestamp == nil
    else { return .done }
    guard let cidr = allocator.withLock({ $0.allocate() }) else {
      recorder.event(
        cached, type: "Normal", reason: "CIDRNotAvailable", message: "Node \(name) status is now: CIDRNotAvailable")
      return .requeue
    }
    let patch = JSONValue.object([
      "metadata": .object(["uid": .string(cached.metadata.uid)]),
      "spec": .object(["podCIDR": .string(cidr), "podCIDRs": .array([.string(cidr)])]),
    ])
    do {
      let node = try await client.patch(Node.self, name: name, .merge(patch.encoded()))
      if node.spec.podCIDR != cidr { allocator.withLock { $0.release(cidr) } }
      return .done
    } catch let error as StatusError {
      allocator.withLock { $0.release(cidr) }
      if error.isNotFound { return .done }
      recorder.event(
        cached, type: "Normal", reason: "CIDRAssignmentFailed",
        message: "Node \(name) status is now: CIDRAssignmentFailed")
      throw error
    }
  }
}
