import API
import APIMachinery

/// What `MemoryAPI` holds, and the rules by which it changes.
struct MemoryStore: Sendable {
  struct Resource: Sendable {
    var info: ResourceInfo
    var groupResource: GroupResource { GroupResource(group: info.group, resource: info.resource) }
    var apiVersion: String { info.group.isEmpty ? info.version : "\(info.group)/\(info.version)" }
    var hasStatus: Bool { info.subresources.contains { $0.name == "status" } }
  }

  /// Which part of an object a write may change.
  enum Part { case main, status, everything }

  struct Change: Sendable {
    var revision: UInt64
    var resource: GroupResource
    var old: JSONValue?
    var new: JSONValue?
  }

  struct Watcher: Sendable {
    var resource: GroupResource
    var selection: MemorySelection
    var continuation: AsyncThrowingStream<[UInt8], any Error>.Continuation
  }

  var objects: [GroupResource: [ObjectKey: JSONValue]] = [:]
  var revision: UInt64 = 1
  var log: [Change] = []
  var forgottenBefore: UInt64 = 0
  var watchers: [Int: Watcher] = [:]
  var nextWatcher = 0
  var nextUID: UInt64 = 0
  let now: @Sendable () -> Time
  let resources: [ResourceLocation: Resource]

  init(now: @escaping @Sendable () -> Time) {
    self.now = now
    var table: [ResourceLocation: Resource] = [:]
    for info in builtInResources {
      let location = ResourceLocation(
        group: info.group, version: info.version, resource: info.resource, namespaced: info.namespaced)
      table[location] = Resource(info: info)
    }
    resources = table
  }

  func resource(_ location: ResourceLocation) throws -> Resource {
    var location = location
    if let known = resources[location] { return known }
    // A list over all namespaces has no namespace in its path.
    location.namespaced.toggle()
    if let known = resources[location] { return known }
    throw StatusError(code: 404, reason: "NotFound", message: "the server could not find the requested resource")
  }

  // MARK: Reading

  func get(_ resource: Resource, _ route: MemoryRoute, _ name: String) throws -> JSONValue {
    guard let object = objects[resource.groupResource]?[route.key(name)] else {
      throw StatusError.notFound(resource.groupResource, name)
    }
    return route.subresource == "scale" ? scale(of: object) : object
  }

  func list(_ resource: Resource, _ route: MemoryRoute) throws -> JSONValue {
    let selection = try route.selection()
    let all = (objects[resource.groupResource] ?? [:]).sorted { $0.key < $1.key }
    return .object([
      "kind": .string(resource.info.kind + "List"), "apiVersion": .string(resource.apiVersion),
      "metadata": .object(["resourceVersion": .string(String(revision))]),
      "items": .array(all.map(\.value).filter(selection.matches)),
    ])
  }

  // MARK: Writing

  mutating func create(
    _ resource: Resource, namespace: String, _ object: JSONValue, keepStatus: Bool
  ) throws -> JSONValue {
    var object = object
    var metadata = object["metadata"] ?? .object([:])
    var name = metadata["name"]?.stringValue ?? ""
    nextUID += 1
    if name.isEmpty, let prefix = metadata["generateName"]?.stringValue, !prefix.isEmpty {
      name = prefix + suffix(nextUID)
      metadata["name"] = .string(name)
    }
    if name.isEmpty, resource.info.verbs.contains("get") {
      throw StatusError(
        code: 422, reason: "Invalid",
        message: "\(resource.info.kind) \"\" is invalid: metadata.name: Required value: "
          + "name or generateName is required")
    }
    let key = ObjectKey(namespace: resource.info.namespaced ? namespace : "", name: name)
    if objects[resource.groupResource]?[key] != nil {
      throw StatusError.alreadyExists(resource.groupResource, name)
    }
    if resource.info.namespaced { metadata["namespace"] = .string(namespace) }
    if metadata["uid"]?.stringValue ?? "" == "" { metadata["uid"] = .string(uid(nextUID)) }
    if metadata["creationTimestamp"]?.stringValue ?? "" == "" {
      metadata["creationTimestamp"] = .string(now().description)
    }
    if object["spec"] != nil, metadata["generation"] == nil { metadata["generation"] = .int(1) }
    object["metadata"] = metadata
    object["kind"] = .string(resource.info.kind)
    object["apiVersion"] = .string(resource.apiVersion)
    if !keepStatus, resource.hasStatus { object["status"] = initialStatus(resource, object) }
    if resource.info.kind == "Namespace", object["spec"]?["finalizers"] == nil {
      var spec = object["spec"] ?? .object([:])
      spec["finalizers"] = .array([.string("kubernetes")])
      object["spec"] = spec
    }
    guard resource.info.verbs.contains("get") else { return object }  // reviews are answered, not kept
    return commit(resource, key, old: nil, new: object) ?? object
  }

