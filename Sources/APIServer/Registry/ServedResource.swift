import API
import APIMachinery
import APIMeta
import APISchema

/// One resource in one version: what the registry knows of it.
final class ServedResource: Sendable {
  let info: ResourceInfo
  let groupResource: GroupResource
  let apiVersion: String
  let gvk: GroupVersionKind
  /// The kind's Swift type, of the version it is stored in; nil for kinds with a schema only.
  let type: (any APIObject.Type)?
  /// Schema of this version, and of the version it is stored in.
  let schema: Schema?
  let storedSchema: Schema?
  let storedVersion: String
  let traits: Traits
  /// Nil for kinds that are not stored (reviews, bindings).
  let cache: ResourceCache?
  let storagePrefix: String
  /// Nil where this version has the stored version's shape.
  let conversion: VersionConversion?
  /// Nil for built-in kinds. The stored version of a custom kind is the version served: objects are brought to it when
  /// they are read (`live`).
  let custom: CustomVersion?
  let listKind: String
  /// `{"kind":…,"apiVersion":…,"metadata":{`
  let header: String
  let headerBytes: [UInt8]
  let columns: [TableColumn]

  init(info: ResourceInfo, storedIn stored: ResourceInfo, cache: ResourceCache?, prefix: String) {
    self.info = info
    groupResource = GroupResource(group: info.group, resource: info.resource)
    gvk = GroupVersionKind(group: info.group, version: info.version, kind: info.kind)
    apiVersion = info.group.isEmpty ? info.version : "\(info.group)/\(info.version)"
    let storedKind = GroupVersionKind(group: stored.group, version: stored.version, kind: stored.kind)
    storedVersion = stored.group.isEmpty ? stored.version : "\(stored.group)/\(stored.version)"
    type = Kinds.type(for: storedKind)
    schema = builtInSchema.schema(for: gvk)
    storedSchema = builtInSchema.schema(for: storedKind)
    traits = Traits.of(groupResource)
    self.cache = cache
    storagePrefix = prefix
    conversion = VersionConversion.between(gvk, stored: storedKind)
    custom = nil
    listKind = info.kind + "List"
    header = "{\"kind\":\"\(info.kind)\",\"apiVersion\":\"\(apiVersion)\",\"metadata\":{"
    headerBytes = Array(header.utf8)
    columns = TableColumn.columns(group: info.group, kind: info.kind)
  }

  /// A version of a custom resource.
  init(info: ResourceInfo, custom: CustomVersion, listKind: String, cache: ResourceCache) {
    self.info = info
    self.custom = custom
    self.listKind = listKind
    self.cache = cache
    groupResource = GroupResource(group: info.group, resource: info.resource)
    gvk = GroupVersionKind(group: info.group, version: info.version, kind: info.kind)
    apiVersion = "\(info.group)/\(info.version)"
    storedVersion = apiVersion
    type = nil
    schema = custom.applySchema(gvk)
    storedSchema = schema
    traits = custom.traits
    storagePrefix = "\(info.resource).\(info.group)"
    conversion = nil
    // What is stored carries its type at its end.
    header = "{\"metadata\":{"
    headerBytes = Array(header.utf8)
    columns = [CustomColumns.name] + custom.columns.map(\.column)
  }

  /// Key of an object in the cache.
  func key(_ namespace: String, _ name: String) -> String {
    info.namespaced ? "\(namespace)/\(name)" : name
  }

  func has(subresource: String) -> Bool { info.subresources.contains { $0.name == subresource } }

  /// The object as this version serves it.
  func served(_ object: CachedObject) -> [UInt8] {
    if let custom {
      if custom.trusts(object) { return object.served(header) }
      // What cannot be converted is shown as it lies there, rather than not at all.
      guard let live = try? custom.live(object) else { return object.served(header) }
      return custom.typed(live.served(header))
    }
    guard let conversion else { return object.served(header) }
    var tree = (try? JSONValue(parsing: object.bytes)) ?? .object([:])
    conversion.fromStored(&tree)
    return CachedObject(key: object.key, bytes: storedForm(tree), revision: object.revision, index: nil)
      .served(header)
  }

  /// A tree of the object in this version, without type and resourceVersion.
  func tree(_ object: CachedObject) throws -> JSONValue {
    var tree = try JSONValue(parsing: live(object).bytes)
    conversion?.fromStored(&tree)
    return tree
  }
}

/// The bytes of a tree in stored form: metadata first, no type, no resourceVersion.
func storedForm(_ tree: JSONValue) -> [UInt8] {
  var writer = JSONWriter()
  writer.beginObject()
  var metadata = tree["metadata"]?.objectValue ?? [:]
  metadata["resourceVersion"] = nil
  writer.key("metadata")
  writer.value(.object(metadata))
  for (name, value) in (tree.objectValue ?? [:]).sorted(by: { $0.key < $1.key })
  where name != "metadata" && name != "kind" && name != "apiVersion" {
    writer.key(name)
    writer.value(value)
  }
  writer.endObject()
  return writer.bytes
}
