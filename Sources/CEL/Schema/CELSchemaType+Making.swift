public import APIMachinery

extension CELSchemaType {
  /// Of a structural OpenAPI v3 schema, as a custom resource definition has it.
  /// A resource's root, and an embedded resource, always have kind, apiVersion and a name.
  public static func structural(
    _ schema: JSONValue, name: String = "selfType", isResourceRoot: Bool = false
  ) -> CELSchemaType? {
    let isNullable = schema["nullable"] == .bool(true)
    if schema["x-kubernetes-int-or-string"] == .bool(true) {
      return CELSchemaType(.intOrString, .dyn, isNullable: isNullable, maxSize: largestRequest - 2, minSerialized: 1)
    }
    let isRoot = isResourceRoot || schema["x-kubernetes-embedded-resource"] == .bool(true)
    func bound(_ key: String) -> UInt64? { schema[key]?.intValue.map { UInt64(max(0, $0)) } }
    switch schema["type"]?.stringValue ?? (isRoot ? "object" : "") {
    case "array":
      guard let items = schema["items"], let element = structural(items, name: name + ".@idx") else { return nil }
      let listType: ListType =
        switch schema["x-kubernetes-list-type"]?.stringValue {
        case "set": .set
        case "map": .map
        default: .atomic
        }
      let keys = schema["x-kubernetes-list-map-keys"]?.arrayValue?.compactMap(\.stringValue) ?? []
      return CELSchemaType(
        .list, .list(element.celType), isNullable: isNullable, element: element, listType: listType, listKeys: keys,
        maxSize: bound("maxItems") ?? (largestRequest - 2) / (element.minSerialized + 1))
    case "object":
      if case .object = schema["additionalProperties"], let values = schema["additionalProperties"],
        let element = structural(values, name: name + ".@elem")
      {
        return CELSchemaType(
          .map, .map(.string, element.celType), isNullable: isNullable, element: element,
          maxSize: bound("maxProperties") ?? (largestRequest - 2) / (element.minSerialized + 6))
      }
      let properties = schema["properties"]?.objectValue ?? [:]
      let preserves = schema["x-kubernetes-preserve-unknown-fields"] == .bool(true)
      if properties.isEmpty, !isRoot {
        // Without properties there is nothing to name; what is kept is anyone's guess.
        if preserves { return CELSchemaType(.dyn, .dyn, isNullable: true, maxSize: largestRequest) }
        if schema["properties"] == nil, schema["additionalProperties"] != nil {
          let anything = CELSchemaType.untyped
          return CELSchemaType(
            .map, .map(.string, .dyn), isNullable: isNullable, element: anything, maxSize: largestRequest)
        }
      }
      return object(schema, properties, name, isNullable, isRoot: isRoot)
    case "string":
      func text(_ kind: Kind, _ type: CELType, _ most: UInt64?, _ least: UInt64) -> CELSchemaType {
        CELSchemaType(kind, type, isNullable: isNullable, maxSize: most, minSerialized: least)
      }
      switch schema["format"]?.stringValue {
      case "byte": return text(.bytes, .bytes, bound("maxLength") ?? largestRequest - 2, 2)
      case "duration": return text(.duration, .duration, 32, 4)
      case "date": return text(.date, .timestamp, 12, 12)
      case "date-time": return text(.timestamp, .timestamp, 42, 22)
      default: break
      }
      if let values = schema["enum"]?.arrayValue {
        let longest = values.compactMap { $0.stringValue?.utf8.count }.max() ?? 0
        return text(.string, .string, UInt64(longest), 2)
      }
      return text(.string, .string, bound("maxLength").map { $0 &* 4 } ?? largestRequest - 2, 2)
    case "boolean": return CELSchemaType(.bool, .bool, isNullable: isNullable, minSerialized: 4)
    case "number": return CELSchemaType(.double, .double, isNullable: isNullable, minSerialized: 1)
    case "integer": return CELSchemaType(.int, .int, isNullable: isNullable, minSerialized: 1)
    default:
      return schema["x-kubernetes-preserve-unknown-fields"] == .bool(true)
        ? CELSchemaType(.dyn, .dyn, isNullable: true, maxSize: largestRequest) : nil
    }
  }

