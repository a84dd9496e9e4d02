import API
import Client
import Logging

/// Deletes nodes whose machines are gone and taints those whose machines are stopped.
final class CloudNodeLifecycleController: Controller {
  let name = "cloud-node-lifecycle-controller"
  private let client: APIClient
  private let provider: any CloudProvider
  private let nodes: Informer<Node>
  private let recorder: EventRecorder
  private let period: Duration
  private let now: @Sendable () -> Time
  private let logger: Logger

  init(_ context: CloudContext) {
    client = context.client
    provider = context.provider
    nodes = context.informers.informer(Node.self)
    recorder = context.recorder("cloud-node-lifecycle-controller")
    period = context.configuration.nodeMonitorPeriod
    now = context.now
    logger = context.logger(name)
  }

  func run() async throws {
    try await nodes.waitForSync()
    try await every(period, failed: { _ in }) { [self] in
      for node in nodes.lister.list() { try await look(at: node) }
    }
  }

  /// One node's trouble is no reason to leave the others alone.
  private func look(at node: Node) async throws {
    do {
      try await carryOut(
        try await NodeFate.of(
          node, exists: { try await provider.instanceExists(node) },
          isShutDown: { try await provider.instanceShutdown(node) }),
        on: node)
    } catch is CancellationError {
      throw CancellationError()
    } catch let error as StatusError where error.isNotFound {
      return
    } catch {
      logger.warning("error checking node \(node.metadata.name): \(text(error))")
    }
  }

  private func carryOut(_ fate: NodeFate, on node: Node) async throws {
    switch fate {
    case .leave: return
    case .clearTaint: try await client.changeTaints(of: node) { $0.filter { $0.key != NodeFate.shutdownTaint } }
    case .taint:
      try await client.changeTaints(of: node) { taints in
        guard !taints.contains(where: { $0.key == NodeFate.shutdownTaint && $0.effect == "NoSchedule" }) else {
          return taints
        }
        return taints + [
          Taint {
            $0.key = NodeFate.shutdownTaint
            $0.effect = "NoSchedule"
          }
        ]
      }
    case .delete:
      let name = node.metadata.name
      logger.info("deleting node since it is no longer present in cloud provider: \(name)")
      recorder.event(
        node, type: "Normal", reason: "DeletingNode",
        message: "Deleting node \(name) because it does not exist in the cloud provider")
      try await client.delete(Node.self, name: name)
    }
  }
}
