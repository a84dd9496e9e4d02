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
  private let allocators: Mutex<[CIDRAllocator]>
  /// The nodes that got ranges and are not known to have them yet, by name, with their uids.
  private let given = Mutex<[String: String]>([:])
  private let queue = WorkQueue<String>("node_ipam", baseDelay: .milliseconds(100), maxDelay: .seconds(60))

  /// Nil when the configured ranges make no sense.
  init?(_ context: ControllerContext) {
    let configuration = context.configuration
    guard
      let allocators = CIDRAllocator.list(
        configuration.clusterCIDR, maskIPv4: configuration.nodeCIDRMaskSize,
        maskIPv6: configuration.nodeCIDRMaskSizeIPv6)
    else {
      context.logger.error("no node can be given a part of \(configuration.clusterCIDR)")
      return nil
    }
    self.allocators = Mutex(allocators)
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
        self?.given.withLock { $0[node.metadata.name] = nil }
      }
    }
  }

  func run() async throws {
    // Ranges in use must be known before any is given away.
    try await nodes.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  private static func ranges(_ node: Node) -> [String] {
    node.spec.podCIDRs.isEmpty && !node.spec.podCIDR.isEmpty ? [node.spec.podCIDR] : node.spec.podCIDRs
  }

  private func occupy(_ node: Node) {
    change(Self.ranges(node)) { $0.occupy($1) }
  }

  private func release(_ node: Node) { release(Self.ranges(node)) }

  private func release(_ ranges: [String]) { change(ranges) { $0.release($1) } }

  private func change(_ ranges: [String], _ body: (inout CIDRAllocator, String) -> Void) {
    allocators.withLock { allocators in
      for range in ranges { for index in allocators.indices { body(&allocators[index], range) } }
    }
  }

  /// One range of each family; nil, and none taken, when one of them is used up.
  private func allocate() -> [String]? {
    allocators.withLock { allocators in
      var ranges: [String] = []
      for index in allocators.indices {
        guard let range = allocators[index].allocate() else {
          for (index, range) in ranges.enumerated() { allocators[index].release(range) }
          return nil
        }
        ranges.append(range)
      }
      return ranges
    }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard let cached = nodes.lister.get(name: name), cached.spec.podCIDR.isEmpty,
      cached.metadata.deletionTimestamp == nil
    else {
      given.withLock { $0[name] = nil }
      return .done
    }
    // The cache may not have heard of it yet.
    if given.withLock({ $0[name] }) == cached.metadata.uid { return .done }
    guard let ranges = allocate() else {
      recorder.event(
        cached, type: "Normal", reason: "CIDRNotAvailable", message: "Node \(name) status is now: CIDRNotAvailable")
      return .requeue
    }
    let patch = JSONValue.object([
      "metadata": .object(["uid": .string(cached.metadata.uid)]),
      "spec": .object(["podCIDR": .string(ranges[0]), "podCIDRs": .array(ranges.map { .string($0) })]),
    ])
    do {
      let node = try await client.patch(Node.self, name: name, .merge(patch.encoded()))
      if node.spec.podCIDR != ranges[0] { release(ranges) }
      given.withLock { $0[name] = cached.metadata.uid }
      return .done
    } catch let error as StatusError {
      release(ranges)
      if error.isNotFound { return .done }
      recorder.event(
        cached, type: "Normal", reason: "CIDRAssignmentFailed",
        message: "Node \(name) status is now: CIDRAssignmentFailed")
      throw error
    }
  }
}
