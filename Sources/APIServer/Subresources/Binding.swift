import API
import APIMachinery
import APIMeta
import HTTP

extension Registry {
  /// Assigns a pod to a node: `pods/binding`, and `bindings` with the pod's name in the body.
  func bind(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    guard let pods = self.resource(Pod.self) else { throw StatusError.pathNotFound }
    let outer = try WriteContext(pods, request, kind: "CreateOptions")
    let raw = try decodeBody(
      resource, request, outer.options, outer.warnings, kind: Binding.gvk,
      schema: builtInSchema.schema(for: Binding.gvk))
    var binding: Binding
    do { binding = try Binding.decode(raw.encoded()) } catch { throw cannotHandle(Binding.gvk, message(error)) }
    var inner = request
    if inner.info.name.isEmpty { inner.info.name = binding.metadata.name }
    let context = try WriteContext(pods, inner, kind: "CreateOptions")
    if !binding.metadata.name.isEmpty, binding.metadata.name != context.name {
      throw StatusError.badRequest("name in URL does not match name in Binding object")
    }
    inner.info.subresource = "binding"
    try await admit(&binding, WriteContext(pods, inner, kind: "CreateOptions"))
    try check(binding, context)
    let target = GroupResource(group: "", resource: "pods/binding")
    _ = try await update(context, source: .patch) { cached in
      var live = try LiveObject(pods, cached: cached)
      live.metadata.resourceVersion = ""
      guard var pod = live.as(Pod.self) else { throw context.notFound() }
      if !binding.metadata.uid.isEmpty, binding.metadata.uid != pod.metadata.uid {
        throw StatusError.conflict(
          target, context.name,
          "Precondition failed: UID in precondition: \(binding.metadata.uid), "
            + "UID in object meta: \(pod.metadata.uid)")
      }
      if pod.metadata.deletionTimestamp != nil {
        throw StatusError.conflict(
          target, context.name, "pod \(context.name) is being deleted, cannot be assigned to a host")
      }
      if !pod.spec.nodeName.isEmpty {
        throw StatusError.conflict(
          target, context.name,
          "pod \(context.name) is already assigned to node \(goQuoted(pod.spec.nodeName))")
      }
      if !pod.spec.schedulingGates.isEmpty {
        throw StatusError.conflict(target, context.name, "pod \(context.name) has non-empty .spec.schedulingGates")
      }
      pod.spec.nodeName = binding.target.name
      for (key, value) in binding.metadata.annotations { pod.metadata.annotations[key] = value }
      if dynamicAdmission.labelsTopology {
        PodTopologyLabels.label(&pod, as: object(Node.self, name: pod.spec.nodeName))
      }
      _ = pod.status.conditions.set(
        PodCondition {
          $0.type = "PodScheduled"
          $0.status = "True"
          $0.observedGeneration = pod.metadata.generation
        }, now: now())
      return .typed(pod)
    }
    return jsonResponse(201, plainSuccess(201))
  }

  private func check(_ binding: Binding, _ context: WriteContext) throws {
    var errors: [FieldError] = []
    if !binding.target.kind.isEmpty, binding.target.kind != "Node" {
      errors.append(.notSupported("target.kind", binding.target.kind, ["Node", "<empty>"]))
    }
    if binding.target.name.isEmpty { errors.append(.required("target.name", "")) }
    if !errors.isEmpty { throw StatusError.invalid(Binding.gvk.groupKind, context.name, errors) }
  }

  /// `Status` with nothing but success.
  func plainSuccess(_ code: Int) -> [UInt8] {
    Array(
      "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"code\":\(code)}".utf8)
  }
}
