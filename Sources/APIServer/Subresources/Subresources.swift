import API
import APIMachinery
import HTTP

extension Registry {
  /// Routes a request for a subresource that the registry itself serves.
  func subresource(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let info = request.info
    guard let described = resource.info.subresource(info.subresource) else { throw StatusError.pathNotFound }
    guard described.verbs.contains(info.verb) else {
      throw StatusError.methodNotSupported(
        GroupResource(group: info.apiGroup, resource: "\(info.resource)/\(info.subresource)"), info.verb)
    }
    switch info.subresource {
    case "scale": return try await scale(resource, request)
    case "binding": return try await bind(resource, request)
    case "eviction": return try await evict(resource, request)
    case "token": return try await token(resource, request)
    case "status", "approval", "finalize", "ephemeralcontainers", "resize":
      return try await part(resource, request)
    default:
      // Streams and proxies belong to whoever registered for them.
      throw StatusError.serviceUnavailable("\(info.subresource) is not available on this server")
    }
  }

  /// Subresources that show the whole object and write a part of it.
  private func part(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    switch request.info.verb {
    case "get": return try await get(resource, request)
    case "update":
      let context = try WriteContext(resource, request, kind: "UpdateOptions")
      let raw = try decodeBody(resource, request, context.options, context.warnings)
      let stored = try await update(context, source: .replace) { old in
        try self.restricted(self.sent(raw, context, old), to: context, old)
      }
      return try answer(200, resource, stored, request, warnings: context.warnings.all)
    default: return try await patch(resource, request)
    }
  }

  /// The present object with the part that a subresource writes taken from `sent`.
  func restricted(_ sent: LiveObject, to context: WriteContext, _ old: CachedObject) throws -> LiveObject {
    if context.subresource == "status" { return sent }
    var result = try LiveObject(context.resource, cached: old)
    result.metadata.resourceVersion = sent.metadata.resourceVersion
    switch context.subresource {
    case "finalize":
      if let namespace = sent.as(Namespace.self) {
        result.with(Namespace.self) { $0.spec.finalizers = namespace.spec.finalizers }
      }
    case "approval":
      if let approved = sent.as(CertificateSigningRequest.self) {
        result.with(CertificateSigningRequest.self) { request in
          let others = request.status.conditions.filter { $0.type != "Approved" && $0.type != "Denied" }
          request.status.conditions =
            others
            + approved.status.conditions.filter { $0.type == "Approved" || $0.type == "Denied" }
            .map { condition in
              var condition = condition
              if condition.lastUpdateTime.isZero { condition.lastUpdateTime = now() }
              if condition.lastTransitionTime.isZero { condition.lastTransitionTime = now() }
              return condition
            }
        }
        result.metadata.labels = approved.metadata.labels
        result.metadata.annotations = approved.metadata.annotations
      }
    case "ephemeralcontainers":
      if let pod = sent.as(Pod.self), let present = result.as(Pod.self) {
        try checkEphemeral(pod, present, context)
        result.with(Pod.self) { $0.spec.ephemeralContainers = pod.spec.ephemeralContainers }
      }
    case "resize":
      if let pod = sent.as(Pod.self) {
        result.with(Pod.self) { present in
          for container in pod.spec.containers {
            guard let at = present.spec.containers.firstIndex(where: { $0.name == container.name }) else { continue }
            present.spec.containers[at].resources = container.resources
            present.spec.containers[at].resizePolicy = container.resizePolicy
          }
          for container in pod.spec.initContainers {
            guard let at = present.spec.initContainers.firstIndex(where: { $0.name == container.name })
            else { continue }
            present.spec.initContainers[at].resources = container.resources
            present.spec.initContainers[at].resizePolicy = container.resizePolicy
          }
        }
      }
    default: break
    }
    return result
  }

  /// Ephemeral containers can be added, never changed or removed.
  private func checkEphemeral(_ sent: Pod, _ present: Pod, _ context: WriteContext) throws {
    var errors: [FieldError] = []
    for container in present.spec.ephemeralContainers {
      guard let same = sent.spec.ephemeralContainers.first(where: { $0.name == container.name }) else {
        errors.append(
          .forbidden(
            "spec.ephemeralContainers", "existing ephemeral containers \"\(container.name)\" may not be removed\n"))
        continue
      }
      // Defaults have not been applied to what was sent, so only what it names is compared.
      if same.image != container.image || same.command != container.command || same.args != container.args {
        errors.append(
          .forbidden(
            "spec.ephemeralContainers", "existing ephemeral containers \"\(container.name)\" may not be changed\n"))
      }
    }
    if !errors.isEmpty { throw context.invalid(context.name, errors) }
  }
}
