import API
import APIMachinery
import APIMeta
import Quota
import Storage

/// Refuses what would take more than the quotas of its namespace allow, and books what it lets in. It comes last, and it
/// books before the object is stored: a quota may count something that failed to be stored until its controller has
/// counted again, but never too little.
struct ResourceQuotaAdmission: Sendable {
  let registry: Registry

  /// Throws a refusal, or books the object in all quotas that count it.
  func admit(_ object: LiveObject, _ request: AdmissionRequest) async throws {
    guard registry.dynamicAdmission.checksQuotas, !request.context.isInternal, request.operation != .delete,
      request.resource.info.namespaced,
      let quotas = registry.resource(ResourceQuota.self), let cache = quotas.cache, cache.snapshot().objects.count > 0
    else { return }
    guard let change = change(object, request) else { return }
    // What is there already is refused without being booked a second time.
    if request.operation == .create,
      request.resource.cache?.object(request.resource.key(request.namespace, object.metadata.name)) != nil
    {
      return
    }
    let all = registry.list(ResourceQuota.self, namespace: request.namespace)
    var booked: [(quota: ResourceQuota, amounts: ResourceList)] = []
    for quota in all {
      if let amounts = try amounts(quota, object, change, request) { booked.append((quota, amounts)) }
    }
    if request.context.options.dryRun { return }
    for (quota, amounts) in booked { try await book(amounts, in: quota, quotas, object, request) }
  }

  private struct Change {
    /// What the object takes more than before.
    var amounts: ResourceList
    /// The names that objects of this kind can take.
    var isCreation: Bool
  }

  private func change(_ object: LiveObject, _ request: AdmissionRequest) -> Change? {
    let isCreation = request.operation == .create
    let now = registry.now()
    var amounts: ResourceList
    if isCreation {
      guard request.subresource.isEmpty else { return nil }
      amounts = usage(object, request, now)
    } else {
      // Only these can take more by changing.
      let canGrow =
        (request.subresource.isEmpty
          && (object.as(Service.self) != nil || object.as(PersistentVolumeClaim.self) != nil))
        || (request.subresource == "resize" && object.as(Pod.self) != nil)
      guard canGrow, let old = request.old else { return nil }
      amounts = usage(object, request, now)
      amounts.subtract(usage(old, request, now))
    }
    amounts = amounts.filter { !$0.value.isZero }
    return amounts.isEmpty ? nil : Change(amounts: amounts, isCreation: isCreation)
  }

  private func usage(_ object: LiveObject, _ request: AdmissionRequest, _ now: Time) -> ResourceList {
    if let pod = object.as(Pod.self) { return QuotaUsage.of(pod, now: now) }
    if let service = object.as(Service.self) { return QuotaUsage.of(service) }
    if let claim = object.as(PersistentVolumeClaim.self) { return QuotaUsage.of(claim) }
    if let claim = object.as(ResourceResourceClaim.self) { return QuotaUsage.of(claim) }
    return QuotaUsage.count(request.resource.groupResource)
  }

  private static func covers(_ quota: ResourceQuota, _ object: LiveObject) -> Bool {
    if let pod = object.as(Pod.self) { return quota.spec.covers(pod) }
    if let claim = object.as(PersistentVolumeClaim.self) { return quota.spec.covers(claim) }
    return quota.spec.coversPlainObjects
  }

  /// What is to be booked in a quota; nil if it has nothing to do with the object.
  private func amounts(
    _ quota: ResourceQuota, _ object: LiveObject, _ change: Change, _ request: AdmissionRequest
  ) throws -> ResourceList? {
    guard Self.covers(quota, object) else { return nil }
    let name = object.metadata.name
    if change.isCreation, let pod = object.as(Pod.self),
      let missing = QuotaUsage.missing(pod, limited: quota.spec.hard.keys)
    {
      throw request.forbidden(name, "failed quota: \(quota.metadata.name): \(missing)")
    }
    let amounts = change.amounts.filter { quota.spec.hard[$0.key] != nil }
    if amounts.isEmpty { return nil }
    let unknown = amounts.keys.filter { quota.status.used[$0] == nil || quota.status.hard[$0] == nil }
    if !unknown.isEmpty {
      throw request.forbidden(
        name, "status unknown for quota: \(quota.metadata.name), resources: \(unknown.sorted().joined(separator: ","))")
    }
    try check(amounts, quota, name, request)
    return amounts
  }

  private func check(_ amounts: ResourceList, _ quota: ResourceQuota, _ name: String, _ request: AdmissionRequest)
    throws
  {
    let exceeded = amounts.filter { resource, amount in
      guard amount.sign > 0, let hard = quota.status.hard[resource] else { return false }
      return (quota.status.used[resource] ?? 0) + amount > hard
    }
    if exceeded.isEmpty { return }
    func shown(_ list: ResourceList) -> String {
      exceeded.keys.sorted().map { "\($0)=\(list[$0] ?? 0)" }.joined(separator: ",")
    }
    throw request.forbidden(
      name,
      "exceeded quota: \(quota.metadata.name), requested: \(shown(amounts)), used: \(shown(quota.status.used)), "
        + "limited: \(shown(quota.status.hard))")
  }

  private func book(
    _ amounts: ResourceList, in quota: ResourceQuota, _ quotas: ServedResource, _ object: LiveObject,
    _ request: AdmissionRequest
  ) async throws {
    let context = WriteContext(
      internal: quotas, namespace: quota.metadata.namespace, name: quota.metadata.name, subresource: "status")
    do {
      _ = try await registry.update(context, source: .patch) { cached in
        let live = try LiveObject(quotas, cached: cached)
        guard var present = live.as(ResourceQuota.self) else { return live }
        // Others may have taken something since.
        try check(amounts, present, object.metadata.name, request)
        for (name, amount) in amounts { present.status.used[name] = (present.status.used[name] ?? 0) + amount }
        present.metadata.resourceVersion = ""
        return .typed(present)
      }
    } catch let error as StatusError where error.isNotFound {
      // The quota has gone meanwhile, and with it the limit.
    }
  }
}
