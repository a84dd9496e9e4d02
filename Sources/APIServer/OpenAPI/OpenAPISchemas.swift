import APIMachinery

/// Writes the types of the schema table as OpenAPI schemas.
struct OpenAPISchemas {
  let table: SchemaTable
  let form: OpenAPIForm
  /// All group versions, for the kinds that belong to every one of them.
  let groupVersions: [GroupVersion]
  /// The schemas of custom kinds, which the table only names.
  var custom: [String: JSONValue] = [:]

  static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
  private static let extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."

  /// The schema of a type.
  func definition(_ name: String) -> JSONValue {
    if let known = custom[name] { return known }
    if let special = special(name) { return .object(special) }
    guard let type = table.type(named: name) else { return .object(["type": .string("object")]) }
    var members: [String: JSONValue] = ["type": .string("object")]
    var properties: [String: JSONValue] = [:]
    for field in type.fields { properties[field.name] = property(field, of: type) }
    if !properties.isEmpty { members["properties"] = .object(properties) }
    let required = type.fields.filter(\.required).map { JSONValue.string($0.name) }
    if !required.isEmpty { members["required"] = .array(required) }
    if !type.mapType.isEmpty { members["x-kubernetes-map-type"] = .string(type.mapType) }
    if !type.unions.isEmpty { members["x-kubernetes-unions"] = .array(type.unions.map(union)) }
    let gvks = self.gvks(type)
    if !gvks.isEmpty { members["x-kubernetes-group-version-kind"] = .array(gvks.map(\.openAPI)) }
    return .object(members)
  }

  /// The types a type names directly.
  func references(_ name: String) -> [String] {
    if custom[name] != nil { return CustomOpenAPI.references(name) }
    guard special(name) == nil, let type = table.type(named: name) else { return [] }
    return type.fields.compactMap { reference($0.type, $0.name, type.name) }
  }

  private func gvks(_ type: Schema) -> [GroupVersionKind] {
    guard type.name == Self.meta + "DeleteOptions" || type.name == Self.meta + "WatchEvent" else { return type.gvks }
    let kind = String(type.name.dropFirst(Self.meta.count))
    return groupVersions.map { GroupVersionKind(group: $0.group, version: $0.version, kind: kind) }
  }

  private func union(_ union: SchemaUnion) -> JSONValue {
    var members: [String: JSONValue] = [:]
    if !union.discriminator.isEmpty { members["discriminator"] = .string(union.discriminator) }
    let fields = union.fields.map { ($0, JSONValue.string($0.capitalizedFirst)) }
    members["fields-to-discriminateBy"] = .object(Dictionary(fields, uniquingKeysWith: { a, _ in a }))
    return .object(members)
  }

  private func property(_ field: SchemaField, of type: Schema) -> JSONValue {
    var node = self.node(field.type, field, of: type)
    if case .object(let name) = field.type, form == .v3, !field.ptr, field.defaultJSON == nil,
      special(name) == nil
    {
      node["default"] = .object([:])
    }
    if form == .v3 {
      if let text = field.defaultJSON, let value = try? JSONValue(parsing: Array(text.utf8)) {
        node["default"] = value
      } else if field.always, !field.ptr, let zero = field.type.zero {
        node["default"] = zero
      }
    }
    if !field.listType.isEmpty { node["x-kubernetes-list-type"] = .string(field.listType) }
    if !field.listMapKeys.isEmpty {
      node["x-kubernetes-list-map-keys"] = .array(field.listMapKeys.map { .string($0) })
    }
    if !field.mapType.isEmpty { node["x-kubernetes-map-type"] = .string(field.mapType) }
    if !field.patchStrategy.isEmpty { node["x-kubernetes-patch-strategy"] = .string(field.patchStrategy) }
    if !field.patchMergeKey.isEmpty { node["x-kubernetes-patch-merge-key"] = .string(field.patchMergeKey) }
    return .object(node)
  }

  /// A value that stands in a property of its own. Version 3.0 ignores what stands beside `$ref`, hence `allOf`.
  private func node(_ type: SchemaFieldType, _ field: SchemaField, of owner: Schema) -> [String: JSONValue] {
    if let name = reference(type, field.name, owner.name), !type.isCollection {
      return form == .v2 ? object(form.reference(name)) : ["allOf": .array([form.reference(name)])]
    }
    switch type {
    case .list(let element):
      return ["type": .string("array"), "items": .object(item(element, field, of: owner))]
    case .map(let element):
      return ["type": .string("object"), "additionalProperties": .object(item(element, field, of: owner))]
    default: return scalar(type, field)
    }
  }

