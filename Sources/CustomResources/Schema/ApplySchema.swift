public import APIMachinery

extension StructuralSchema {
  /// The schema as apply, field tracking and strict decoding read it: a table with the kind's type, what is below it,
  /// and whatever `shared` types it refers to (object metadata).
  public func applyTable(
    _ kind: GroupVersionKind, name: String, metadata: String, shared: [Schema]
  ) -> SchemaTable {
    var maker = ApplySchemaMaker(metadata: metadata)
    maker.root(self, kind, name)
    return SchemaTable(types: maker.types + shared)
  }
}

private struct ApplySchemaMaker {
  let metadata: String
  var types: [Schema] = []

  mutating func root(_ schema: StructuralSchema, _ kind: GroupVersionKind, _ name: String) {
    let fields = fields(schema, name, isObject: true)
    types.append(
      Schema(
        name: name, gvks: [kind], fields: fields,
        preservesUnknownFields: schema.preservesUnknownFields || schema.allowsAnyProperties))
  }

  private mutating func fields(_ schema: StructuralSchema, _ name: String, isObject: Bool) -> [SchemaField] {
    var fields: [SchemaField] = []
    if isObject {
      fields.append(SchemaField(name: "apiVersion", type: .string))
      fields.append(SchemaField(name: "kind", type: .string))
      fields.append(SchemaField(name: "metadata", type: .object(metadata)))
    }
    for (key, value) in schema.properties.sorted(by: { $0.key < $1.key }) {
      if isObject, key == "apiVersion" || key == "kind" || key == "metadata" { continue }
      fields.append(
        SchemaField(
          name: key, type: type(value, "\(name).\(key)"), required: schema.constraints.required.contains(key),
          ptr: true, defaultJSON: value.defaultValue.map { String(decoding: $0.encoded(), as: UTF8.self) },
          listType: value.type == "array" ? value.listType.rawValue : "",
          listMapKeys: value.listMapKeys, mapType: value.isAtomicMap ? "atomic" : ""))
    }
    return fields
  }

  private mutating func type(_ schema: StructuralSchema, _ name: String) -> SchemaFieldType {
    if schema.isIntOrString { return .intOrString }
    switch schema.type {
    case "string": return .string
    case "boolean": return .boolean
    case "integer": return .int64
    case "number": return .double
    case "array": return .list(schema.items.map { type($0, name + ".items") } ?? .any)
    case "object":
      if let values = schema.additionalProperties { return .map(type(values, name + ".values")) }
      let keepsAll = schema.preservesUnknownFields || schema.allowsAnyProperties
      // An object of which nothing is known is looked into as far as its members go.
      if keepsAll, schema.properties.isEmpty, !schema.isEmbeddedResource { return .object("") }
      types.append(
        Schema(
          name: name, fields: fields(schema, name, isObject: schema.isEmbeddedResource),
          preservesUnknownFields: keepsAll))
      return .object(name)
    default: return schema.isEmbeddedResource ? .object("") : .any
    }
  }
}
