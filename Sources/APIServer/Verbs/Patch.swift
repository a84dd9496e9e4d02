import API
import APIMachinery
import APIMeta
import HTTP

/// The patch formats.
enum PatchType: String, Sendable, CaseIterable {
  case json = "application/json-patch+json"
  case merge = "application/merge-patch+json"
  case strategic = "application/strategic-merge-patch+json"
  case apply = "application/apply-patch+yaml"

  static func of(_ request: ResourceRequest) throws -> PatchType {
    guard let type = PatchType(rawValue: request.contentType) else {
      throw StatusError.unsupportedMediaType(accepted: allCases.map(\.rawValue))
    }
    return type
  }
}

extension Registry {
  func patch(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let type = try PatchType.of(request)
    if type == .strategic, resource.custom != nil {
      // A custom kind has no strategy to merge by.
      let others: [PatchType] = [.json, .merge, .apply]
      throw StatusError.unsupportedMediaType(accepted: others.map(\.rawValue))
    }
    let context = try WriteContext(resource, request, kind: "PatchOptions")
    try checkPatchOptions(type, request)
    if type == .apply { return try await apply(context, request) }
    let patch = try parsePatch(type, request)
    let stored = try await update(context, source: .patch) { old in
      try self.patched(context, old, type, patch)
    }
    return try answer(200, resource, stored, request, warnings: context.warnings.all)
  }

  func checkPatchOptions(_ type: PatchType, _ request: ResourceRequest) throws {
    var errors: [FieldError] = []
    if type == .apply {
      if (request.parameter("fieldManager") ?? "").isEmpty {
        errors.append(.required("fieldManager", "is required for apply patch"))
      }
    } else if request.parameter("force") != nil {
      errors.append(.forbidden("force", "may not be specified for non-apply patch"))
    }
    if !errors.isEmpty { throw StatusError.invalid(group: "meta.k8s.io", kind: "PatchOptions", name: "", errors) }
  }

  func parsePatch(_ type: PatchType, _ request: ResourceRequest) throws -> JSONValue {
    do {
      let patch = try JSONValue(parsing: request.body)
      let kind = goKind(patch)
      if type == .json, patch.arrayValue == nil {
        throw StatusError.badRequest(
          "error decoding patch: json: cannot unmarshal \(kind) into Go value of type []handlers.jsonPatchOp")
      }
      if type != .json, patch.objectValue == nil {
        throw StatusError.badRequest(
          (type == .merge ? "error decoding patch: " : "")
            + "json: cannot unmarshal \(kind) into Go value of type map[string]interface {}")
      }
      return patch
    } catch let error as JSONError {
      throw StatusError.badRequest("error decoding patch: \(error.message)")
    }
  }

  /// What Go's decoder calls a value.
  private func goKind(_ value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool: "bool"
    case .int, .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// A document after a patch.
  func patchedTree(_ tree: JSONValue, _ type: PatchType, _ patch: JSONValue, schema: Schema?) throws -> JSONValue {
    switch type {
    case .json:
      do { return try applyJSONPatch(tree, patch) } catch { throw error.status }
    case .merge: return applyMergePatch(tree, patch)
    case .strategic:
      guard let schema else { return applyMergePatch(tree, patch) }
      do { return try applyStrategicMergePatch(tree, patch, schema) } catch { throw error.status }
    case .apply: return tree
    }
  }

  /// The object's tree as clients see it: with type and version.
  func servedTree(_ resource: ServedResource, _ old: CachedObject) throws -> JSONValue {
    var tree = try resource.tree(old)
    tree["apiVersion"] = .string(resource.apiVersion)
    tree["kind"] = .string(resource.info.kind)
    var metadata = tree["metadata"]?.objectValue ?? [:]
    metadata["resourceVersion"] = .string(String(old.revision))
    tree["metadata"] = .object(metadata)
    return tree
  }

  private func patched(_ context: WriteContext, _ old: CachedObject, _ type: PatchType, _ patch: JSONValue) throws
    -> LiveObject
  {
    let resource = context.resource
    let tree = try servedTree(resource, old)
    let result = try patchedTree(tree, type, patch, schema: resource.schema)
    let bytes = result.encoded()
    let text = String(decoding: context.request.body, as: UTF8.self)
    if context.options.fieldValidation != .ignore, let schema = resource.schema {
      let errors = strictErrors(bytes, schema)
      if context.options.fieldValidation == .strict, !errors.isEmpty {
        throw context.invalid(
          "", [.invalid("patch", text, strictDecodingMessage(errors))])
      }
      for error in errors { context.warnings.add(error) }
    }
    var object: LiveObject
    do { object = try sent(try RawObject(bytes), context, old) } catch let error as StatusError
      where error.message.contains("cannot be handled as a")
    {
      throw context.invalid("", [.invalid("patch", text, error.message)])
    }
    if !context.subresource.isEmpty { object = try restricted(object, to: context, old) }
    // The version came from the present state unless the patch names one: then it is a precondition.
    if type == .json || patch["metadata"]?["resourceVersion"] == nil {
      if object.metadata.resourceVersion == String(old.revision) { object.metadata.resourceVersion = "" }
    }
    return object
  }
}
