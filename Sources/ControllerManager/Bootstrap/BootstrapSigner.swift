import API
import Client
import Logging
import PKI

/// Signs `kube-public/cluster-info` with every bootstrap token that may sign, so that whoever holds one can tell that
/// it was published by its cluster.
final class BootstrapSigner: Controller {
  static let namespace = "kube-public"
  static let configMapName = "cluster-info"
  static let content = "kubeconfig"
  static let signaturePrefix = "jws-kubeconfig-"

  let name = "bootstrap-signer-controller"
  private let client: APIClient
  private let maps: Informer<ConfigMap>
  private let secrets: Informer<Secret>
  private let queue = WorkQueue<String>("bootstrap_signer_queue")
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    logger = context.logger(name)
    now = context.now
    maps = context.informers.informer(
      ConfigMap.self, namespace: Self.namespace, fieldSelector: "metadata.name=\(Self.configMapName)")
    secrets = context.informers.informer(
      Secret.self, namespace: BootstrapToken.namespace, fieldSelector: "type=\(BootstrapToken.secretType)")
    maps.addHandler { [queue] _ in queue.add(Self.configMapName) }
    secrets.addHandler { [queue] _ in queue.add(Self.configMapName) }
  }

  func run() async throws {
    try await maps.waitForSync()
    try await secrets.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] _ in try await reconcile() }
  }

  func reconcile() async throws -> ReconcileResult {
    guard let present = maps.lister.get(namespace: Self.namespace, name: Self.configMapName) else { return .done }
    let tokens = secrets.lister.list().compactMap { BootstrapToken($0) }
    guard let wanted = Self.signed(present, tokens, now: now()) else { return .done }
    do {
      try await client.update(wanted)
    } catch let error as StatusError where error.isConflict {
      return .requeue
    }
    return .done
  }

  /// The map with exactly the signatures it should have; nil when it has them.
  static func signed(_ present: ConfigMap, _ tokens: [BootstrapToken], now: Time) -> ConfigMap? {
    guard let text = present.data[content] else { return nil }
    var wanted = present
    wanted.data = present.data.filter { !$0.key.hasPrefix(signaturePrefix) }
    for token in tokens where token.signs && !token.isExpired(at: now) {
      wanted.data[signaturePrefix + token.id] = DetachedSignature.make(
        text, tokenID: token.id, tokenSecret: token.secret)
    }
    return wanted == present ? nil : wanted
  }
}
