import API
import APIMachinery
import APIMeta
import HTTP
import Storage
import Validation

/// How an update's new state comes about.
enum UpdateSource: Sendable {
  /// A whole object was sent: its version is a precondition.
  case replace
  /// Computed from the present state: repeated when that has changed meanwhile.
  case patch
}

extension Registry {
  func update(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let context = try WriteContext(resource, request, kind: "UpdateOptions")
    let raw = try decodeBody(resource, request, context.options, context.warnings)
    if resource.cache?.object(resource.key(context.namespace, context.name)) == nil {
      var sent = try object(resource, raw) { try resetStatus(resource, &$0) }
      try checkName(context, &sent)
      guard resource.traits.createOnUpdate, context.subresource.isEmpty,
        sent.metadata.uid.isEmpty || sent.metadata.resourceVersion.isEmpty
      else { throw context.notFound() }
      let stored = try await create(context, sent)
      return try answer(201, resource, stored, request, warnings: context.warnings.all)
    }
    let stored = try await update(context, source: .replace) { old in try self.sent(raw, context, old) }
    return try answer(200, resource, stored, request, warnings: context.warnings.all)
  }

  func checkName(_ context: WriteContext, _ object: inout LiveObject) throws {
    if object.metadata.name.isEmpty {
      object.metadata.name = context.name
    } else if object.metadata.name != context.name {
      throw StatusError.badRequest(
        "the name of the object (\(object.metadata.name)) does not match the name on the URL (\(context.name))")
    }
    if context.resource.info.namespaced, !object.metadata.namespace.isEmpty,
      object.metadata.namespace != context.namespace
    {
      throw StatusError.badRequest(
        "the namespace of the object (\(object.metadata.namespace)) does not match the namespace on the URL "
          + "(\(context.namespace))")
    }
  }

  /// Brings an object from its present state to what `change` makes of it.
  func update(
    _ context: WriteContext, source: UpdateSource, apply: Bool = false,
    change: (CachedObject) throws -> LiveObject
  ) async throws -> CachedObject {
    let resource = context.resource
    let key = resource.key(context.namespace, context.name)
    var conflicts = 0
    while true {
      guard let present = resource.cache?.object(key) else { throw context.notFound() }
      try await resource.prepare([present])
      let old = try resource.live(present)
      let sent = try change(old)
      let version = sent.metadata.resourceVersion
      if !version.isEmpty, version != "0" {
        guard UInt64(version) != nil else {
          throw context.invalid(
            context.name, [.invalid("metadata.resourceVersion", version, "must be an unsigned integer")])
        }
        if version != String(old.revision) {
          throw StatusError.staleUpdate(resource.groupResource, context.name)
        }
      } else if source == .replace, !resource.traits.unconditionalUpdate {
        throw context.invalid(
          context.name,
          [
            FieldError(
              type: .invalid, field: "metadata.resourceVersion", badValue: "0x0",
              detail: "must be specified for an update")
          ])
      }
      let outcome = try await updateOnce(context, old, sent, apply: apply)
      if let outcome { return outcome }
      if source == .replace, !version.isEmpty, version != "0" {
        throw StatusError.staleUpdate(resource.groupResource, context.name)
      }
      conflicts += 1
      if conflicts > 100 { throw StatusError.staleUpdate(resource.groupResource, context.name) }
      try await awaitChange(of: old, resource)
    }
  }

  /// One attempt; nil when the object changed meanwhile.
  private func updateOnce(_ context: WriteContext, _ old: CachedObject, _ sent: LiveObject, apply: Bool)
    async throws -> CachedObject?
  {
    let resource = context.resource
    let before = try LiveObject(resource, cached: old)
    var object = sent
    var metadata = object.metadata
    try checkNamespace(context, &metadata)
    if metadata.uid.isEmpty {
      metadata.uid = before.metadata.uid
    } else if metadata.uid != before.metadata.uid {
      throw StatusError.conflict(
        resource.groupResource, context.name,
        "Precondition failed: UID in precondition: \(metadata.uid), UID in object meta: \(before.metadata.uid)")
    }
    carryMetadata(from: before.metadata, to: &metadata)
    object.metadata = metadata
    prepareForUpdate(&object, before, context)
    object = defaulted(object)

    var admitted = AdmissionRequest(context, operation: .update, old: before)
    try admission.mutate(&object, &admitted, self)
    if dynamicAdmission.mayMutate, context.subresource != "binding" {
      try await dynamicAdmission.mutate(&object, admitted, self) { object in
        object = self.defaulted(object)
        try self.admission.mutate(&object, &admitted, self)
      }
      object = defaulted(object)
    }
    var claims = ServiceClaims()
    do {
      try await allocateForUpdate(&object, before, context, &claims)
      let stored = try await commitChange(object, before, context, old, admitted, apply: apply)
      let written = stored != nil && !context.options.dryRun
      admitted.finish(committed: written)
      await settle(claims, stored == nil ? .refused : .written)
      if written { await release(before, now: removesItself(object, context) ? nil : object) }
      if let stored { try? await resource.prepare([stored]) }
      return stored
    } catch {
      admitted.finish(committed: false)
      await settle(claims, .init(of: error))
      throw error
    }
  }