  /// A value inside a list or a map.
  private func item(_ type: SchemaFieldType, _ field: SchemaField, of owner: Schema) -> [String: JSONValue] {
    guard !type.isCollection else { return node(type, field, of: owner) }
    if let name = reference(type, field.name, owner.name) {
      if form == .v3, case .object = type {
        return ["allOf": .array([form.reference(name)]), "default": .object([:])]
      }
      return object(form.reference(name))
    }
    var node = scalar(type, field)
    if form == .v3, let zero = type.zero { node["default"] = zero }
    return node
  }

  private func scalar(_ type: SchemaFieldType, _ field: SchemaField) -> [String: JSONValue] {
    var node: [String: JSONValue]
    switch type {
    case .boolean: node = ["type": .string("boolean")]
    case .int32: node = ["type": .string("integer"), "format": .string("int32")]
    case .int64: node = ["type": .string("integer"), "format": .string("int64")]
    case .double: node = ["type": .string("number"), "format": .string("double")]
    case .bytes: node = ["type": .string("string"), "format": .string("byte")]
    case .any: node = ["type": .string("object")]
    default: node = ["type": .string("string")]
    }
    if !field.enumValues.isEmpty { node["enum"] = .array(field.enumValues.map { .string($0) }) }
    return node
  }

  private func object(_ value: JSONValue) -> [String: JSONValue] { value.objectValue ?? [:] }

  /// The name of the type behind lists and maps, special types included.
  private func reference(_ type: SchemaFieldType, _ field: String, _ owner: String) -> String? {
    switch type {
    case .object(let name): name
    case .list(let element), .map(let element): reference(element, field, owner)
    case .time: Self.meta + "Time"
    case .microTime: Self.meta + "MicroTime"
    case .duration: Self.meta + "Duration"
    case .fieldsV1: Self.meta + "FieldsV1"
    case .quantity: "io.k8s.apimachinery.pkg.api.resource.Quantity"
    case .intOrString: "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    case .rawExtension: "io.k8s.apimachinery.pkg.runtime.RawExtension"
    case .any: owner == Self.extensions + "JSONSchemaProps" ? Self.schemaProps(field) : nil
    default: nil
    }
  }

  /// The table holds the variants inside `JSONSchemaProps` as "anything"; here they have names.
  private static func schemaProps(_ field: String) -> String {
    switch field {
    case "items": extensions + "JSONSchemaPropsOrArray"
    case "additionalItems", "additionalProperties": extensions + "JSONSchemaPropsOrBool"
    case "dependencies": extensions + "JSONSchemaPropsOrStringArray"
    default: extensions + "JSON"
    }
  }

  /// Types whose JSON form is not their fields'.
  private func special(_ name: String) -> [String: JSONValue]? {
    switch name {
    case Self.meta + "Time", Self.meta + "MicroTime":
      ["type": .string("string"), "format": .string("date-time")]
    case Self.meta + "Duration": ["type": .string("string")]
    case Self.meta + "FieldsV1", "io.k8s.apimachinery.pkg.runtime.RawExtension": ["type": .string("object")]
    case "io.k8s.apimachinery.pkg.api.resource.Quantity":
      form == .v2 ? ["type": .string("string")] : ["oneOf": Self.oneOf("string", "number")]
    case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
      form == .v2
        ? ["type": .string("string"), "format": .string("int-or-string")]
        : ["oneOf": Self.oneOf("integer", "string"), "format": .string("int-or-string")]
    case Self.extensions + "JSON", Self.extensions + "JSONSchemaPropsOrArray",
      Self.extensions + "JSONSchemaPropsOrBool", Self.extensions + "JSONSchemaPropsOrStringArray":
      [:]
    default: nil
    }
  }

  private static func oneOf(_ a: String, _ b: String) -> JSONValue {
    .array([.object(["type": .string(a)]), .object(["type": .string(b)])])
  }
}

extension SchemaFieldType {
  var isCollection: Bool {
    switch self {
    case .list, .map: true
    default: false
    }
  }

  /// The zero value of a scalar.
  var zero: JSONValue? {
    switch self {
    case .string: .string("")
    case .boolean: .bool(false)
    case .int32, .int64, .double: .int(0)
    default: nil
    }
  }
}

extension String {
  var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
