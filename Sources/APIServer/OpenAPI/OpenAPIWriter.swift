import APIMachinery
import APISchema

/// Writes one OpenAPI document: the operations of some resources and every type that they reach.
struct OpenAPIWriter {
  enum Version { case v2, v3 }
  let version: Version
  let gitVersion: String
  var writer = JSONWriter(capacity: 1 << 16)
  /// Types referred to and not yet written.
  private var pending: [String] = []
  private var known: Set<String> = []

  init(version: Version, gitVersion: String) {
    self.version = version
    self.gitVersion = gitVersion
  }

  private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
  /// Types that are written out by hand, because their JSON form is not their structure.
  private static let specials: [String: String] = [
    meta + "Time": #"{"type":"string","format":"date-time"}"#,
    meta + "MicroTime": #"{"type":"string","format":"date-time"}"#,
    meta + "Duration": #"{"type":"string"}"#,
    meta + "FieldsV1": #"{"type":"object"}"#,
    meta + "Patch": #"{"type":"object"}"#,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": #"{"oneOf":[{"type":"string"},{"type":"number"}]}"#,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
      #"{"format":"int-or-string","oneOf":[{"type":"integer"},{"type":"string"}]}"#,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": #"{"type":"object"}"#,
  ]
  private static let specialsV2: [String: String] = [
    "io.k8s.apimachinery.pkg.api.resource.Quantity": #"{"type":"string"}"#,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": #"{"type":"string","format":"int-or-string"}"#,
  ]

