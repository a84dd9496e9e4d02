import API
import APIMachinery
import APIMeta
import HTTP
import Storage
import Validation

extension Registry {
  func create(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let context = try WriteContext(resource, request, kind: "CreateOptions")
    if resource.custom?.isTerminating == true {
      var refusal = StatusError.methodNotSupported(resource.groupResource, "create")
      refusal.message = "create not allowed while custom resource definition is terminating"
      throw refusal
    }
    let raw = try decodeBody(resource, request, context.options, context.warnings)
    let object = try object(resource, raw) { try resetStatus(resource, &$0) }
    if !request.info.name.isEmpty, object.metadata.name != request.info.name {
      throw StatusError.methodNotSupported(resource.groupResource, "create")
    }
    let stored = try await create(context, object)
    return try answer(201, resource, stored, request, warnings: context.warnings.all)
  }

  /// Creates an object, with a new generated name for each attempt that meets a taken one.
  func create(_ context: WriteContext, _ object: LiveObject, apply: Bool = false) async throws -> CachedObject {
    let base = object.metadata.generateName
    guard object.metadata.name.isEmpty, !base.isEmpty else {
      return try await createOnce(context, object, apply: apply)
    }
    var attempts = 0
    while true {
      var named = object
      named.metadata.name = String(base.prefix(58)) + Identifiers.suffix()
      do { return try await createOnce(context, named, apply: apply) } catch let error as StatusError
        where error.isAlreadyExists
      {
        attempts += 1
        if attempts >= 8 {
          var last = error
          last.message = "\(error.message), the server was not able to generate a unique name for the object"
          throw last
        }
      }
    }
  }

  private func createOnce(_ context: WriteContext, _ sent: LiveObject, apply: Bool) async throws -> CachedObject {
    let resource = context.resource
    var object = sent
    var metadata = object.metadata
    try checkNamespace(context, &metadata)
    if !metadata.resourceVersion.isEmpty, metadata.resourceVersion != "0" {
      throw StatusError.badRequest("resourceVersion should not be set on objects to be created")
    }
    metadata.resourceVersion = ""
    metadata.uid = Identifiers.uid()
    metadata.creationTimestamp = now()
    metadata.deletionTimestamp = nil
    metadata.deletionGracePeriodSeconds = nil
    metadata.selfLink = ""
    if case .none = resource.traits.generation {} else { metadata.generation = 1 }
    // What an apply recorded stands; a plain create starts anew.
    let sentFields = apply ? metadata.managedFields : []
    metadata.managedFields = []
    object.metadata = metadata
    prepareForCreate(&object, context)
    object = defaulted(object)

    try await awaitServiceAccount(object, context)
    var admitted = AdmissionRequest(context, operation: .create, old: nil)
    try admission.mutate(&object, &admitted, self)
    try await dynamicAdmission.mutate(&object, admitted, self) { object in
      object = self.defaulted(object)
      try self.admission.mutate(&object, &admitted, self)
    }
    // Only pods get parts from admission that have defaults of their own.
    if object.as(Pod.self) != nil || dynamicAdmission.mayMutate { object = defaulted(object) }
    var claims = ServiceClaims()
    do {
      try await allocateForCreate(&object, context, &claims)
      try validateNew(object, context)
      try await access.settled { try admission.validate(object, admitted, self) }
      try await dynamicAdmission.validate(object, admitted, self)
      try await ResourceQuotaAdmission(registry: self).admit(object, admitted)
      object.metadata.managedFields = sentFields
      let bytes = apply ? object.stored() : try tracked(object.stored(), old: nil, context)
      let stored = try await commitNew(object.metadata, bytes, context)
      admitted.finish(committed: !context.options.dryRun)
      // It is written whether or not it can be shown.
      try? await resource.prepare([stored])
      return stored
    } catch {
      admitted.finish(committed: false)
      await settle(claims, .init(of: error))
      throw error
    }
  }

  /// A pod may come just before the account that its namespace's controller is making: waits a second for it.
  private func awaitServiceAccount(_ object: LiveObject, _ context: WriteContext) async throws {
    guard let pod = object.as(Pod.self), !pod.isMirror, let accounts = resource(ServiceAccount.self) else { return }
    let name = pod.spec.serviceAccountName.isEmpty ? "default" : pod.spec.serviceAccountName
    let key = accounts.key(context.namespace, name)
    guard self.object(Namespace.self, name: context.namespace) != nil else { return }
    for _ in 0..<configuration.serviceAccountRetries where accounts.cache?.object(key) == nil {
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  private func commitNew(_ metadata: ObjectMeta, _ bytes: [UInt8], _ context: WriteContext) async throws
    -> CachedObject
  {
    let resource = context.resource
    let bytes = try await resource.sealed(bytes)
    let key = resource.key(context.namespace, metadata.name)
    if context.options.dryRun {
      if let taken = resource.cache?.object(key) { throw alreadyExists(context, metadata.name, taken) }
      return cached(context, metadata, bytes, 0)
    }
    let ttl = resource.traits.secondsToLive.map { _ in configuration.eventSecondsToLive }
    switch try await storage.put(storageKey(resource, key), bytes, if: .absent, ttl: ttl) {
    case .committed(let value, _): return cached(context, metadata, bytes, value.modRevision)
    case .conflict: throw alreadyExists(context, metadata.name, resource.cache?.object(key))
    }
  }

  private func alreadyExists(_ context: WriteContext, _ name: String, _ taken: CachedObject?) -> StatusError {
    var error = StatusError.alreadyExists(context.resource.groupResource, name)
    if taken?.deleting == true { error.message = "object is being deleted: \(error.message)" }
    return error
  }

  private func validateNew(_ object: LiveObject, _ context: WriteContext) throws {
    var errors: [FieldError] = []
    if object.metadata.name.isEmpty {
      errors.append(.required("metadata.name", "name or generateName is required"))
    }
    if case .dynamic(let dynamic) = object, context.resource.custom != nil {
      errors += customErrors(dynamic, old: nil, context)
    } else if case .typed(let typed) = object {
      for error in validateCreate(typed) where !errors.contains(error) { errors.append(error) }
      if let definition = typed as? CustomResourceDefinition { errors += definition.versionErrors() }
      errors += ExpressionChecks.errors(typed, old: nil)
      errors += CertificateChecks.errors(typed, old: nil)
      errors += DeviceExpressions.errors(typed, old: nil)
    } else if case .dynamic(let dynamic) = object {
      let found = validateCreate(untyped: dynamic, namespaced: context.resource.info.namespaced)
      for error in found where !errors.contains(error) { errors.append(error) }
      errors += CertificateChecks.errors(dynamic, old: nil)
    }
    if !errors.isEmpty { throw context.invalid(object.metadata.name, errors) }
    if case .typed(let typed) = object {
      for text in warnings(for: typed, old: nil) { context.warnings.add(text) }
    }
  }

  /// Status is not the creator's to set, except where upstream lets it be.
  func resetStatus(_ resource: ServedResource, _ raw: inout RawObject) throws {
    guard resource.has(subresource: "status") else { return }
    switch resource.traits.createStatus {
    case .keep: break
    case .clear: raw["status"] = nil
    case .set(let status): raw["status"] = status.encoded()[...]
    }
  }
}