  func initialStatus(_ resource: Resource, _ object: JSONValue) -> JSONValue? {
    switch resource.info.kind {
    case "Pod": .object(["phase": .string("Pending")])
    case "Namespace": .object(["phase": .string("Active")])
    case "PersistentVolume", "PersistentVolumeClaim": .object(["phase": .string("Pending")])
    default: nil
    }
  }

  mutating func replace(
    _ resource: Resource, _ key: ObjectKey, with new: JSONValue, part: Part
  ) throws -> JSONValue {
    guard let old = objects[resource.groupResource]?[key] else {
      throw StatusError.notFound(resource.groupResource, key.name)
    }
    let oldMetadata = old["metadata"] ?? .object([:])
    var metadata = new["metadata"] ?? .object([:])
    if let wanted = metadata["resourceVersion"]?.stringValue, !wanted.isEmpty,
      wanted != oldMetadata["resourceVersion"]?.stringValue
    {
      throw StatusError.conflict(
        resource.groupResource, key.name,
        "the object has been modified; please apply your changes to the latest version and try again")
    }
    if let wanted = metadata["uid"]?.stringValue, !wanted.isEmpty, wanted != oldMetadata["uid"]?.stringValue {
      throw StatusError.conflict(
        resource.groupResource, key.name,
        "Precondition failed: UID in precondition: \(wanted), UID in object meta: "
          + (oldMetadata["uid"]?.stringValue ?? ""))
    }
    for field in ["uid", "creationTimestamp", "resourceVersion", "namespace", "name", "generation"] {
      metadata[field] = oldMetadata[field]
    }
    if part != .everything {
      for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] { metadata[field] = oldMetadata[field] }
    }
    var result = new
    switch part {
    case .everything: break
    case .status:
      result = old
      result["status"] = new["status"]
      // As upstream: labels, owners and deletion are not the status's business, annotations are let through.
      let annotations = metadata["annotations"]
      metadata = oldMetadata
      metadata["annotations"] = annotations
    case .main:
      if resource.hasStatus { result["status"] = old["status"] }
    }
    result["kind"] = .string(resource.info.kind)
    result["apiVersion"] = .string(resource.apiVersion)
    result["metadata"] = metadata
    if equalContent(result, old) { return old }
    if part != .status, result["spec"] != old["spec"], let generation = oldMetadata["generation"]?.intValue {
      metadata["generation"] = .int(generation + 1)
      result["metadata"] = metadata
    }
    if isFinished(resource, result) {
      commit(resource, key, old: old, new: nil, last: result)
      return result
    }
    return commit(resource, key, old: old, new: result) ?? result
  }

  mutating func put(
    _ resource: Resource, _ route: MemoryRoute, _ name: String, _ tree: JSONValue
  ) throws -> JSONValue {
    switch route.subresource {
    case nil, "resize", "ephemeralcontainers", "approval":
      let part: Part = route.subresource == "approval" ? .status : .main
      return try replace(resource, route.key(name), with: tree, part: part)
    case "status": return try replace(resource, route.key(name), with: tree, part: .status)
    case "finalize": return try replace(resource, route.key(name), with: tree, part: .main)
    case "scale":
      var object = try get(resource, withoutSubresource: route, name)
      var spec = object["spec"] ?? .object([:])
      spec["replicas"] = tree["spec"]?["replicas"] ?? .int(0)
      object["spec"] = spec
      return scale(of: try replace(resource, route.key(name), with: object, part: .main))
    default:
      throw StatusError.notFound(resource.groupResource, name)
    }
  }

  mutating func patch(_ resource: Resource, _ route: MemoryRoute, _ name: String) throws -> JSONValue {
    let body = try route.tree()
    let type = route.request.header("Content-Type") ?? ""
    if type.hasPrefix("application/apply-patch"), objects[resource.groupResource]?[route.key(name)] == nil {
      return try create(resource, namespace: route.namespace, body, keepStatus: false)
    }
    let old = try get(resource, withoutSubresource: route, name)
    let new: JSONValue
    do {
      switch type {
      case "application/json-patch+json": new = try applyJSONPatch(old, body)
      case "application/merge-patch+json": new = applyMergePatch(old, body)
      case "application/strategic-merge-patch+json":
        let kind = GroupVersionKind(
          group: resource.info.group, version: resource.info.version, kind: resource.info.kind)
        guard let schema = builtInSchema.schema(for: kind) else {
          throw StatusError.badRequest("no schema for \(resource.info.kind)")
        }
        new = try applyStrategicMergePatch(old, body, schema)
      case "application/apply-patch+yaml": new = applyMergePatch(old, body)
      default: throw StatusError.unsupportedMediaType(accepted: [type])
      }
    } catch let error as PatchError {
      throw error.status
    }
    return try put(resource, route, name, new)
  }

  private func get(_ resource: Resource, withoutSubresource route: MemoryRoute, _ name: String) throws -> JSONValue {
    guard let object = objects[resource.groupResource]?[route.key(name)] else {
      throw StatusError.notFound(resource.groupResource, name)
    }
    return object
  }

  /// Whether two states differ in more than their version.
  private func equalContent(_ a: JSONValue, _ b: JSONValue) -> Bool { a == b }

  /// Whether an object marked for deletion has nothing left that holds it.
  private func isFinished(_ resource: Resource, _ object: JSONValue) -> Bool {
    let metadata = object["metadata"]
    guard metadata?["deletionTimestamp"]?.stringValue != nil else { return false }
    guard (metadata?["finalizers"]?.arrayValue ?? []).isEmpty else { return false }
    if resource.info.kind == "Namespace" { return (object["spec"]?["finalizers"]?.arrayValue ?? []).isEmpty }
    return (metadata?["deletionGracePeriodSeconds"]?.intValue ?? 0) == 0
  }

  /// Stores or removes, writes the log, tells the watchers.
  @discardableResult
  mutating func commit(
    _ resource: Resource, _ key: ObjectKey, old: JSONValue?, new: JSONValue?, last: JSONValue? = nil
  ) -> JSONValue? {
    revision += 1
    func stamped(_ object: JSONValue?) -> JSONValue? {
      guard var object else { return nil }
      var metadata = object["metadata"] ?? .object([:])
      metadata["resourceVersion"] = .string(String(revision))
      object["metadata"] = metadata
      return object
    }
    let stored = stamped(new)
    objects[resource.groupResource, default: [:]][key] = stored
    let previous = stored == nil ? stamped(last ?? old) : old
    let change = Change(revision: revision, resource: resource.groupResource, old: previous, new: stored)
    log.append(change)
    for watcher in watchers.values where watcher.resource == change.resource {
      if let bytes = Self.event(change, for: watcher.selection) { watcher.continuation.yield(bytes) }
    }
    return stored
  }

  private func suffix(_ number: UInt64) -> String {
    let alphabet = Array("bcdfghjklmnpqrstvwxz2456789")
    var value = number &* 7_919 &+ 65_537
    return String(
      (0..<5).map { _ in
        defer { value /= 27 }
        return alphabet[Int(value % 27)]
      })
  }

  private func uid(_ number: UInt64) -> String {
    let tail = String(number, radix: 16)
    return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - tail.count) + tail
  }
}
