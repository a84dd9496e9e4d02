import APIMachinery
import APISchema

/// Builds documents. Paths and schemas are written one after the other, so that no whole tree ever exists.
struct OpenAPIBuilder: Sendable {
  let resources: [ResourceInfo]
  let schema: SchemaTable
  let version: String
  private let custom: CustomOpenAPI?
  private let groupVersions: [GroupVersion]

  init(resources: [ResourceInfo], schema: SchemaTable, version: String, custom: CustomOpenAPI? = nil) {
    self.custom = custom
    self.resources = resources
    self.schema = schema
    self.version = version
    var seen: Set<GroupVersion> = []
    for info in resources { seen.insert(GroupVersion(group: info.group, version: info.version)) }
    groupVersions = seen.sorted { ($0.group, $0.version) < ($1.group, $1.version) }
  }

  /// The names of all documents of version 3, such as `apis/apps/v1`.
  var names: [String] {
    var names: Set = ["api", "apis", "version", ".well-known/openid-configuration", "openid/v1/jwks"]
    for gv in groupVersions {
      if gv.group.isEmpty {
        names.insert("api/" + gv.version)
      } else {
        names.insert("apis/" + gv.group)
        names.insert("apis/\(gv.group)/\(gv.version)")
      }
    }
    return names.sorted()
  }

  /// The paths of a document of version 3; empty if there is no such document.
  private func paths(_ name: String) -> [OpenAPIPath] {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    switch (parts.first, parts.count) {
    case ("api", 1):
      return [root("/api/", "getCoreAPIVersions", "core", "get available API versions", "APIVersions")]
    case ("api", 2): return groupVersion("", parts[1])
    case ("apis", 1): return [root("/apis/", "getAPIVersions", "apis", "get available API versions", "APIGroupList")]
    case ("apis", 2):
      guard groupVersions.contains(where: { $0.group == parts[1] }) else { return [] }
      let tag = OpenAPIPaths.groupTag(parts[1])
      let id = "get\(tag.capitalizedFirst)APIGroup"
      return [root("/apis/\(parts[1])/", id, tag, "get information of a group", "APIGroup")]
    case ("apis", 3): return groupVersion(parts[1], parts[2])
    default: return other(name)
    }
  }

  private func groupVersion(_ group: String, _ version: String) -> [OpenAPIPath] {
    guard groupVersions.contains(GroupVersion(group: group, version: version)) else { return [] }
    let isCustom = custom?.infos.contains { $0.group == group && $0.version == version } ?? false
    return OpenAPIPaths(schema: schema, group: group, version: version, isCustom: isCustom).paths(resources)
  }

  private func root(_ path: String, _ id: String, _ tag: String, _ text: String, _ type: String) -> OpenAPIPath {
    let operation = OpenAPIOperation(
      method: "get", id: id, description: text, tag: tag, consumes: OpenAPIOperation.mediaTypes,
      responses: [(200, .type(OpenAPISchemas.meta + type))])
    return OpenAPIPath(path: path, operations: [operation])
  }