  private static func object(
    _ schema: JSONValue, _ properties: [String: JSONValue], _ name: String, _ isNullable: Bool, isRoot: Bool
  ) -> CELSchemaType {
    var properties = properties
    if isRoot {
      properties["kind"] = ["type": "string"]
      properties["apiVersion"] = ["type": "string"]
      properties["metadata"] = [
        "type": "object", "properties": ["name": ["type": "string"], "generateName": ["type": "string"]],
      ]
    }
    let required = Set(schema["required"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    var fields: [String: Field] = [:]
    var least: UInt64 = 2
    for (key, value) in properties {
      guard let escaped = CELIdentifier.escape(key), let type = structural(value, name: "\(name).\(key)") else {
        continue
      }
      fields[escaped] = Field(jsonName: key, type: type, isRequired: required.contains(key))
      if required.contains(key), value["default"] == nil {
        least += UInt64(key.utf8.count) + type.minSerialized + 4
      }
    }
    return CELSchemaType(
      .object, .object(name), isNullable: isNullable, fields: fields, maxSize: largestRequest, minSerialized: least)
  }

  /// Of a built-in type, with all it refers to.
  public static func builtIn(_ schema: Schema, in table: SchemaTable) -> CELSchemaType {
    var maker = BuiltInMaker(table: table)
    return maker.object(schema)
  }
}

/// Built-in types refer to each other, some in circles: each is made once.
private struct BuiltInMaker {
  let table: SchemaTable
  private var made: [String: CELSchemaType] = [:]

  init(table: SchemaTable) { self.table = table }

  mutating func object(_ schema: Schema) -> CELSchemaType {
    if let known = made[schema.name] { return known }
    let out = CELSchemaType(.object, .object(schema.name), isNullable: true, maxSize: largestRequest)
    made[schema.name] = out
    var fields: [String: CELSchemaType.Field] = [:]
    for field in schema.fields {
      guard let escaped = CELIdentifier.escape(field.name) else { continue }
      fields[escaped] = CELSchemaType.Field(
        jsonName: field.name, type: type(field.type, field), isRequired: field.required)
    }
    out.complete(fields: fields)
    return out
  }

  private mutating func type(_ type: SchemaFieldType, _ field: SchemaField) -> CELSchemaType {
    switch type {
    case .string: return CELSchemaType(.string, .string, isNullable: true, maxSize: largestRequest - 2)
    case .boolean: return CELSchemaType(.bool, .bool, isNullable: true, minSerialized: 4)
    case .int32, .int64: return CELSchemaType(.int, .int, isNullable: true, minSerialized: 1)
    case .double: return CELSchemaType(.double, .double, isNullable: true, minSerialized: 1)
    case .bytes: return CELSchemaType(.bytes, .bytes, isNullable: true, maxSize: largestRequest - 2)
    case .time, .microTime:
      return CELSchemaType(.timestamp, .timestamp, isNullable: true, maxSize: 42, minSerialized: 22)
    case .duration: return CELSchemaType(.string, .string, isNullable: true, maxSize: 32, minSerialized: 4)
    case .quantity: return CELSchemaType(.quantity, .dyn, isNullable: true, maxSize: 64)
    case .intOrString:
      return CELSchemaType(.intOrString, .dyn, isNullable: true, maxSize: largestRequest, minSerialized: 1)
    case .any, .fieldsV1, .rawExtension: return CELSchemaType(.dyn, .dyn, isNullable: true, maxSize: largestRequest)
    case .object(let name):
      guard let schema = table.type(named: name) else { return .untyped }
      return object(schema)
    case .list(let element):
      let inner = self.type(element, field)
      let listType: CELSchemaType.ListType =
        switch field.listType {
        case "set": .set
        case "map": .map
        default: .atomic
        }
      return CELSchemaType(
        .list, .list(inner.celType), isNullable: true, element: inner, listType: listType,
        listKeys: field.listMapKeys, maxSize: (largestRequest - 2) / (inner.minSerialized + 1))
    case .map(let value):
      let inner = self.type(value, field)
      return CELSchemaType(
        .map, .map(.string, inner.celType), isNullable: true, element: inner,
        maxSize: (largestRequest - 2) / (inner.minSerialized + 6))
    }
  }
}
