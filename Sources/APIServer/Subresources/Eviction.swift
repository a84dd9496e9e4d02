import API
import APIMachinery
import APIMeta
import HTTP

extension Registry {
  /// Deletes a pod if its disruption budget allows that.
  func evict(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let context = try WriteContext(resource, request, kind: "CreateOptions")
    let raw = try decodeBody(
      resource, request, context.options, context.warnings, kind: Eviction.gvk,
      schema: builtInSchema.schema(for: Eviction.gvk))
    var eviction: Eviction
    do { eviction = try Eviction.decode(raw.encoded()) } catch { throw cannotHandle(Eviction.gvk, message(error)) }
    if !eviction.metadata.name.isEmpty, eviction.metadata.name != context.name {
      throw StatusError.badRequest("name in URL does not match name in Eviction object")
    }
    try await admit(&eviction, context)
    var options = DeleteRequest()
    if let sent = eviction.deleteOptions {
      options.gracePeriodSeconds = sent.gracePeriodSeconds
      options.uid = sent.preconditions?.uid
      options.resourceVersion = sent.preconditions?.resourceVersion
      options.propagation = sent.propagationPolicy.flatMap(DeleteRequest.Propagation.init(rawValue:))
      options.dryRun = !sent.dryRun.isEmpty
    }
    if context.options.dryRun { options.dryRun = true }
    guard let pod = object(Pod.self, namespace: context.namespace, name: context.name) else { throw context.notFound() }
    // A pod that does no work disrupts nothing.
    let idle = pod.isTerminal || pod.status.phase == "Pending" || pod.metadata.deletionTimestamp != nil
    if !idle { try await spendBudget(pod, dryRun: options.dryRun) }
    _ = try await delete(context, options)
    return jsonResponse(201, plainSuccess(201))
  }

  private func spendBudget(_ pod: Pod, dryRun: Bool) async throws {
    let budgets = try list(PodDisruptionBudget.self, namespace: pod.metadata.namespace).filter { budget in
      guard let selector = budget.spec.selector else { return false }
      return try selector.selector().matches(pod.metadata.labels)
    }
    guard let budget = budgets.first else { return }
    if budgets.count > 1 {
      throw StatusError.internalError(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    }
    guard let resource = resource(PodDisruptionBudget.self) else { return }
    if !pod.isReady {
      let healthyEnough =
        budget.status.currentHealthy >= budget.status.desiredHealthy && budget.status.desiredHealthy > 0
      if budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow" || healthyEnough { return }
    }
    let context = WriteContext(
      internal: resource, namespace: budget.metadata.namespace, name: budget.metadata.name, subresource: "status")
    if dryRun {
      try check(budget)
      return
    }
    _ = try await update(context, source: .patch) { cached in
      var object = try LiveObject(resource, cached: cached)
      guard var present = object.as(PodDisruptionBudget.self) else { return object }
      try check(present)
      present.status.disruptionsAllowed -= 1
      present.status.disruptedPods[pod.metadata.name] = now()
      present.metadata.resourceVersion = ""
      object = .typed(present)
      return object
    }
  }

  private func check(_ budget: PodDisruptionBudget) throws {
    let status = budget.status
    if status.observedGeneration < budget.metadata.generation {
      var error = StatusError.tooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.", retryAfter: 10)
      error.details?.causes = [
        StatusError.Cause(
          reason: "DisruptionBudget",
          message: "The disruption budget \(budget.metadata.name) is still being processed by the server.")
      ]
      throw error
    }
    if status.disruptionsAllowed < 0 {
      throw StatusError.forbidden(
        PodDisruptionBudget.groupResource, budget.metadata.name, "pdb disruptions allowed is negative")
    }
    guard status.disruptionsAllowed == 0 else { return }
    var error = StatusError.tooManyRequests(
      "Cannot evict pod as it would violate the pod's disruption budget.", retryAfter: 0)
    error.details?.causes = [
      StatusError.Cause(
        reason: "DisruptionBudget",
        message: "The disruption budget \(budget.metadata.name) needs \(status.desiredHealthy) healthy pods and has "
          + "\(status.currentHealthy) currently")
    ]
    throw error
  }
}
