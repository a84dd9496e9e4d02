import API
import APIMachinery
import Client
import Logging

/// Which tokens of the old kind that nobody uses are marked, and which deleted: pure.
struct LegacyTokenDecision: Sendable, Equatable {
  private(set) var mark: [Secret] = []
  private(set) var delete: [Secret] = []

  static let lastUsed = "kubernetes.io/legacy-token-last-used"
  static let invalidSince = "kubernetes.io/legacy-token-invalid-since"

  /// Decides at a time. `trackedSince` is the day since when uses are noted, `mounted` the names of the Secrets that
  /// pods of a namespace use.
  static func decide(
    secrets: [Secret], accounts: (ObjectKey) -> ServiceAccount?, mounted: (String) -> Set<String>,
    trackedSince: String, period: Int64, now: Time
  ) -> LegacyTokenDecision {
    var decision = LegacyTokenDecision()
    // Of the day on which noting began only a part was seen.
    guard let start = day(trackedSince)?.adding(seconds: 86_400), now >= start.adding(seconds: period) else {
      return decision
    }
    let limit = now.adding(seconds: -period)
    for secret in secrets
    where secret.type == TokenSecretDecision.type && secret.metadata.creationTimestamp < limit
      && secret.metadata.deletionTimestamp == nil
    {
      if let used = secret.metadata.labels[lastUsed], day(used) == nil || used >= text(limit) { continue }
      // Only those that were made automatically, for the account's list, are ours to delete.
      guard let key = TokenSecretDecision.account(of: secret), let account = accounts(key),
        [nil, "", account.metadata.uid].contains(secret.metadata.annotations[TokenSecretDecision.uidAnnotation]),
        account.secrets.contains(where: { $0.name == secret.metadata.name }),
        !mounted(key.namespace).contains(secret.metadata.name)
      else { continue }
      guard let since = secret.metadata.labels[invalidSince], day(since) != nil else {
        decision.mark.append(secret)
        continue
      }
      if since < text(limit) { decision.delete.append(secret) }
    }
    return decision
  }

  /// The Secrets that a pod uses.
  static func secrets(_ pod: Pod) -> [String] {
    var names = pod.spec.imagePullSecrets.map(\.name)
    let containers =
      pod.spec.containers.map { ($0.env, $0.envFrom) } + pod.spec.initContainers.map { ($0.env, $0.envFrom) }
      + pod.spec.ephemeralContainers.map { ($0.env, $0.envFrom) }
    for (env, envFrom) in containers {
      names += env.compactMap { $0.valueFrom?.secretKeyRef?.name }
      names += envFrom.compactMap { $0.secretRef?.name }
    }
    for volume in pod.spec.volumes {
      if let name = volume.secret?.secretName { names.append(name) }
      names += volume.projected?.sources.compactMap { $0.secret?.name } ?? []
      if let name = volume.csi?.nodePublishSecretRef?.name { names.append(name) }
    }
    return names
  }

  /// A day as such labels write it.
  static func text(_ time: Time) -> String { String(time.description.prefix(10)) }

  private static func day(_ text: String) -> Time? {
    text.utf8.count == 10 ? Time(rfc3339: "\(text)T00:00:00Z") : nil
  }
}

/// Marks service accounts' tokens of the old kind that were not used for a long time, and deletes those that were
/// marked for as long.
final class LegacyTokenCleaner: Controller {
  let name = "legacy-serviceaccount-token-cleaner-controller"
  private static let interval: Duration = .seconds(24 * 3600)

  private let client: APIClient
  private let secrets: Informer<Secret>
  private let accounts: Informer<ServiceAccount>
  private let pods: Informer<Pod>
  private let period: Int64
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    secrets = context.informers.informer(Secret.self, fieldSelector: "type=\(TokenSecretDecision.type)")
    accounts = context.informers.informer(ServiceAccount.self)
    pods = context.informers.informer(Pod.self)
    period = context.configuration.legacyTokenCleanUpPeriod.components.seconds
    logger = context.logger(name)
    now = context.now
  }

  func run() async throws {
    try await secrets.waitForSync()
    try await accounts.waitForSync()
    try await pods.waitForSync()
    while !Task.isCancelled {
      do { try await clean() } catch { logger.debug("\(error)") }
      try await Task.sleep(for: Self.interval)
    }
  }

  /// One pass.
  func clean() async throws {
    let map = try await client.get(
      ConfigMap.self, namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking")
    let time = now()
    let decision = LegacyTokenDecision.decide(
      secrets: secrets.lister.list(), accounts: { accounts.lister.get($0) },
      mounted: { Set(pods.lister.list(namespace: $0).flatMap(LegacyTokenDecision.secrets)) },
      trackedSince: map.data["since"] ?? "", period: period, now: time)
    let label = JSONValue.object([LegacyTokenDecision.invalidSince: .string(LegacyTokenDecision.text(time))])
    for secret in decision.mark {
      let patch = JSONValue.object([
        "metadata": .object(["uid": .string(secret.metadata.uid), "labels": label])
      ])
      try await ignoringNotFound {
        try await client.patch(
          Secret.self, namespace: secret.metadata.namespace, name: secret.metadata.name, .merge(patch.encoded()))
      }
    }
    for secret in decision.delete {
      var options = DeleteOptions.uid(secret.metadata.uid)
      // One that was used since is not to go.
      options.preconditions?.resourceVersion = secret.metadata.resourceVersion
      do {
        try await client.delete(
          Secret.self, namespace: secret.metadata.namespace, name: secret.metadata.name, options: options)
      } catch let error as StatusError where error.isNotFound || error.isConflict {
        continue
      }
    }
  }
}
