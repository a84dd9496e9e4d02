import API
import APIMachinery

extension MemoryStore {
  mutating func delete(_ resource: Resource, _ key: ObjectKey, _ options: DeleteOptions) throws -> JSONValue {
    guard var object = objects[resource.groupResource]?[key] else {
      throw StatusError.notFound(resource.groupResource, key.name)
    }
    let old = object
    var metadata = object["metadata"] ?? .object([:])
    try check(options, metadata, resource, key)

    var finalizers = (metadata["finalizers"]?.arrayValue ?? []).compactMap(\.stringValue)
    switch options.propagationPolicy {
    case "Foreground": add("foregroundDeletion", to: &finalizers)
    case "Orphan": add("orphan", to: &finalizers)
    default: break
    }
    metadata["finalizers"] = finalizers.isEmpty ? nil : .array(finalizers.map(JSONValue.string))

    let grace = resource.info.kind == "Pod" ? podGrace(object, options) : 0
    let isNamespace = resource.info.kind == "Namespace"
    if metadata["deletionTimestamp"]?.stringValue == nil {
      metadata["deletionTimestamp"] = .string(now().adding(seconds: grace).description)
      metadata["deletionGracePeriodSeconds"] = .int(grace)
      if let generation = metadata["generation"]?.intValue { metadata["generation"] = .int(generation + 1) }
    } else if grace < metadata["deletionGracePeriodSeconds"]?.intValue ?? 0 {
      metadata["deletionTimestamp"] = .string(now().adding(seconds: grace).description)
      metadata["deletionGracePeriodSeconds"] = .int(grace)
    }
    object["metadata"] = metadata
    let held = !finalizers.isEmpty || grace > 0 || (isNamespace && !(namespaceFinalizers(object).isEmpty))
    if held {
      if isNamespace {
        var status = object["status"] ?? .object([:])
        status["phase"] = .string("Terminating")
        object["status"] = status
      }
      if object == old { return object }
      return commit(resource, key, old: old, new: object) ?? object
    }
    commit(resource, key, old: old, new: nil, last: object)
    return object
  }

  mutating func deleteCollection(_ resource: Resource, _ route: MemoryRoute) throws -> JSONValue {
    let selection = try route.selection()
    let chosen = (objects[resource.groupResource] ?? [:]).filter { selection.matches($0.value) }
    for key in chosen.keys.sorted() { _ = try delete(resource, key, try route.deleteOptions()) }
    return .object(["kind": .string("Status"), "apiVersion": .string("v1"), "status": .string("Success")])
  }

  private func check(
    _ options: DeleteOptions, _ metadata: JSONValue, _ resource: Resource, _ key: ObjectKey
  ) throws {
    if let uid = options.preconditions?.uid, uid != metadata["uid"]?.stringValue {
      throw StatusError.conflict(
        resource.groupResource, key.name,
        "Precondition failed: UID in precondition: \(uid), UID in object meta: "
          + (metadata["uid"]?.stringValue ?? ""))
    }
    if let version = options.preconditions?.resourceVersion, version != metadata["resourceVersion"]?.stringValue {
      throw StatusError.conflict(
        resource.groupResource, key.name,
        "Precondition failed: ResourceVersion in precondition: \(version), ResourceVersion in object meta: "
          + (metadata["resourceVersion"]?.stringValue ?? ""))
    }
  }

  private func podGrace(_ pod: JSONValue, _ options: DeleteOptions) -> Int64 {
    let phase = pod["status"]?["phase"]?.stringValue
    if (pod["spec"]?["nodeName"]?.stringValue ?? "").isEmpty || phase == "Succeeded" || phase == "Failed" { return 0 }
    return options.gracePeriodSeconds ?? pod["spec"]?["terminationGracePeriodSeconds"]?.intValue ?? 30
  }

  private func namespaceFinalizers(_ object: JSONValue) -> [JSONValue] {
    object["spec"]?["finalizers"]?.arrayValue ?? []
  }

  private func add(_ finalizer: String, to finalizers: inout [String]) {
    if !finalizers.contains(finalizer) { finalizers.append(finalizer) }
  }
}