  private func other(_ name: String) -> [OpenAPIPath] {
    var operation: OpenAPIOperation
    switch name {
    case "version":
      operation = OpenAPIOperation(
        method: "get", id: "getCodeVersion", description: "get the version information for this server",
        tag: "version", consumes: ["application/json"], produces: ["application/json"],
        responses: [(200, .type("io.k8s.apimachinery.pkg.version.Info"))])
    case ".well-known/openid-configuration":
      operation = OpenAPIOperation(
        method: "get", id: "getServiceAccountIssuerOpenIDConfiguration",
        description: "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        tag: "WellKnown", produces: ["application/json"], responses: [(200, .string)])
    case "openid/v1/jwks":
      operation = OpenAPIOperation(
        method: "get", id: "getServiceAccountIssuerOpenIDKeyset",
        description: "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        tag: "openid", produces: ["application/jwk-set+json"], responses: [(200, .string)])
    default: return []
    }
    return [OpenAPIPath(path: "/\(name)/", operations: [operation])]
  }

  /// Everything the paths name, directly or not, sorted.
  private func definitions(_ paths: [OpenAPIPath], _ schemas: OpenAPISchemas) -> [String] {
    var found: Set<String> = []
    var waiting = paths.flatMap { $0.operations.flatMap(\.types) }
    while let name = waiting.popLast() {
      if found.insert(name).inserted { waiting += schemas.references(name) }
    }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private func schemas(_ form: OpenAPIForm) -> OpenAPISchemas {
    OpenAPISchemas(
      table: schema, form: form, groupVersions: groupVersions, custom: custom?.definitions(form) ?? [:])
  }

  private var info: JSONValue { .object(["title": .string("Kubernetes"), "version": .string(version)]) }

  private static let bearer = JSONValue.object([
    "description": .string("Bearer Token authentication"), "in": .string("header"),
    "name": .string("authorization"), "type": .string("apiKey"),
  ])

  /// A document of version 3 as JSON; nil if there is none of that name.
  func v3(_ name: String) -> [UInt8]? {
    let paths = self.paths(name).sorted { $0.path < $1.path }
    guard !paths.isEmpty else { return nil }
    let schemas = self.schemas(.v3)
    var writer = JSONWriter(capacity: 64 << 10)
    writer.beginObject()
    writer.key("components")
    writer.beginObject()
    let names = definitions(paths, schemas)
    if !names.isEmpty {
      writer.key("schemas")
      writer.beginObject()
      for name in names {
        writer.key(name)
        writer.value(schemas.definition(name))
      }
      writer.endObject()
    }
    writer.key("securitySchemes")
    writer.value(.object(["BearerToken": Self.bearer]))
    writer.endObject()
    writer.key("info")
    writer.value(info)
    writer.key("openapi")
    writer.string("3.0.0")
    writer.key("paths")
    writer.beginObject()
    for path in paths {
      writer.key(path.path)
      writer.value(path.json(.v3))
    }
    writer.endObject()
    writer.endObject()
    return writer.bytes
  }

  private func allPaths() -> [OpenAPIPath] { names.flatMap(paths).sorted { $0.path < $1.path } }

  /// The document of version 2 as JSON.
  func v2() -> [UInt8] {
    let paths = allPaths()
    let schemas = self.schemas(.v2)
    var writer = JSONWriter(capacity: 1 << 20)
    writer.beginObject()
    writer.key("definitions")
    writer.beginObject()
    for name in definitions(paths, schemas) {
      writer.key(name)
      writer.value(schemas.definition(name))
    }
    writer.endObject()
    writer.key("info")
    writer.value(info)
    writer.key("paths")
    writer.beginObject()
    for path in paths {
      writer.key(path.path)
      writer.value(path.json(.v2))
    }
    writer.endObject()
    writer.key("security")
    writer.value(.array([.object(["BearerToken": .array([])])]))
    writer.key("securityDefinitions")
    writer.value(.object(["BearerToken": Self.bearer]))
    writer.key("swagger")
    writer.string("2.0")
    writer.endObject()
    return writer.bytes
  }

  /// The document of version 2 as protobuf.
  func v2Protobuf() -> [UInt8] {
    let paths = allPaths()
    let schemas = self.schemas(.v2)
    var document = OpenAPIProtobuf()
    document.begin(title: "Kubernetes", version: version)
    var items = OpenAPIProtobuf()
    for path in paths { items.addPath(path.path, path.json(.v2)) }
    document.finishPaths(items)
    var types = OpenAPIProtobuf()
    for name in definitions(paths, schemas) { types.addDefinition(name, schemas.definition(name)) }
    document.finishDefinitions(types)
    document.finish(bearer: Self.bearer)
    return document.bytes
  }
}
