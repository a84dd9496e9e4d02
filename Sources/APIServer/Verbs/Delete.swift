import API
import APIMachinery
import APIMeta
import HTTP
import Storage

extension Registry {
  /// What a delete came to.
  enum Deletion: Sendable {
    /// The object is gone; its last state.
    case gone(CachedObject)
    /// The object waits for its grace period or its finalizers.
    case waiting(CachedObject)
  }

  func delete(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    var options = try DeleteRequest(self, request)
    let context = try WriteContext(resource, request, kind: "DeleteOptions")
    if context.options.dryRun { options.dryRun = true }
    return try answer(try await delete(context, options), context, options, request)
  }

  private func answer(
    _ deletion: Deletion, _ context: WriteContext, _ options: DeleteRequest, _ request: ResourceRequest
  ) throws -> HTTPResponse {
    let resource = context.resource
    switch deletion {
    case .gone(let object):
      if resource.traits.returnsDeleted { return try answer(200, resource, object, request) }
      return jsonResponse(
        200, successStatus(resource.groupResource, name: object.name, uid: object.uid),
        warnings: context.warnings.all)
    case .waiting(let object):
      let accepted = options.propagation == .foreground || options.orphanDependents == false
      return try answer(accepted ? 202 : 200, resource, object, request, warnings: context.warnings.all)
    }
  }

  /// Deletes an object, or marks it as being deleted.
  func delete(_ context: WriteContext, _ options: DeleteRequest) async throws -> Deletion {
    let resource = context.resource
    let key = resource.key(context.namespace, context.name)
    while true {
      guard let present = resource.cache?.object(key) else { throw context.notFound() }
      try await resource.prepare([present])
      let old = try resource.live(present)
      let before = try LiveObject(resource, cached: old)
      try checkPreconditions(context, options, before, old)
      let admitted = AdmissionRequest(context, operation: .delete, old: before, options: options.tree)
      try await access.settled { try admission.validate(before, admitted, self) }
      if dynamicAdmission.mayMutate {
        var view = try AdmissionView(admitted, nil, self)
        try await dynamicAdmission.mutate(&view, admitted, self)
      }
      try await dynamicAdmission.validate(nil, admitted, self)
      if let outcome = try await deleteOnce(context, options, before, old) { return outcome }
      try await awaitChange(of: old, resource)
    }
  }

  private func checkPreconditions(
    _ context: WriteContext, _ options: DeleteRequest, _ object: LiveObject, _ old: CachedObject
  ) throws {
    if let uid = options.uid, uid != object.metadata.uid {
      throw StatusError.conflict(
        context.resource.groupResource, context.name,
        "Precondition failed: UID in precondition: \(uid), UID in object meta: \(object.metadata.uid)")
    }
    if let version = options.resourceVersion, version != String(old.revision) {
      throw StatusError.conflict(
        context.resource.groupResource, context.name,
        "Precondition failed: ResourceVersion in precondition: \(version), "
          + "ResourceVersion in object meta: \(old.revision)")
    }
  }

  private func deleteOnce(
    _ context: WriteContext, _ options: DeleteRequest, _ before: LiveObject, _ old: CachedObject
  ) async throws -> Deletion? {
    let resource = context.resource
    var object = before
    object.metadata.resourceVersion = ""
    var metadata = object.metadata
    metadata.finalizers = options.finalizers(metadata.finalizers)
    if object.as(CustomResourceDefinition.self) != nil, metadata.deletionTimestamp == nil,
      !metadata.finalizers.contains(DefinitionController.finalizer)
    {
      metadata.finalizers.append(DefinitionController.finalizer)
    }
    let changedFinalizers = metadata.finalizers != before.metadata.finalizers
    let grace = try gracePeriod(context, options, before)
    let started = metadata.deletionTimestamp != nil

    switch plan(metadata, grace: grace, asked: options.gracePeriodSeconds) {
    case .unchanged:
      if !changedFinalizers { return try await isCurrent(old, resource) ? .waiting(old) : nil }
    case .graceful(let seconds, let timestamp):
      if !started, metadata.generation > 0 { metadata.generation += 1 }
      metadata.deletionTimestamp = timestamp
      metadata.deletionGracePeriodSeconds = seconds
    case .now:
      let namespaceHolds = object.as(Namespace.self).map { !$0.spec.finalizers.isEmpty } ?? false
      if metadata.finalizers.isEmpty, !namespaceHolds {
        if options.dryRun { return .gone(old) }
        switch try await storage.delete(storageKey(resource, old.key), if: .revision(old.revision)) {
        case .committed(let value, let previous):
          await release(before, now: nil)
          let last = previous?.value ?? (value.value.isEmpty ? old.bytes : value.value)
          return .gone(cached(context, before.metadata, last, value.modRevision))
        case .conflict: return nil
        }
      }
      if !started {
        if metadata.generation > 0 { metadata.generation += 1 }
        metadata.deletionTimestamp = now()
      }
      metadata.deletionGracePeriodSeconds = 0
    }
    object.metadata = metadata
    object.with(Namespace.self) { $0.status.phase = "Terminating" }
    if !started {
      object.with(CustomResourceDefinition.self) {
        DefinitionNames.set(
          &$0.status, "Terminating", "True", "InstanceDeletionPending",
          "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon", now())
      }
    }
    if object.isSame(as: before) { return try await isCurrent(old, resource) ? .waiting(old) : nil }
    let bytes = try await resource.sealed(object.stored())
    if options.dryRun { return .waiting(cached(context, metadata, bytes, old.revision)) }
    switch try await storage.put(storageKey(resource, old.key), bytes, if: .revision(old.revision), ttl: nil) {
    case .committed(let value, _): return .waiting(cached(context, metadata, bytes, value.modRevision))
    case .conflict: return nil
    }
  }

  private enum Plan {
    /// A deletion with as short a grace is under way.
    case unchanged
    case graceful(Int64, Time)
    case now
  }

  private func plan(_ metadata: ObjectMeta, grace: Int64?, asked: Int64?) -> Plan {
    guard let grace else { return .now }
    guard let timestamp = metadata.deletionTimestamp else {
      return grace == 0 ? .now : .graceful(grace, now().adding(seconds: grace))
    }
    // Deletion is under way: its grace period can only get shorter.
    guard let present = metadata.deletionGracePeriodSeconds, present > 0 else {
      return grace == 0 || asked == nil ? .now : .unchanged
    }
    guard asked != nil else { return .unchanged }
    if grace == 0 { return .now }
    if grace >= present { return .unchanged }
    return .graceful(grace, timestamp.adding(seconds: grace - present))
  }

  /// Seconds of grace; nil for kinds that go at once.
  private func gracePeriod(_ context: WriteContext, _ options: DeleteRequest, _ object: LiveObject) throws -> Int64? {
    guard let pod = object.as(Pod.self) else { return nil }
    var seconds = options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30
    // A pod that no kubelet has, or that has ended, needs no grace.
    if pod.spec.nodeName.isEmpty || pod.status.phase == "Succeeded" || pod.status.phase == "Failed" { seconds = 0 }
    if seconds < 0 { seconds = 1 }
    return seconds
  }
}