  mutating func document(_ resources: [ResourceInfo]) -> [UInt8] {
    writer.beginObject()
    if version == .v3 {
      writer.key("openapi")
      writer.string("3.0.0")
    } else {
      writer.key("swagger")
      writer.string("2.0")
    }
    writer.key("info")
    writer.beginObject()
    writer.key("title")
    writer.string("Kubernetes")
    writer.key("version")
    writer.string(gitVersion)
    writer.endObject()
    writer.key("paths")
    writer.beginObject()
    for info in resources.sorted(by: { ($0.apiVersion, $0.resource) < ($1.apiVersion, $1.resource) }) { paths(info) }
    writer.endObject()
    if version == .v3 {
      writer.key("components")
      writer.beginObject()
      writer.key("schemas")
      schemas()
      writer.key("securitySchemes")
      writer.raw(
        #"{"BearerToken":{"type":"apiKey","name":"authorization","in":"header"}}"#.utf8)
      writer.endObject()
    } else {
      writer.key("definitions")
      schemas()
      writer.key("securityDefinitions")
      writer.raw(#"{"BearerToken":{"type":"apiKey","name":"authorization","in":"header"}}"#.utf8)
      writer.key("security")
      writer.raw(#"[{"BearerToken":[]}]"#.utf8)
    }
    writer.endObject()
    return writer.bytes
  }

  // MARK: Operations

  private mutating func paths(_ info: ResourceInfo) {
    let root = info.group.isEmpty ? "/api/\(info.version)" : "/apis/\(info.apiVersion)"
    let base = info.namespaced ? "\(root)/namespaces/{namespace}/\(info.resource)" : "\(root)/\(info.resource)"
    let gvk = (info.group, info.version, info.kind)
    let isReview = info.verbs == ["create"]
    let parents = info.namespaced ? ["namespace"] : []
    path(
      base, gvk, parents,
      [
        ("get", "list", info.verbs.contains("list"), info.kind + "List"),
        ("post", "post", info.verbs.contains("create"), info.kind),
        ("delete", "deletecollection", info.verbs.contains("deletecollection"), "Status"),
      ])
    if !isReview {
      path(
        base + "/{name}", gvk, ["name"] + parents,
        [
          ("get", "get", info.verbs.contains("get"), info.kind),
          ("put", "put", info.verbs.contains("update"), info.kind),
          ("patch", "patch", info.verbs.contains("patch"), info.kind),
          ("delete", "delete", info.verbs.contains("delete"), "Status"),
        ])
    }
    if info.namespaced, info.verbs.contains("list") {
      path("\(root)/\(info.resource)", gvk, [], [("get", "list", true, info.kind + "List")])
    }
    for sub in info.subresources where !sub.verbs.isEmpty {
      let own = sub.version.isEmpty
      let kind = (own ? info.group : sub.group, own ? info.version : sub.version, sub.kind)
      path(
        base + "/{name}/\(sub.name)", kind, ["name"] + parents,
        [
          ("get", sub.kind.hasSuffix("Options") ? "connect" : "get", sub.verbs.contains("get"), sub.kind),
          ("post", sub.kind.hasSuffix("Options") ? "connect" : "post", sub.verbs.contains("create"), sub.kind),
          ("put", "put", sub.verbs.contains("update"), sub.kind),
          ("patch", "patch", sub.verbs.contains("patch"), sub.kind),
        ])
    }
  }

  private mutating func path(
    _ path: String, _ gvk: (group: String, version: String, kind: String), _ parameters: [String],
    _ operations: [(method: String, action: String, served: Bool, result: String)]
  ) {
    guard operations.contains(where: \.served) else { return }
    writer.key(path)
    writer.beginObject()
    writer.key("parameters")
    writer.beginArray()
    for name in parameters { parameter(name, in: "path", type: "string", required: true) }
    writer.endArray()
    for operation in operations where operation.served {
      writer.key(operation.method)
      writer.beginObject()
      writer.key("operationId")
      writer.string(Self.operationID(operation.action, path, gvk))
      writer.key("parameters")
      writer.beginArray()
      for (name, type) in Self.queryParameters(operation.action) { parameter(name, in: "query", type: type) }
      if version == .v2, ["post", "put", "patch"].contains(operation.action) {
        let schema = body(operation.action, gvk)
        writer.raw(Array(#"{"name":"body","in":"body","required":true,"schema":"#.utf8) + schema + [125])
      }
      writer.endArray()
      if version == .v3, ["post", "put", "patch"].contains(operation.action) {
        let media =
          operation.action == "patch"
          ? [
            "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
            "application/strategic-merge-patch+json",
          ] : ["*/*"]
        let schema = body(operation.action, gvk)
        writer.key("requestBody")
        writer.beginObject()
        writer.key("content")
        writer.beginObject()
        for type in media {
          writer.key(type)
          writer.raw(Array(#"{"schema":"#.utf8) + schema + [125])
        }
        writer.endObject()
        writer.key("required")
        writer.bool(true)
        writer.endObject()
      }
      responses(operation.result, gvk)
      writer.key("x-kubernetes-action")
      writer.string(operation.action)
      writer.key("x-kubernetes-group-version-kind")
      groupVersionKind(gvk.group, gvk.kind, gvk.version)
      writer.endObject()
    }
    writer.endObject()
  }

  private static func operationID(
    _ action: String, _ path: String, _ gvk: (group: String, version: String, kind: String)
  ) -> String {
    let verb =
      switch action {
      case "get": "read"
      case "post": "create"
      case "put": "replace"
      case "deletecollection": "deleteCollection"
      default: action
      }
    // Unique because the path is.
    let words = path.split(whereSeparator: { "/{}.-".contains($0) }).map { $0.prefix(1).uppercased() + $0.dropFirst() }
    return verb + words.joined()
  }

  private static func queryParameters(_ action: String) -> [(String, String)] {
    let write = [("pretty", "string"), ("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")]
    switch action {
    case "list", "deletecollection":
      return [
        ("pretty", "string"), ("allowWatchBookmarks", "boolean"), ("continue", "string"), ("fieldSelector", "string"),
        ("labelSelector", "string"), ("limit", "integer"), ("resourceVersion", "string"),
        ("resourceVersionMatch", "string"), ("sendInitialEvents", "boolean"), ("timeoutSeconds", "integer"),
        ("watch", "boolean"),
      ]
    case "post", "put": return write
    case "patch": return write + [("force", "boolean")]
    case "delete":
      return [
        ("pretty", "string"), ("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("orphanDependents", "boolean"),
        ("propagationPolicy", "string"),
      ]
    default: return [("pretty", "string")]
    }
  }

  private mutating func parameter(_ name: String, in place: String, type: String, required: Bool = false) {
    writer.beginObject()
    writer.key("name")
    writer.string(name)
    writer.key("in")
    writer.string(place)
    if required {
      writer.key("required")
      writer.bool(true)
    }
    if version == .v3 {
      writer.key("schema")
      writer.beginObject()
    }
    writer.key("type")
    writer.string(type)
    writer.key("uniqueItems")
    writer.bool(true)
    if version == .v3 { writer.endObject() }
    writer.endObject()
  }

  private mutating func body(_ action: String, _ gvk: (group: String, version: String, kind: String)) -> [UInt8] {
    if action == "patch" { return reference(Self.meta + "Patch") }
    let kind = GroupVersionKind(group: gvk.group, version: gvk.version, kind: gvk.kind)
    return builtInSchema.schema(for: kind).map { reference($0.name) } ?? Array("{}".utf8)
  }

  private mutating func responses(_ result: String, _ gvk: (group: String, version: String, kind: String)) {
    let kind =
      result == "Status"
      ? GroupVersionKind(group: "", version: "v1", kind: "Status")
      : GroupVersionKind(group: gvk.group, version: gvk.version, kind: result)
    writer.key("responses")
    guard let schema = builtInSchema.schema(for: kind) else {
      writer.raw(#"{"200":{"description":"OK"}}"#.utf8)
      return
    }
    let target = reference(schema.name)
    let head = #"{"200":{"description":"OK","#
    if version == .v3 {
      writer.raw(Array((head + #""content":{"application/json":{"schema":"#).utf8) + target + Array("}}}}".utf8))
    } else {
      writer.raw(Array((head + #""schema":"#).utf8) + target + Array("}}".utf8))
    }
  }

  // MARK: Types

  /// A reference to a type, which will be written among the schemas.
  private mutating func reference(_ name: String) -> [UInt8] {
    if known.insert(name).inserted { pending.append(name) }
    let place = version == .v3 ? "#/components/schemas/" : "#/definitions/"
    return Array("{\"$ref\":\"\(place)\(name)\"}".utf8)
  }

  private mutating func schemas() {
    writer.beginObject()
    while let name = pending.popLast() {
      writer.key(name)
      if version == .v2, let special = Self.specialsV2[name] {
        writer.raw(special.utf8)
      } else if let special = Self.specials[name] {
        writer.raw(special.utf8)
      } else if let schema = builtInSchema.type(named: name) {
        type(schema)
      } else {
        writer.raw(#"{"type":"object"}"#.utf8)
      }
    }
    writer.endObject()
  }

  private mutating func type(_ schema: Schema) {
    writer.beginObject()
    writer.key("type")
    writer.string("object")
    let required = schema.fields.filter(\.required).map(\.name).sorted()
    if !required.isEmpty {
      writer.key("required")
      writer.beginArray()
      for name in required { writer.string(name) }
      writer.endArray()
    }
    if !schema.fields.isEmpty {
      writer.key("properties")
      writer.beginObject()
      for field in schema.fields {
        writer.key(field.name)
        property(field)
      }
      writer.endObject()
    }
    if !schema.gvks.isEmpty {
      writer.key("x-kubernetes-group-version-kind")
      writer.beginArray()
      for gvk in schema.gvks { groupVersionKind(gvk.group, gvk.kind, gvk.version) }
      writer.endArray()
    }
    writer.endObject()
  }

  private mutating func groupVersionKind(_ group: String, _ kind: String, _ version: String) {
    writer.beginObject()
    writer.key("group")
    writer.string(group)
    writer.key("kind")
    writer.string(kind)
    writer.key("version")
    writer.string(version)
    writer.endObject()
  }

  private mutating func property(_ field: SchemaField) {
    let isReference: Bool
    switch field.type {
    case .object, .time, .microTime, .duration, .quantity, .intOrString, .fieldsV1, .rawExtension: isReference = true
    default: isReference = false
    }
    if isReference, version == .v2 {
      writer.raw(referenced(field.type))
      return
    }
    writer.beginObject()
    if isReference {
      // A reference stands alone in OpenAPI 3.0; what belongs to the field goes beside an allOf.
      writer.key("allOf")
      writer.beginArray()
      writer.raw(referenced(field.type))
      writer.endArray()
    } else {
      inline(field.type)
    }
    if version == .v3 {
      if let value = field.defaultJSON {
        writer.key("default")
        writer.raw(value.utf8)
      } else if !field.ptr, case .object = field.type {
        writer.key("default")
        writer.raw("{}".utf8)
      }
    }
    if !field.enumValues.isEmpty, case .string = field.type {
      writer.key("enum")
      writer.beginArray()
      for value in field.enumValues { writer.string(value) }
      writer.endArray()
    }
    extensions(field)
    writer.endObject()
  }

  private mutating func extensions(_ field: SchemaField) {
    if !field.listType.isEmpty {
      writer.key("x-kubernetes-list-type")
      writer.string(field.listType)
    }
    if !field.listMapKeys.isEmpty {
      writer.key("x-kubernetes-list-map-keys")
      writer.beginArray()
      for key in field.listMapKeys { writer.string(key) }
      writer.endArray()
    }
    if !field.mapType.isEmpty {
      writer.key("x-kubernetes-map-type")
      writer.string(field.mapType)
    }
    if !field.patchMergeKey.isEmpty {
      writer.key("x-kubernetes-patch-merge-key")
      writer.string(field.patchMergeKey)
    }
    if !field.patchStrategy.isEmpty {
      writer.key("x-kubernetes-patch-strategy")
      writer.string(field.patchStrategy)
    }
  }

  private mutating func referenced(_ type: SchemaFieldType) -> [UInt8] {
    switch type {
    case .object(let name): reference(name)
    case .time: reference(Self.meta + "Time")
    case .microTime: reference(Self.meta + "MicroTime")
    case .duration: reference(Self.meta + "Duration")
    case .fieldsV1: reference(Self.meta + "FieldsV1")
    case .quantity: reference("io.k8s.apimachinery.pkg.api.resource.Quantity")
    case .intOrString: reference("io.k8s.apimachinery.pkg.util.intstr.IntOrString")
    case .rawExtension: reference("io.k8s.apimachinery.pkg.runtime.RawExtension")
    default: value(type)
    }
  }

  /// A type that is no reference, as a value of its own.
  private mutating func value(_ type: SchemaFieldType) -> [UInt8] {
    var nested = self
    nested.writer = JSONWriter()
    nested.writer.beginObject()
    nested.inline(type)
    nested.writer.endObject()
    pending = nested.pending
    known = nested.known
    return nested.writer.bytes
  }

  private mutating func inline(_ type: SchemaFieldType) {
    func scalar(_ type: String, _ format: String? = nil) {
      writer.key("type")
      writer.string(type)
      if let format {
        writer.key("format")
        writer.string(format)
      }
    }
    switch type {
    case .string: scalar("string")
    case .boolean: scalar("boolean")
    case .int32: scalar("integer", "int32")
    case .int64: scalar("integer", "int64")
    case .double: scalar("number", "double")
    case .bytes: scalar("string", "byte")
    case .list(let element):
      scalar("array")
      writer.key("items")
      let items = referenced(element)
      writer.raw(items)
    case .map(let element):
      scalar("object")
      writer.key("additionalProperties")
      let values = referenced(element)
      writer.raw(values)
    default: break
    }
  }
}
