import API
import APIMachinery
import Client
import Logging
import Quota
import Synchronization

/// Keeps the status of ResourceQuotas: what is allowed, as the spec says, and what is used, by counting. Admission books
/// what comes; this counts again when something has gone or changed, when a quota changes, and now and then.
final class ResourceQuotaController: Controller {
  let name = "resourcequota-controller"
  private let client: APIClient
  private let quotas: Informer<ResourceQuota>
  private let pods: Informer<Pod>
  private let services: Informer<Service>
  private let claims: Informer<PersistentVolumeClaim>
  private let counted: CountedKinds
  private let queue = WorkQueue<ObjectKey>("resourcequota_primary")
  private let period: Duration
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    quotas = context.informers.informer(ResourceQuota.self)
    pods = context.informers.informer(Pod.self)
    services = context.informers.informer(Service.self)
    claims = context.informers.informer(PersistentVolumeClaim.self)
    period = context.configuration.quotaSyncPeriod
    workers = context.configuration.workers(.resourceQuota)
    logger = context.logger(name)
    now = context.now
    let (queue, quotas) = (queue, quotas)
    let replenish: @Sendable (String) -> Void = { namespace in
      for quota in quotas.lister.list(namespace: namespace) { queue.add(Self.key(quota)) }
    }
    counted = CountedKinds(client: context.client, logger: logger, freed: replenish)
    quotas.addHandler { event in
      switch event {
      case .added(let quota): queue.add(Self.key(quota))
      case .updated(let old, let quota):
        if old.spec != quota.spec || quota.status.hard != quota.spec.hard { queue.add(Self.key(quota)) }
      case .deleted: break
      }
    }
    let now = now
    Self.watch(pods, replenish) { QuotaUsage.of($0, now: now()) }
    Self.watch(services, replenish) { QuotaUsage.of($0) }
    Self.watch(claims, replenish) { QuotaUsage.of($0) }
  }

  private static func key(_ quota: ResourceQuota) -> ObjectKey {
    ObjectKey(namespace: quota.metadata.namespace, name: quota.metadata.name)
  }

  /// Counts again when an object is gone or takes less than before.
  private static func watch<T: APIObject>(
    _ informer: Informer<T>, _ replenish: @escaping @Sendable (String) -> Void,
    _ usage: @escaping @Sendable (T) -> ResourceList
  ) {
    informer.addHandler { event in
      switch event {
      case .added: break
      case .deleted(let object): replenish(object.metadata.namespace)
      case .updated(let old, let object):
        if usage(old) != usage(object) { replenish(object.metadata.namespace) }
      }
    }
  }

  func run() async throws {
    defer { counted.stop() }
    try await quotas.waitForSync()
    try await pods.waitForSync()
    try await services.waitForSync()
    try await claims.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
      }
      group.addTask { [self] in
        while (try? await Task.sleep(for: period)) != nil {
          for quota in quotas.lister.list() { queue.add(Self.key(quota)) }
        }
      }
    }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let quota = quotas.lister.get(key), quota.metadata.deletionTimestamp == nil else { return .done }
    let kinds = Set(quota.spec.hard.keys.compactMap(QuotaUsage.counted)).subtracting(Self.known)
    guard try await counted.watch(kinds) else { return .after(.milliseconds(100)) }
    var used = QuotaCount.used(
      quota.spec, pods: pods.lister.list(namespace: key.namespace),
      services: services.lister.list(namespace: key.namespace),
      claims: claims.lister.list(namespace: key.namespace), now: now())
    if quota.spec.coversPlainObjects {
      for kind in kinds {
        let amount = Quantity(Int64(counted.count(kind, namespace: key.namespace)))
        for name in QuotaUsage.count(kind).keys where used[name] != nil { used[name] = amount }
      }
    }
    guard quota.status.hard != quota.spec.hard || quota.status.used != used else { return .done }
    var changed = quota
    changed.status.hard = quota.spec.hard
    changed.status.used = used
    do {
      try await client.updateStatus(changed)
    } catch let error as StatusError where error.isNotFound {
      return .done
    }
    return .done
  }

  /// Kinds with rules of their own.
  private static let known: Set<GroupResource> = [
    Pod.groupResource, Service.groupResource, PersistentVolumeClaim.groupResource,
  ]
}

/// The pure part.
enum QuotaCount {
  /// What pods, services and claims use of a quota; zero for every other name that it has.
  static func used(
    _ spec: ResourceQuotaSpec, pods: [Pod], services: [Service], claims: [PersistentVolumeClaim], now: Time
  ) -> ResourceList {
    var sum: ResourceList = [:]
    for pod in pods where spec.covers(pod) { sum.add(QuotaUsage.of(pod, now: now)) }
    if spec.coversPlainObjects { for service in services { sum.add(QuotaUsage.of(service)) } }
    for claim in claims where spec.covers(claim) { sum.add(QuotaUsage.of(claim)) }
    return spec.hard.reduce(into: [:]) { used, entry in
      used[entry.key] = sum[entry.key] ?? Quantity(0, format: entry.value.format)
    }
  }
}
