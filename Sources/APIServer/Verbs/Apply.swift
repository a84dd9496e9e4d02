import API
import APIMachinery
import APIMeta
import HTTP

extension Registry {
  /// Server-side apply: creates the object or merges the configuration into it.
  func apply(_ context: WriteContext, _ request: ResourceRequest) async throws -> HTTPResponse {
    let resource = context.resource
    let config = try applyConfiguration(context, request)
    guard let schema = resource.schema else {
      throw StatusError.unsupportedMediaType(accepted: PatchType.allCases.dropLast().map(\.rawValue))
    }
    let manager = fieldManager(context, schema: schema, apiVersion: resource.apiVersion)
    let force = context.options.force ?? false
    let key = resource.key(context.namespace, context.name)
    while true {
      if resource.cache?.object(key) == nil {
        guard context.subresource.isEmpty else { throw context.notFound() }
        if let uid = config["metadata"]?["uid"]?.stringValue, !uid.isEmpty {
          throw StatusError.conflict(
            resource.groupResource, context.name,
            "uid mismatch: the provided object specified uid \(uid), and no existing object was found")
        }
        let result = try manager.apply(
          live: nil, config: config, manager: context.options.fieldManager, force: force, now: now())
        var object = try object(resource, try RawObject(result.encoded())) { try resetStatus(resource, &$0) }
        object.metadata.resourceVersion = ""
        try checkName(context, &object)
        do {
          let stored = try await create(context, object, apply: true)
          return try answer(201, resource, stored, request, warnings: context.warnings.all)
        } catch let error as StatusError where error.isAlreadyExists { continue }
      }
      let wanted = config["metadata"]?["resourceVersion"]?.stringValue ?? ""
      let stored = try await update(context, source: .patch, apply: true) { old in
        var live = try self.servedTree(resource, old)
        var metadata = live["metadata"]?.objectValue ?? [:]
        metadata["resourceVersion"] = nil
        live["metadata"] = .object(metadata)
        let result = try manager.apply(
          live: live, config: config, manager: context.options.fieldManager, force: force, now: self.now())
        var object = try self.sent(try RawObject(result.encoded()), context, old)
        if !context.subresource.isEmpty {
          let fields = object.metadata.managedFields
          object = try self.restricted(object, to: context, old)
          object.metadata.managedFields = fields
        }
        object.metadata.resourceVersion = wanted
        return object
      }
      return try answer(200, resource, stored, request, warnings: context.warnings.all)
    }
  }

  /// The configuration in the body, checked as far as its type and name go.
  private func applyConfiguration(_ context: WriteContext, _ request: ResourceRequest) throws -> JSONValue {
    let resource = context.resource
    let tree: JSONValue
    do { tree = try JSONValue(parsing: yamlToJSON(request.body)) } catch {
      throw StatusError.badRequest("error decoding YAML: \(error)")
    }
    guard tree.objectValue != nil else {
      throw StatusError.badRequest("error decoding YAML: expected an object")
    }
    let apiVersion = tree["apiVersion"]?.stringValue ?? ""
    let kind = tree["kind"]?.stringValue ?? ""
    if kind != resource.info.kind || apiVersion != resource.apiVersion {
      throw StatusError.badRequest(
        "invalid object type: \(apiVersion), Kind=\(kind), expected \(resource.apiVersion), Kind=\(resource.info.kind)")
    }
    let name = tree["metadata"]?["name"]?.stringValue ?? ""
    if name != context.name {
      throw StatusError.badRequest(
        "the name of the object (\(name)) does not match the name on the URL (\(context.name))")
    }
    if context.options.fieldValidation != .ignore, let schema = resource.schema {
      let errors = strictErrors(try yamlToJSON(request.body), schema)
      if context.options.fieldValidation == .strict, !errors.isEmpty {
        throw context.invalid(
          "", [.invalid("patch", String(decoding: request.body, as: UTF8.self), strictDecodingMessage(errors))])
      }
      for error in errors { context.warnings.add(error) }
    }
    return tree
  }
}
