import API
import APIMachinery
import Client
import Logging

/// Tells the cluster what the cloud knows of nodes: once when a node registers, and their addresses ever after.
final class CloudNodeController: Controller {
  let name = "cloud-node-controller"
  private let context: CloudContext
  private let client: APIClient
  private let provider: any CloudProvider
  private let nodes: Informer<Node>
  private let recorder: EventRecorder
  private let logger: Logger
  private let queue = WorkQueue<String>("Nodes")

  init(_ context: CloudContext) {
    self.context = context
    client = context.client
    provider = context.provider
    nodes = context.informers.informer(Node.self)
    recorder = context.recorder("cloud-node-controller")
    logger = context.logger(name)
    nodes.addHandler { [queue] event in
      if case .deleted = event { return }
      queue.add(event.object.metadata.name)
    }
  }

  func run() async throws {
    try await nodes.waitForSync()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await runWorkers(queue, count: context.configuration.concurrentNodeSyncs, logger: logger) { [self] in
          try await reconcile($0)
        }
      }
      group.addTask { [self] in
        try await every(context.configuration.nodeStatusUpdateFrequency, failed: { _ in }) { [self] in
          for node in nodes.lister.list() where !NodeInitialization.isPending(node) { await refresh(node) }
        }
      }
      try await group.waitForAll()
    }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard let node = nodes.lister.get(name: name) else { return .done }
    guard NodeInitialization.isPending(node) else {
      let labels = NodeInitialization.missingBetaLabels(node)
      if !labels.isEmpty { try await client.patchNode(node, [:], labels: labels) }
      return .done
    }
    let metadata: InstanceMetadata
    let addresses: [NodeAddress]?
    do {
      metadata = try await provider.instanceMetadata(node)
      addresses = try NodeAddresses.desired(for: node, cloud: metadata.addresses)
    } catch CloudProviderError.retry(let seconds, let reason) {
      logger.info("node \(name) waits for the cloud: \(reason)")
      return .after(.seconds(seconds))
    } catch {
      throw Failure("failed to get instance metadata for node \(name): \(text(error))")
    }
    let change = NodeInitialization(of: node, metadata)
    for key in change.discarded { logger.warning("node \(name): the cloud's label \(key) is not taken") }
    var spec: [String: JSONValue] = ["taints": try tree(change.taints)]
    if let id = change.providerID { spec["providerID"] = .string(id) }
    let changed = try await client.patchNode(node, spec, labels: change.labels)
    // At once, not at the next period: who waits for the node wants its addresses too.
    if let addresses { await write(addresses, on: changed) }
    recorder.event(node, type: "Normal", reason: "Synced", message: "Node synced successfully")
    return .done
  }

  private func refresh(_ node: Node) async {
    do {
      let metadata = try await provider.instanceMetadata(node)
      guard let addresses = try NodeAddresses.desired(for: node, cloud: metadata.addresses) else { return }
      await write(addresses, on: node)
    } catch {
      logger.warning("failed to update node addresses for node \"\(node.metadata.name)\": \(text(error))")
    }
  }

  private func write(_ addresses: [NodeAddress], on node: Node) async {
    guard NodeAddresses.differ(node.status.addresses, addresses) else { return }
    do {
      try await client.patchAddresses(of: node, addresses)
    } catch {
      logger.warning("error patching node \(node.metadata.name) with cloud addresses: \(text(error))")
    }
  }
}
