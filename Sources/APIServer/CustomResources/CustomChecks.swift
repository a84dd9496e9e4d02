import API
import APIMachinery
import APISchema
import CustomResources
import Validation

extension Registry {
  /// What is wrong with a custom object.
  func customErrors(_ object: DynamicObject, old: DynamicObject?, _ context: WriteContext) -> [FieldError] {
    guard let custom = context.resource.custom else { return [] }
    var errors: [FieldError] = []
    if let old {
      errors += validateObjectMetaUpdate(object.metadata, old: old.metadata)
    } else if !object.metadata.name.isEmpty {
      errors += validateObjectMeta(object.metadata, namespaced: context.resource.info.namespaced)
    }
    let tree = Self.tree(object)
    let before = old.map(Self.tree)
    errors += custom.schema.validate(tree, old: before)
    errors += custom.schema.validateLists(tree)
    errors += custom.schema.validateEmbedded(tree)
    // Rules see what the schema promises them.
    if errors.isEmpty, let rules = custom.rules {
      let result = rules.validate(tree, old: before)
      errors += result.errors
      for warning in result.warnings { context.warnings.add(warning) }
    }
    if errors.isEmpty, context.subresource != "status", let scale = custom.scale {
      errors += Self.scaleErrors(tree, scale)
    }
    return errors
  }

  /// The whole object, as rules see it.
  private static func tree(_ object: DynamicObject) -> JSONValue {
    var tree = object.content
    tree["apiVersion"] = .string(object.apiVersion)
    tree["kind"] = .string(object.kind)
    tree["metadata"] = (try? JSONValue(parsing: object.metadata.encoded())) ?? .object([:])
    return tree
  }

  private static func scaleErrors(_ tree: JSONValue, _ scale: CustomResourceSubresourceScale) -> [FieldError] {
    guard let value = CustomScale.value(at: scale.specReplicasPath, in: tree), let replicas = value.intValue else {
      return []
    }
    let path = FieldPath(String(scale.specReplicasPath.dropFirst()))
    if replicas < 0 { return [.invalid(path, replicas, "should be a non-negative integer")] }
    if replicas > Int64(Int32.max) {
      return [.invalid(path, replicas, "should be less than or equal to \(Int32.max)")]
    }
    return []
  }
}

/// The scale of custom objects: simple paths of members.
enum CustomScale {
  static func value(at path: String, in tree: JSONValue) -> JSONValue? {
    var at: JSONValue? = tree
    for name in path.split(separator: ".") { at = at?[String(name)] }
    return at
  }

  static func set(_ path: String, to value: JSONValue, in tree: inout JSONValue) {
    set(path.split(separator: ".").map(String.init)[...], value, &tree)
  }

  private static func set(_ path: ArraySlice<String>, _ value: JSONValue, _ tree: inout JSONValue) {
    guard let name = path.first else {
      tree = value
      return
    }
    var inner = tree[name] ?? .object([:])
    set(path.dropFirst(), value, &inner)
    tree[name] = inner
  }
}

extension CustomResourceDefinition {
  /// A version in which objects are stored from now on stays known as such until they are migrated.
  mutating func noteStorageVersion() {
    guard let version = spec.versions.first(where: \.storage)?.name, !status.storedVersions.contains(version) else {
      return
    }
    status.storedVersions.append(version)
  }
}

extension CustomVersion {
  /// The schema for apply and strict decoding.
  func applySchema(_ kind: GroupVersionKind) -> Schema? {
    schema.applyTable(
      kind, name: Self.typeName(kind), metadata: OpenAPISchemas.meta + "ObjectMeta", shared: Self.shared
    ).schema(for: kind)
  }

  /// `com.example.stable.v1.CronTab`.
  static func typeName(_ kind: GroupVersionKind) -> String {
    (kind.group.split(separator: ".").reversed().map(String.init) + [kind.version, kind.kind]).joined(separator: ".")
  }

  /// What custom kinds share with built-in ones.
  static let shared: [Schema] = builtInSchema.types.filter {
    $0.name.hasPrefix(OpenAPISchemas.meta) || $0.name.hasPrefix("io.k8s.api.autoscaling.v1.Scale")
  }
}
