import API
import APIMachinery
import HTTP

extension Registry {
  /// The number of replicas of anything that has them.
  func scale(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let info = request.info
    switch info.verb {
    case "get":
      let cached = try existing(resource, info.namespace, info.name)
      try await resource.prepare([cached])
      return try scaleAnswer(LiveObject(resource, cached: cached), resource, request)
    case "update":
      let context = try WriteContext(resource, request, kind: "UpdateOptions")
      let raw = try decodeBody(
        resource, request, context.options, context.warnings, kind: Scale.gvk,
        schema: builtInSchema.schema(for: Scale.gvk))
      let sent = try decodeScale(raw.encoded())
      return try await write(context, request, source: .replace) { _ in sent }
    default:
      let type = try PatchType.of(request)
      let context = try WriteContext(resource, request, kind: "PatchOptions")
      try checkPatchOptions(type, request)
      let patch = type == .apply ? try yamlTree(request) : try parsePatch(type, request)
      return try await write(context, request, source: .patch) { old in
        let present = try self.scaleOf(LiveObject(resource, cached: old), resource)
        let tree = try JSONValue(parsing: present.encodedWithType())
        let result =
          type == .apply
          ? applyMergePatch(tree, patch)
          : try self.patchedTree(tree, type, patch, schema: builtInSchema.schema(for: Scale.gvk))
        var scale = try self.decodeScale(try RawObject(result.encoded()).encoded())
        if scale.metadata.resourceVersion == String(old.revision) { scale.metadata.resourceVersion = "" }
        return scale
      }
    }
  }

  private func yamlTree(_ request: ResourceRequest) throws -> JSONValue {
    do { return try JSONValue(parsing: yamlToJSON(request.body)) } catch {
      throw StatusError.badRequest("error decoding YAML: \(error)")
    }
  }

  private func decodeScale(_ bytes: [UInt8]) throws -> Scale {
    do { return try Scale.decode(bytes) } catch {
      throw cannotHandle(Scale.gvk, message(error))
    }
  }

  private func write(
    _ context: WriteContext, _ request: ResourceRequest, source: UpdateSource, wanted: (CachedObject) throws -> Scale
  ) async throws -> HTTPResponse {
    let resource = context.resource
    let stored = try await update(context, source: source) { old in
      let scale = try wanted(old)
      if !scale.metadata.name.isEmpty, scale.metadata.name != context.name {
        throw StatusError.badRequest(
          "the name of the object (\(scale.metadata.name)) does not match the name on the URL (\(context.name))")
      }
      if scale.spec.replicas < 0 {
        throw StatusError.invalid(
          Scale.gvk.groupKind, context.name,
          [.invalid("spec.replicas", scale.spec.replicas, "must be greater than or equal to 0")])
      }
      var object = try LiveObject(resource, cached: old)
      if !scale.metadata.uid.isEmpty { object.metadata.uid = scale.metadata.uid }
      object.metadata.resourceVersion = scale.metadata.resourceVersion
      setReplicas(&object, scale.spec.replicas, resource)
      return object
    }
    try await resource.prepare([stored])
    return try scaleAnswer(
      LiveObject(resource, cached: stored), resource, request, warnings: context.warnings.all)
  }

  func setReplicas(_ object: inout LiveObject, _ replicas: Int32, _ resource: ServedResource) {
    if case .dynamic(var dynamic) = object, let scale = resource.custom?.scale {
      CustomScale.set(scale.specReplicasPath, to: .int(Int64(replicas)), in: &dynamic.content)
      object = .dynamic(dynamic)
    }
    object.with(Deployment.self) { $0.spec.replicas = replicas }
    object.with(ReplicaSet.self) { $0.spec.replicas = replicas }
    object.with(StatefulSet.self) { $0.spec.replicas = replicas }
    object.with(ReplicationController.self) { $0.spec.replicas = replicas }
  }

  func scaleOf(_ object: LiveObject, _ resource: ServedResource) throws -> Scale {
    var scale = Scale()
    let metadata = object.metadata
    scale.metadata.name = metadata.name
    scale.metadata.namespace = metadata.namespace
    scale.metadata.uid = metadata.uid
    scale.metadata.resourceVersion = metadata.resourceVersion
    scale.metadata.creationTimestamp = metadata.creationTimestamp
    if case .dynamic(let dynamic) = object, let paths = resource.custom?.scale {
      guard let replicas = CustomScale.value(at: paths.specReplicasPath, in: dynamic.content)?.intValue else {
        throw StatusError.internalError("the spec replicas field \(goQuoted(paths.specReplicasPath)) does not exist")
      }
      scale.spec.replicas = Int32(clamping: replicas)
      let present = CustomScale.value(at: paths.statusReplicasPath, in: dynamic.content)?.intValue ?? 0
      scale.status.replicas = Int32(clamping: present)
      scale.status.selector =
        paths.labelSelectorPath.flatMap { CustomScale.value(at: $0, in: dynamic.content)?.stringValue } ?? ""
    } else if let deployment = object.as(Deployment.self) {
      scale.spec.replicas = deployment.spec.replicas ?? 1
      scale.status.replicas = deployment.status.replicas
      scale.status.selector = deployment.spec.selector.map(selectorText) ?? ""
    } else if let set = object.as(ReplicaSet.self) {
      scale.spec.replicas = set.spec.replicas ?? 1
      scale.status.replicas = set.status.replicas
      scale.status.selector = set.spec.selector.map(selectorText) ?? ""
    } else if let set = object.as(StatefulSet.self) {
      scale.spec.replicas = set.spec.replicas ?? 1
      scale.status.replicas = set.status.replicas
      scale.status.selector = set.spec.selector.map(selectorText) ?? ""
    } else if let controller = object.as(ReplicationController.self) {
      scale.spec.replicas = controller.spec.replicas ?? 1
      scale.status.replicas = controller.status.replicas
      scale.status.selector = controller.spec.selector.sorted { $0.key < $1.key }
        .map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }
    return scale
  }

  private func scaleAnswer(
    _ object: LiveObject, _ resource: ServedResource, _ request: ResourceRequest, warnings: [String] = []
  ) throws -> HTTPResponse {
    jsonResponse(200, try scaleOf(object, resource).encodedWithType(), warnings: warnings)
  }
}
