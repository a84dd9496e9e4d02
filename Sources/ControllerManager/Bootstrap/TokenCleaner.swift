import API
import Client
import Logging

/// Deletes bootstrap tokens when their time has come.
final class TokenCleaner: Controller {
  let name = "token-cleaner-controller"
  private let client: APIClient
  private let secrets: Informer<Secret>
  private let queue = WorkQueue<ObjectKey>("token_cleaner")
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    logger = context.logger(name)
    now = context.now
    secrets = context.informers.informer(
      Secret.self, namespace: BootstrapToken.namespace, fieldSelector: "type=\(BootstrapToken.secretType)")
    secrets.addHandler { [queue] event in
      if case .deleted = event { return }
      queue.add(event.object.key)
    }
  }

  func run() async throws {
    try await secrets.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let secret = secrets.lister.get(key), let token = BootstrapToken(secret), token.mayExpire else {
      return .done
    }
    let now = now()
    guard token.isExpired(at: now) else {
      let left = token.expiration.map { $0.seconds - now.seconds } ?? 0
      return .after(.seconds(max(1, left)))
    }
    logger.info("deleting an expired bootstrap token", metadata: ["token": "\(token.id)"])
    var options = DeleteOptions()
    options.preconditions = Preconditions()
    // Not one that was made anew under the same id.
    options.preconditions?.uid = secret.metadata.uid
    do {
      try await client.delete(Secret.self, namespace: key.namespace, name: key.name, options: options)
    } catch let error as StatusError where error.code == 404 || error.isConflict {
      return .done
    }
    return .done
  }
}