  private func commitChange(
    _ changed: LiveObject, _ before: LiveObject, _ context: WriteContext, _ old: CachedObject,
    _ admitted: AdmissionRequest, apply: Bool
  ) async throws -> CachedObject? {
    var object = changed
    let unchanged = object.isSame(as: before)
    if unchanged, !removesItself(object, context), isStoredAsWanted(old, context) {
      if context.subresource != "binding" { try await dynamicAdmission.validate(object, admitted, self) }
      return try await confirmed(old, context)
    }
    var bytes = object.stored()
    if bumpGeneration(&object, bytes, before, context, old) { bytes = object.stored() }
    try validateChanged(object, before, context)
    try await access.settled { try admission.validate(object, admitted, self) }
    if context.subresource != "binding" { try await dynamicAdmission.validate(object, admitted, self) }
    try await ResourceQuotaAdmission(registry: self).admit(object, admitted)
    // A binding is the scheduler's word, not a field it manages.
    if !apply, context.subresource != "binding" { bytes = try tracked(bytes, old: old.bytes, context) }
    return try await commit(object, bytes, context, old)
  }

  /// What a writer cannot change.
  private func carryMetadata(from old: ObjectMeta, to metadata: inout ObjectMeta) {
    metadata.generation = old.generation
    metadata.selfLink = ""
    if metadata.creationTimestamp.isZero { metadata.creationTimestamp = old.creationTimestamp }
    if metadata.deletionTimestamp == nil { metadata.deletionTimestamp = old.deletionTimestamp }
    if metadata.deletionGracePeriodSeconds == nil {
      metadata.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds
    }
    if metadata.generateName.isEmpty { metadata.generateName = old.generateName }
    if metadata.managedFields.isEmpty { metadata.managedFields = old.managedFields }
  }

  /// What a client sent, with what its path does not write taken from the present state: status for the object
  /// itself, all but status and metadata for its status.
  func sent(_ raw: RawObject, _ context: WriteContext, _ old: CachedObject) throws -> LiveObject {
    let resource = context.resource
    var object = try object(resource, raw) { raw in
      if context.subresource == "status" {
        var merged = try RawObject(old.bytes)
        merged["status"] = raw["status"]
        merged["metadata"] = raw["metadata"]
        raw = merged
      } else if resource.has(subresource: "status"), context.subresource != "approval" {
        // Approval is a condition of the status.
        raw["status"] = topLevelFields(old.bytes)["status"].map { old.bytes[$0] }
      }
    }
    try checkName(context, &object)
    guard context.subresource == "status" else { return object }
    if resource.custom != nil {
      // Of the metadata only who manages what is taken from what was sent.
      var metadata = try LiveObject(resource, cached: old).metadata
      metadata.managedFields = object.metadata.managedFields
      metadata.resourceVersion = object.metadata.resourceVersion
      if !object.metadata.uid.isEmpty { metadata.uid = object.metadata.uid }
      object.metadata = metadata
      return object
    }
    let before = try LiveObject(resource, bytes: old.bytes).metadata
    switch resource.traits.statusMetadata {
    case .allButLabels: object.metadata.labels = before.labels
    case .kept:
      object.metadata.labels = before.labels
      object.metadata.annotations = before.annotations
      object.metadata.finalizers = before.finalizers
      object.metadata.ownerReferences = before.ownerReferences
      object.metadata.deletionTimestamp = before.deletionTimestamp
    case .sent where resource.info.resource == "pods":
      object.metadata.ownerReferences = before.ownerReferences
      object.metadata.deletionTimestamp = before.deletionTimestamp
    case .sent: break
    }
    return object
  }

  /// Counts a change of what the generation counts; whether it did.
  private func bumpGeneration(
    _ object: inout LiveObject, _ bytes: [UInt8], _ before: LiveObject, _ context: WriteContext, _ old: CachedObject
  ) -> Bool {
    if context.subresource == "status" || context.subresource == "binding" { return false }
    let changed: Bool
    switch context.resource.traits.generation {
    case .none, .one: return false
    case .spec: changed = !sameField(bytes, old.bytes, "spec")
    case .specAndAnnotations:
      changed =
        !sameField(bytes, old.bytes, "spec") || object.metadata.annotations != before.metadata.annotations
    case .content: changed = !sameContent(bytes, old.bytes)
    case .everything: changed = !sameContent(bytes, old.bytes) || !sameField(bytes, old.bytes, "status")
    }
    if changed { object.metadata.generation += 1 }
    return changed
  }

