import API
import APIMachinery
import Client
import Logging
import PKI

/// Fills Secrets of type `kubernetes.io/service-account-token` with tokens that never end, and deletes them with
/// their accounts.
final class ServiceAccountTokenController: Controller {
  private enum Item: Hashable, Sendable {
    case secret(ObjectKey)
    /// An account that is gone: its Secrets follow.
    case account(ObjectKey)
    /// A Secret that is gone: its account forgets it.
    case reference(account: ObjectKey, secret: String)
  }

  let name = "serviceaccount-token-controller"
  /// With the controller manager's own rights: it is what makes tokens for the others.
  private let client: APIClient
  private let secrets: Informer<Secret>
  private let accounts: Informer<ServiceAccount>
  private let tokens: ServiceAccountTokens
  private let rootCA: [UInt8]
  private let workers: Int
  private let logger: Logger
  private let queue = WorkQueue<Item>("serviceaccount_tokens")

  /// Nil without a key to sign with.
  init?(_ context: ControllerContext) {
    guard let key = context.configuration.serviceAccountKeyPEM, !key.isEmpty,
      let tokens = try? ServiceAccountTokens(issuer: ServiceAccountClaims.legacyIssuer, keyPEM: key)
    else { return nil }
    self.tokens = tokens
    client = context.root
    rootCA = Array(context.configuration.rootCA.utf8)
    workers = context.configuration.workers(.serviceAccountToken)
    secrets = context.informers.informer(Secret.self, fieldSelector: "type=\(TokenSecretDecision.type)")
    accounts = context.informers.informer(ServiceAccount.self)
    logger = context.logger(name)
    secrets.addIndex("account") { TokenSecretDecision.account(of: $0).map { [$0.description] } ?? [] }
    secrets.addHandler { [queue] event in
      if case .deleted(let secret) = event {
        guard let account = TokenSecretDecision.account(of: secret) else { return }
        queue.add(.reference(account: account, secret: secret.metadata.name))
      } else {
        queue.add(.secret(event.object.key))
      }
    }
    accounts.addHandler { [queue, secrets] event in
      switch event {
      case .deleted(let account): queue.add(.account(account.key))
      case .added(let account), .updated(_, let account):
        for secret in secrets.lister.byIndex("account", account.key.description) { queue.add(.secret(secret.key)) }
      }
    }
  }

  func run() async throws {
    try await secrets.waitForSync()
    try await accounts.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] item in
      switch item {
      case .secret(let key): try await reconcile(key)
      case .account(let key):
        for secret in secrets.lister.byIndex("account", key.description) { try await reconcile(secret.key) }
      case .reference(let account, let secret): try await forget(secret, of: account)
      }
      return .done
    }
  }

  private func reconcile(_ key: ObjectKey) async throws {
    guard let cached = secrets.lister.get(key), let owner = TokenSecretDecision.account(of: cached) else { return }
    let account = try await account(owner)
    guard TokenSecretDecision.decide(cached, account: account, rootCA: rootCA) != .nothing else { return }
    // A token is not to be made twice because the cache is behind.
    let live: Secret
    do {
      live = try await client.get(Secret.self, namespace: key.namespace, name: key.name)
    } catch let error as StatusError where error.isNotFound {
      return
    }
    guard live.metadata.uid == cached.metadata.uid else { return }
    switch TokenSecretDecision.decide(live, account: account, rootCA: rootCA) {
    case .nothing: return
    case .delete:
      try await ignoringLoss {
        try await client.delete(
          Secret.self, namespace: key.namespace, name: key.name, options: .uid(live.metadata.uid))
      }
    case .fill(var secret, let needsToken):
      guard let account else { return }
      if needsToken { secret.data["token"] = Base64Bytes(Array(try token(account, secret).utf8)) }
      try await ignoringLoss { try await client.update(secret) }
    }
  }

  private func token(_ account: ServiceAccount, _ secret: Secret) throws -> String {
    var claims = ServiceAccountClaims(
      namespace: account.metadata.namespace,
      serviceAccount: .init(name: account.metadata.name, uid: account.metadata.uid))
    claims.legacySecretName = secret.metadata.name
    return try tokens.sign(claims)
  }

  /// The account, from the cache or, where that does not have it, from the server.
  private func account(_ key: ObjectKey) async throws -> ServiceAccount? {
    if let cached = accounts.lister.get(key) { return cached }
    do {
      return try await client.get(ServiceAccount.self, namespace: key.namespace, name: key.name)
    } catch let error as StatusError where error.isNotFound {
      return nil
    }
  }

  private func forget(_ secret: String, of key: ObjectKey) async throws {
    guard let cached = accounts.lister.get(key), cached.secrets.contains(where: { $0.name == secret }) else { return }
    do {
      _ = try await client.get(Secret.self, namespace: key.namespace, name: secret)
      return  // there is another of that name
    } catch let error as StatusError where error.isNotFound {
      var account = try await client.get(ServiceAccount.self, namespace: key.namespace, name: key.name)
      guard account.metadata.uid == cached.metadata.uid else { return }
      account.secrets.removeAll { $0.name == secret }
      try await client.update(account)
    }
  }

  /// Somebody else was faster: what is to be done then comes as an event.
  private func ignoringLoss(_ body: () async throws -> Void) async throws {
    do {
      try await body()
    } catch let error as StatusError where error.isNotFound || error.isConflict {
      return
    }
  }
}
