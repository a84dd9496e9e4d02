import API
import APIMachinery
import Client
import Logging

/// Gives every namespace its `default` service account.
final class ServiceAccountController: Controller {
  let name = "serviceaccount-controller"
  private let client: APIClient
  private let namespaces: Informer<Namespace>
  private let accounts: Informer<ServiceAccount>
  private let queue = WorkQueue<String>("serviceaccount")
  private let logger: Logger

  init(_ context: ControllerContext) {
    client = context.client
    namespaces = context.informers.informer(Namespace.self)
    accounts = context.informers.informer(ServiceAccount.self)
    logger = context.logger(name)
    namespaces.addHandler { [queue] event in
      if case .deleted = event { return }
      queue.add(event.object.metadata.name)
    }
    accounts.addHandler { [queue] event in
      if case .deleted(let account) = event, account.metadata.name == "default" {
        queue.add(account.metadata.namespace)
      }
    }
  }

  func run() async throws {
    try await namespaces.waitForSync()
    try await accounts.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ namespace: String) async throws -> ReconcileResult {
    guard let object = namespaces.lister.get(name: namespace), object.status.phase != "Terminating",
      accounts.lister.get(namespace: namespace, name: "default") == nil
    else { return .done }
    var account = ServiceAccount()
    account.metadata.name = "default"
    account.metadata.namespace = namespace
    do {
      try await client.create(account)
    } catch let error as StatusError where error.isAlreadyExists || error.isNamespaceTerminating {
      return .done
    }
    return .done
  }
}
