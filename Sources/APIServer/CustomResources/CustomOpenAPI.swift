import API
import APIMachinery
import APISchema
import CustomResources

/// The OpenAPI schemas of custom kinds: what their definitions say, with the type and metadata that every object has.
struct CustomOpenAPI: Sendable {
  let resources: [ServedResource]

  var infos: [ResourceInfo] { resources.map(\.info) }

  /// The types of all custom kinds and their lists, with what they share with built-in ones.
  var table: SchemaTable { SchemaTable(types: CustomVersion.shared + ownTypes) }

  /// Names only: `definitions` has what is in them.
  var ownTypes: [Schema] {
    var types: [Schema] = []
    for resource in resources {
      let gvk = resource.gvk
      let list = GroupVersionKind(group: gvk.group, version: gvk.version, kind: gvk.kind + "List")
      types.append(Schema(name: CustomVersion.typeName(gvk), gvks: [gvk], fields: []))
      types.append(Schema(name: CustomVersion.typeName(list), gvks: [list], fields: []))
    }
    return types
  }

  /// The schemas by name of type, in one form of OpenAPI.
  func definitions(_ form: OpenAPIForm) -> [String: JSONValue] {
    var definitions: [String: JSONValue] = [:]
    for resource in resources {
      guard let custom = resource.custom else { continue }
      let name = CustomVersion.typeName(resource.gvk)
      definitions[name] = object(custom.schema.source, resource.gvk, form)
      let list = GroupVersionKind(group: resource.gvk.group, version: resource.gvk.version, kind: resource.listKind)
      definitions[name + "List"] = .object([
        "type": .string("object"), "required": .array([.string("items")]),
        "description": .string("\(resource.info.kind)List is a list of \(resource.info.kind)"),
        "properties": .object([
          "apiVersion": Self.apiVersion, "kind": Self.kind,
          "items": .object([
            "type": .string("array"), "items": form.reference(name),
            "description": .string(
              "List of \(resource.info.resource). More info: "
                + "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"),
          ]),
          "metadata": Self.reference("ListMeta", "Standard list metadata.", form),
        ]),
        "x-kubernetes-group-version-kind": .array([list.openAPI]),
      ])
    }
    return definitions
  }

  /// What a custom type refers to.
  static func references(_ name: String) -> [String] {
    name.hasSuffix("List")
      ? [String(name.dropLast(4)), OpenAPISchemas.meta + "ListMeta"] : [OpenAPISchemas.meta + "ObjectMeta"]
  }

  private func object(_ source: JSONValue, _ kind: GroupVersionKind, _ form: OpenAPIForm) -> JSONValue {
    var schema = form == .v2 ? Self.version2(source) : source
    var properties = schema["properties"]?.objectValue ?? [:]
    properties["apiVersion"] = Self.apiVersion
    properties["kind"] = Self.kind
    properties["metadata"] = Self.reference("ObjectMeta", "Standard object's metadata.", form)
    schema["properties"] = .object(properties)
    schema["x-kubernetes-group-version-kind"] = .array([kind.openAPI])
    return schema
  }

  private static func reference(_ name: String, _ text: String, _ form: OpenAPIForm) -> JSONValue {
    let more = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    let description = JSONValue.string("\(text) More info: \(more)")
    let reference = form.reference(OpenAPISchemas.meta + name)
    if form == .v2 {
      var reference = reference
      reference["description"] = description
      return reference
    }
    return .object(["allOf": .array([reference]), "description": description])
  }

  private static let apiVersion = JSONValue.object([
    "type": .string("string"),
    "description": .string(
      "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized "
        + "schemas to the latest internal value, and may reject unrecognized values. More info: "
        + "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"),
  ])
  private static let kind = JSONValue.object([
    "type": .string("string"),
    "description": .string(
      "Kind is a string value representing the REST resource this object represents. Servers may infer this from the "
        + "endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
        + "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"),
  ])

  /// Version 2 knows no alternatives, no nulls and no values of several types: what uses them says less there.
  private static func version2(_ schema: JSONValue) -> JSONValue {
    guard case .object(var members) = schema else { return schema }
    for name in ["allOf", "anyOf", "oneOf", "not", "nullable"] { members[name] = nil }
    let isOpen =
      schema["nullable"] == .bool(true) || schema["x-kubernetes-int-or-string"] == .bool(true)
      || schema["x-kubernetes-preserve-unknown-fields"] == .bool(true)
    if isOpen { for name in ["items", "properties", "type", "format"] { members[name] = nil } }
    if schema["x-kubernetes-preserve-unknown-fields"] == .bool(true) { members["type"] = schema["type"] }
    for name in ["items", "additionalProperties"] { members[name] = members[name].map(version2) }
    if let properties = members["properties"]?.objectValue {
      members["properties"] = .object(properties.mapValues(version2))
    }
    return .object(members)
  }
}