  private func validateChanged(_ object: LiveObject, _ before: LiveObject, _ context: WriteContext) throws {
    var errors: [FieldError] = []
    let (new, old) = (object.metadata, before.metadata)
    if old.deletionTimestamp != nil {
      let added = new.finalizers.filter { !old.finalizers.contains($0) }
      if !added.isEmpty {
        let shown = added.map { "\"\($0)\"" }.joined(separator: ", ")
        errors.append(
          .forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{\(shown)}"))
      }
    }
    var found: [FieldError] = []
    if context.subresource.isEmpty, let definition = object.as(CustomResourceDefinition.self) {
      errors += definition.versionErrors(old: before.as(CustomResourceDefinition.self))
    }
    if context.subresource.isEmpty, case .typed(let new) = object, case .typed(let old) = before {
      errors += ExpressionChecks.errors(new, old: old)
      errors += CertificateChecks.errors(new, old: old)
      errors += DeviceExpressions.errors(new, old: old)
    }
    switch (context.subresource, object, before) {
    case ("", .typed(let newTyped), .typed(let oldTyped)), ("scale", .typed(let newTyped), .typed(let oldTyped)):
      found = validateUpdate(newTyped, old: oldTyped, subresource: context.subresource)
    case ("status", .typed(let newTyped), .typed(let oldTyped)),
      ("approval", .typed(let newTyped), .typed(let oldTyped)),
      ("ephemeralcontainers", .typed(let newTyped), .typed(let oldTyped)),
      ("resize", .typed(let newTyped), .typed(let oldTyped)):
      found = validateUpdate(newTyped, old: oldTyped, subresource: context.subresource)
    case (_, .dynamic(let new), .dynamic(let old)) where context.resource.custom != nil:
      found = customErrors(new, old: old, context)
    case (_, .dynamic(let new), .dynamic(let old)):
      found = validateUpdate(untyped: new, old: old, subresource: context.subresource)
      found += CertificateChecks.errors(new, old: old)
    default:
      // What else these paths write is checked where they are served.
      found = validateObjectMetaUpdate(new, old: old)
    }
    for error in found where !errors.contains(error) { errors.append(error) }
    if !errors.isEmpty { throw context.invalid(context.name, errors) }
    if context.subresource.isEmpty, case .typed(let typed) = object, case .typed(let typedBefore) = before {
      for text in warnings(for: typed, old: typedBefore) { context.warnings.add(text) }
    }
  }

  /// Writes the new state, unless nothing changed; removes the object if this update let go of it.
  private func commit(_ object: LiveObject, _ bytes: [UInt8], _ context: WriteContext, _ old: CachedObject)
    async throws -> CachedObject?
  {
    let resource = context.resource
    if !context.options.dryRun, !removesItself(object, context), bytes == old.bytes, isStoredAsWanted(old, context) {
      return try await confirmed(old, context)
    }
    let bytes = try await resource.sealed(bytes)
    if context.options.dryRun { return cached(context, object.metadata, bytes, old.revision) }
    if removesItself(object, context) {
      switch try await storage.delete(storageKey(resource, old.key), if: .revision(old.revision)) {
      case .committed: return cached(context, object.metadata, bytes, old.revision)
      case .conflict: return nil
      }
    }
    let ttl = resource.traits.secondsToLive.map { _ in configuration.eventSecondsToLive }
    switch try await storage.put(storageKey(resource, old.key), bytes, if: .revision(old.revision), ttl: ttl) {
    case .committed(let value, _): return cached(context, object.metadata, bytes, value.modRevision)
    case .conflict: return nil
    }
  }

  /// Whether an object lies in the store as it would be stored today; a custom one may lie there in another version.
  private func isStoredAsWanted(_ old: CachedObject, _ context: WriteContext) -> Bool {
    if storage.isStale(storageKey(context.resource, old.key)) { return false }
    guard let custom = context.resource.custom else { return true }
    return context.resource.cache?.object(old.key).map { custom.isStoredAsWanted($0.bytes) } ?? true
  }

  /// The answer to a change that changes nothing; nil when it was compared with a state that is over.
  private func confirmed(_ old: CachedObject, _ context: WriteContext) async throws -> CachedObject? {
    try await isCurrent(old, context.resource) ? old : nil
  }

  /// Whether an object that is being deleted has no finalizer and no grace left.
  func removesItself(_ object: LiveObject, _ context: WriteContext) -> Bool {
    let metadata = object.metadata
    guard metadata.deletionTimestamp != nil, metadata.finalizers.isEmpty,
      (metadata.deletionGracePeriodSeconds ?? 0) == 0
    else { return false }
    if let namespace = object.as(Namespace.self), !namespace.spec.finalizers.isEmpty { return false }
    return true
  }
}
