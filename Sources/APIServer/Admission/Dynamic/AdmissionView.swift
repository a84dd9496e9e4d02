import API
import APIMachinery
import APIMeta
import APISchema

/// A request as webhooks and policies see it: objects as trees in one served version.
struct AdmissionView: Sendable {
  enum Operation: String, Sendable {
    case create = "CREATE"
    case update = "UPDATE"
    case delete = "DELETE"
    case connect = "CONNECT"
  }

  var operation: Operation
  /// The version that was asked for.
  let requested: ServedResource
  /// The version that `object` and `old` are in; another one where a rule matches an equivalent version.
  var served: ServedResource
  var subresource: String
  /// What the trees are: the resource's kind, or its subresource's.
  var kind: GroupVersionKind
  var requestedKind: GroupVersionKind
  var namespace: String
  var name: String
  var user: UserInfo
  var dryRun: Bool
  var options: JSONValue
  /// Nil for a deletion.
  var object: JSONValue?
  /// Nil for a creation.
  var old: JSONValue?

  var group: String { served.info.group }
  var version: String { served.info.version }
  var resource: String { served.info.resource }

  /// The parts that do not depend on any object.
  init(
    _ operation: Operation, _ resource: ServedResource, subresource: String, kind: GroupVersionKind? = nil,
    namespace: String, name: String, user: UserInfo, options: JSONValue, dryRun: Bool
  ) {
    self.operation = operation
    requested = resource
    served = resource
    self.subresource = subresource
    let own = Self.kind(of: resource, subresource)
    self.kind = kind ?? own
    requestedKind = kind ?? own
    // A namespace is in itself, as upstream sees it.
    let isNamespace = resource.info.resource == "namespaces" && resource.info.group.isEmpty
    self.namespace = isNamespace ? name : namespace
    self.name = name
    self.user = user
    self.options = options
    self.dryRun = dryRun
  }

  static func kind(of resource: ServedResource, _ subresource: String) -> GroupVersionKind {
    guard !subresource.isEmpty, let described = resource.info.subresource(subresource), !described.kind.isEmpty else {
      return resource.gvk
    }
    let own = described.version.isEmpty
    return GroupVersionKind(
      group: own ? resource.info.group : described.group, version: own ? resource.info.version : described.version,
      kind: described.kind)
  }

  /// The names and versions under which the same objects are served, this one aside.
  func equivalents(_ registry: Registry) -> [ServedResource] { registry.equivalents(of: requested) }

  /// The same request in another version of its resource. Throws what a conversion webhook says.
  func converted(to other: ServedResource) async throws -> AdmissionView {
    guard other !== served else { return self }
    var result = self
    result.served = other
    result.kind = Self.kind(of: other, subresource)
    guard result.kind != kind else { return result }
    if let object { result.object = try await Self.convert(object, from: served, to: other) }
    if let old { result.old = try await Self.convert(old, from: served, to: other) }
    return result
  }

  /// Takes over what a webhook made of the object in another version.
  mutating func adopt(_ changed: AdmissionView) async throws {
    guard let tree = changed.object else { return }
    object = changed.kind == kind ? tree : try await Self.convert(tree, from: changed.served, to: served)
  }

  private static func convert(
    _ tree: JSONValue, from: ServedResource, to other: ServedResource
  ) async throws -> JSONValue {
    var tree = tree
    if let custom = other.custom {
      if let conversion = custom.conversion { return try await conversion.convert([tree], to: other.apiVersion)[0] }
    } else {
      from.conversion?.toStored(&tree)
      other.conversion?.fromStored(&tree)
    }
    tree["apiVersion"] = .string(other.apiVersion)
    tree["kind"] = .string(other.info.kind)
    return tree
  }
}

extension Registry {
  /// The other versions, and groups, that serve the same stored objects.
  func equivalents(of resource: ServedResource) -> [ServedResource] {
    if resource.custom != nil { return custom.versions(of: resource.groupResource).filter { $0 !== resource } }
    return builtInResources.compactMap { info in
      guard info.resource == resource.info.resource, let other = self.resource(info.group, info.version, info.resource),
        other !== resource, other.storagePrefix == resource.storagePrefix
      else { return nil }
      return other
    }
  }
}

// MARK: - Live objects as trees

extension AdmissionView {
  /// A write's view. `object` is nil for a deletion.
  init(_ request: AdmissionRequest, _ object: LiveObject?, _ registry: Registry) throws {
    let context = request.context
    // A binding is created, though it changes a pod.
    let operation: Operation =
      switch request.operation {
      case .create: .create
      case .update: .update
      case .delete: .delete
      }
    self.init(
      operation, request.resource, subresource: request.subresource, namespace: request.namespace,
      name: request.name.isEmpty ? object?.metadata.name ?? "" : request.name, user: request.user,
      options: request.options, dryRun: context.options.dryRun)
    self.object = try object.map { try tree(of: $0, registry) }
    old = try request.old.map { try tree(of: $0, registry) }
  }

  private func tree(of object: LiveObject, _ registry: Registry) throws -> JSONValue {
    if subresource == "scale" {
      return try JSONValue(parsing: registry.scaleOf(object, requested).encodedWithType())
    }
    var tree = try object.tree()
    requested.conversion?.fromStored(&tree)
    tree["apiVersion"] = .string(requested.apiVersion)
    tree["kind"] = .string(requested.info.kind)
    let version = object.metadata.resourceVersion
    if !version.isEmpty, case .object(var metadata)? = tree["metadata"] {
      metadata["resourceVersion"] = .string(version)
      tree["metadata"] = .object(metadata)
    }
    return tree
  }

  /// The live object that `object` stands for now.
  func live(_ before: LiveObject, _ registry: Registry) throws -> LiveObject {
    guard let object else { return before }
    if subresource == "scale" {
      var result = before
      registry.setReplicas(&result, Int32(clamping: object["spec"]?["replicas"]?.intValue ?? 0), requested)
      return result
    }
    var tree = object
    requested.conversion?.toStored(&tree)
    var result = try LiveObject(requested, bytes: storedForm(tree))
    result.metadata.resourceVersion = before.metadata.resourceVersion
    return result
  }
}
