import API
import APIMachinery
import Client
import Logging
import Synchronization

/// How long kubelets may keep what they read, by the size of the cluster: a value. Each step's end overlaps the next
/// one's beginning, so that a node that comes and goes moves nothing.
struct CacheLifetime: Sendable, Equatable {
  private static let steps: [(from: Int, to: Int, seconds: Int)] = [
    (0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, .max, 300),
  ]
  private var nodes = 0
  private var step = 0

  /// What nodes are to be told.
  var seconds: Int { Self.steps[step].seconds }

  mutating func nodeAdded() {
    nodes += 1
    if nodes > Self.steps[step].to { step += 1 }
  }

  mutating func nodeDeleted() {
    nodes -= 1
    if nodes < Self.steps[step].from { step -= 1 }
  }
}

/// Tells nodes, by an annotation, how long their kubelets may keep Secrets and ConfigMaps without asking again.
final class TTLController: Controller {
  static let annotation = "node.alpha.kubernetes.io/ttl"

  let name = "ttl-controller"
  private let client: APIClient
  private let nodes: Informer<Node>
  private let logger: Logger
  private let lifetime = Mutex(CacheLifetime())
  private let queue = WorkQueue<String>("ttlcontroller")

  init(_ context: ControllerContext) {
    client = context.client
    nodes = context.informers.informer(Node.self)
    logger = context.logger(name)
    nodes.addHandler { [weak self] event in
      guard let self else { return }
      switch event {
      case .added: lifetime.withLock { $0.nodeAdded() }
      case .deleted: return lifetime.withLock { $0.nodeDeleted() }
      // After a change of step each node is told when it next says something: not all at once.
      case .updated: break
      }
      queue.add(event.object.metadata.name)
    }
  }

  func run() async throws {
    try await nodes.waitForSync()
    await runWorkers(queue, count: 5, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    let wanted = String(lifetime.withLock { $0.seconds })
    guard let node = nodes.lister.get(name: name), node.metadata.annotations[Self.annotation] != wanted else {
      return .done
    }
    let patch = JSONValue.object([
      "metadata": .object(["annotations": .object([Self.annotation: .string(wanted)])])
    ])
    try await ignoringNotFound { try await client.patch(Node.self, name: name, .strategic(patch.encoded())) }
    return .done
  }
}
