public import APIMachinery
import CEL

/// Checks the schema of a CustomResourceDefinition: what may stand in it at all, whether it is structural, and whether
/// its rules compile at a bearable cost.
public struct SchemaCheck {
  public internal(set) var errors: [FieldError] = []
  var totalCost: UInt64 = 0

  /// Checks a schema at a path such as `spec.validation.openAPIV3Schema`.
  public init(_ schema: JSONValue, at path: FieldPath) {
    checkKeywords(schema, path, isRoot: true, inLogic: false)
    let before = errors.count
    checkStructure(schema, path, .root)
    checkConstraints(schema, schema, path)
    // Defaults and rules are read by the structure, so it must stand first.
    guard errors.count == before else { return }
    checkDefaults(schema, StructuralSchema(schema), path)
    checkRules(schema, path, isRoot: true, cardinality: 1)
    if totalCost > Self.totalLimit {
      errors.append(
        .forbidden(
          path,
          Self.costMessage(
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", totalCost, Self.totalLimit
          )))
    }
  }

  // MARK: Keywords

  private mutating func checkKeywords(_ schema: JSONValue, _ path: FieldPath, isRoot: Bool, inLogic: Bool) {
    func flag(_ name: String) -> Bool { schema[name] == .bool(true) }
    if schema["$ref"] != nil { errors.append(.forbidden(path.child("$ref"), "$ref is not supported")) }
    if flag("uniqueItems") {
      errors.append(
        .forbidden(
          path.child("uniqueItems"), "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
      )
    }
    for name in ["definitions", "dependencies", "patternProperties"] where schema[name]?.objectValue?.isEmpty == false {
      errors.append(.forbidden(path.child(name), "\(name) is not supported"))
    }
    if schema["additionalItems"] != nil {
      errors.append(.forbidden(path.child("additionalItems"), "additionalItems is not supported"))
    }
    if let id = schema["id"]?.stringValue, !id.isEmpty {
      errors.append(.forbidden(path.child("id"), "id is not supported"))
    }
    if schema["additionalProperties"] == .bool(false) {
      errors.append(.forbidden(path.child("additionalProperties"), "additionalProperties cannot be set to false"))
    }
    if schema["additionalProperties"] != nil, schema["properties"]?.objectValue?.isEmpty == false {
      errors.append(
        .forbidden(path.child("additionalProperties"), "additionalProperties and properties are mutual exclusive"))
    }
    let type = schema["type"]?.stringValue ?? ""
    if !type.isEmpty, !["array", "boolean", "integer", "number", "object", "string"].contains(type) {
      errors.append(
        .notSupported(path.child("type"), type, ["array", "boolean", "integer", "number", "object", "string"]))
    }
    if let pattern = schema["pattern"]?.stringValue, !pattern.isEmpty {
      do throws(RE2.SyntaxError) { _ = try RE2(pattern) } catch {
        errors.append(
          .invalid(
            path.child("pattern"), pattern,
            "must be a valid regular expression, but isn't: error parsing regexp: \(error.message)"))
      }
    }
    if schema["items"]?.arrayValue != nil {
      errors.append(.forbidden(path.child("items"), "items must be a schema object and not an array"))
    }
    checkListType(schema, path)
    forEachChild(schema, path) { child, place, logic in
      checkKeywords(child, place, isRoot: false, inLogic: inLogic || logic)
    }
  }

  private mutating func checkListType(_ schema: JSONValue, _ path: FieldPath) {
    let type = schema["type"]?.stringValue ?? ""
    let listType = schema["x-kubernetes-list-type"]?.stringValue
    let keys = schema["x-kubernetes-list-map-keys"]?.arrayValue?.compactMap(\.stringValue) ?? []
    let items = schema["items"]
    if let listType {
      if type != "array" {
        if type.isEmpty {
          errors.append(.required(path.child("type"), "must be array if x-kubernetes-list-type is specified"))
        } else {
          errors.append(.invalid(path.child("type"), type, "must be array if x-kubernetes-list-type is specified"))
        }
      }
      if !["atomic", "set", "map"].contains(listType) {
        errors.append(.notSupported(path.child("x-kubernetes-list-type"), listType, ["atomic", "set", "map"]))
      }
      if listType == "map", keys.isEmpty {
        errors.append(
          .required(path.child("x-kubernetes-list-map-keys"), "must not be empty if x-kubernetes-list-type is map"))
      }
      if listType == "map", let items {
        if items["type"]?.stringValue != "object" {
          errors.append(
            .invalid(
              path.child("items", "type"), items["type"]?.stringValue ?? "",
              "must be object if parent array's x-kubernetes-list-type is map"))
        }
        let required = items["required"]?.arrayValue?.compactMap(\.stringValue) ?? []
        for key in keys {
          guard let property = items["properties"]?[key] else {
            errors.append(
              .invalid(
                path.child("x-kubernetes-list-map-keys"), JSONText(.array(keys.map { .string($0) })),
                "entries must all be names of item properties"))
            continue
          }
          let place = path.child("items", "properties").key(key)
          if property["default"] == nil, !required.contains(key) {
            errors.append(
              .required(
                place.child("default"),
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"))
          }
          if let kind = property["type"]?.stringValue, kind == "array" || kind == "object" {
            errors.append(
              .invalid(
                place.child("type"), kind, "must be a scalar type if parent array's x-kubernetes-list-type is map"))
          }
          if property["nullable"] == .bool(true) {
            errors.append(
              .forbidden(
                place.child("nullable"),
                "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
          }
        }
        if Set(keys).count != keys.count {
          var seen: Set<String> = []
          for (at, key) in keys.enumerated() where !seen.insert(key).inserted {
            errors.append(.duplicate(path.child("x-kubernetes-list-map-keys").index(at), key))
          }
        }
      }
      if listType == "set", let items {
        if items["nullable"] == .bool(true) {
          errors.append(
            .forbidden(path.child("items", "nullable"), "cannot be nullable when x-kubernetes-list-type is set"))
        }
        let kind = items["type"]?.stringValue
        let isAtomicList = kind == "array" && (items["x-kubernetes-list-type"]?.stringValue ?? "atomic") == "atomic"
        let isAtomicMap = kind == "object" && items["x-kubernetes-map-type"]?.stringValue == "atomic"
        if kind == "array", !isAtomicList {
          errors.append(
            .invalid(
              path.child("items", "x-kubernetes-list-type"), items["x-kubernetes-list-type"]?.stringValue ?? "",
              "must be atomic as item of a list with x-kubernetes-list-type=set"))
        } else if kind == "object", !isAtomicMap {
          errors.append(
            .invalid(
              path.child("items", "x-kubernetes-map-type"), items["x-kubernetes-map-type"]?.stringValue ?? "",
              "must be atomic as item of a list with x-kubernetes-list-type=set"))
        }
      }
    } else if !keys.isEmpty {
      errors.append(
        .required(
          path.child("x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty"))
    }
    if let mapType = schema["x-kubernetes-map-type"]?.stringValue {
      if type != "object" {
        errors.append(
          type.isEmpty
            ? .required(path.child("type"), "must be object if x-kubernetes-map-type is specified")
            : .invalid(path.child("type"), type, "must be object if x-kubernetes-map-type is specified"))
      }
      if !["atomic", "granular"].contains(mapType) {
        errors.append(.notSupported(path.child("x-kubernetes-map-type"), mapType, ["atomic", "granular"]))
      }
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == .bool(false) {
      errors.append(
        .invalid(path.child("x-kubernetes-preserve-unknown-fields"), false, "must be true or undefined"))
    }
  }

  /// Calls for each schema inside of another; `logic` for those under allOf, anyOf, oneOf and not.
  func forEachChild(
    _ schema: JSONValue, _ path: FieldPath, _ body: (JSONValue, FieldPath, Bool) -> Void
  ) {
    for (name, child) in (schema["properties"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
      body(child, path.child("properties").key(name), false)
    }
    for name in ["items", "additionalProperties"] {
      if let child = schema[name], child.objectValue != nil { body(child, path.child(name), false) }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
      for (at, child) in (schema[name]?.arrayValue ?? []).enumerated() {
        body(child, path.child(name).index(at), true)
      }
    }
    if let child = schema["not"], child.objectValue != nil { body(child, path.child("not"), true) }
  }

  // MARK: Structure

  private enum Level { case root, field, item }

  private mutating func checkStructure(_ schema: JSONValue, _ path: FieldPath, _ level: Level) {
    func flag(_ name: String) -> Bool { schema[name] == .bool(true) }
    let type = schema["type"]?.stringValue ?? ""
    let isIntOrString = flag("x-kubernetes-int-or-string")
    let preserves = flag("x-kubernetes-preserve-unknown-fields")
    if type.isEmpty, !isIntOrString, !preserves || level == .root {
      let text =
        switch level {
        case .root: "must not be empty at the root"
        case .field: "must not be empty for specified object fields"
        case .item: "must not be empty for specified array items"
        }
      errors.append(.required(path.child("type"), text))
    }
    if level == .root, !type.isEmpty, type != "object" {
      errors.append(.invalid(path.child("type"), type, "must be object at the root"))
    }
    if level == .root, flag("nullable") {
      errors.append(.forbidden(path.child("nullable"), "nullable cannot be true at the root"))
    }
    if isIntOrString, !type.isEmpty {
      errors.append(
        .invalid(path.child("type"), type, "must be empty if x-kubernetes-int-or-string is true"))
    }
    if flag("x-kubernetes-embedded-resource"), type != "object" {
      errors.append(
        type.isEmpty
          ? .required(path.child("type"), "must be object if x-kubernetes-embedded-resource is true")
          : .invalid(path.child("type"), type, "must be object if x-kubernetes-embedded-resource is true"))
    }
    if flag("x-kubernetes-embedded-resource"), !preserves, schema["properties"]?.objectValue?.isEmpty ?? true {
      errors.append(
        .required(
          path.child("properties"),
          "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"))
    }
    if type == "array", schema["items"] == nil {
      errors.append(.required(path.child("items"), "must be specified"))
    }
    if level == .root || flag("x-kubernetes-embedded-resource") { checkMetadata(schema, path) }
    for (name, child) in (schema["properties"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
      checkStructure(child, path.child("properties").key(name), .field)
    }
    if let items = schema["items"], items.objectValue != nil { checkStructure(items, path.child("items"), .item) }
    if let values = schema["additionalProperties"], values.objectValue != nil {
      checkStructure(values, path.child("additionalProperties"), .field)
    }
  }

  private mutating func checkMetadata(_ schema: JSONValue, _ path: FieldPath) {
    guard let metadata = schema["properties"]?["metadata"] else { return }
    let place = path.child("properties").key("metadata")
    let allowed: Set = ["name", "generateName"]
    let names = metadata["properties"]?.objectValue?.keys.filter { !allowed.contains($0) } ?? []
    if !names.isEmpty || metadata["additionalProperties"] != nil
      || metadata["x-kubernetes-preserve-unknown-fields"] != nil
    {
      errors.append(
        .forbidden(
          place, "must not specify anything other than name and generateName, but metadata is implicitly specified"))
    }
  }

  /// What stands under allOf and the like constrains values only, and only fields that the structure has.
  private mutating func checkConstraints(_ schema: JSONValue, _ structure: JSONValue?, _ path: FieldPath) {
    forEachChild(schema, path) { child, place, logic in
      if logic {
        checkConstraint(child, schema, place)
      } else {
        checkConstraints(child, nil, place)
      }
    }
  }

  private static let structuralOnly = [
    "additionalProperties", "default", "description", "nullable", "title", "x-kubernetes-embedded-resource",
    "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
  ]

  private mutating func checkConstraint(_ child: JSONValue, _ structure: JSONValue, _ path: FieldPath) {
    let isIntOrString = structure["x-kubernetes-int-or-string"] == .bool(true)
    if let type = child["type"]?.stringValue, !type.isEmpty, !(isIntOrString && ["integer", "string"].contains(type)) {
      errors.append(.forbidden(path.child("type"), "must be empty to be structural"))
    }
    for name in Self.structuralOnly {
      guard let value = child[name], value != .bool(false), value != .string("") else { continue }
      errors.append(.forbidden(path.child(name), "must be undefined to be structural"))
    }
    for (name, inner) in (child["properties"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
      let place = path.child("properties").key(name)
      guard let known = structure["properties"]?[name] ?? structure["additionalProperties"] else {
        if name != "metadata" && name != "apiVersion" && name != "kind" {
          errors.append(
            .required(
              FieldPath(Self.structuralPath(path)).child("properties").key(name),
              "because it is defined in \(place)"))
        }
        continue
      }
      checkConstraint(inner, known, place)
    }
    if let items = child["items"], items.objectValue != nil {
      if let known = structure["items"] {
        checkConstraint(items, known, path.child("items"))
      } else {
        errors.append(
          .required(
            FieldPath(Self.structuralPath(path)).child("items"), "because it is defined in \(path.child("items"))"))
      }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
      for (at, inner) in (child[name]?.arrayValue ?? []).enumerated() {
        checkConstraint(inner, structure, path.child(name).index(at))
      }
    }
    if let inner = child["not"], inner.objectValue != nil { checkConstraint(inner, structure, path.child("not")) }
  }

  /// A path without its steps through allOf and the like.
  private static func structuralPath(_ path: FieldPath) -> String {
    path.description.split(separator: ".").filter { part in
      !(part.hasPrefix("allOf[") || part.hasPrefix("anyOf[") || part.hasPrefix("oneOf[") || part == "not")
    }.joined(separator: ".")
  }

  // MARK: Defaults

  private mutating func checkDefaults(_ source: JSONValue, _ schema: StructuralSchema, _ path: FieldPath) {
    if let value = schema.defaultValue {
      let place = path.child("default")
      var pruned = value
      schema.prune(&pruned, isRoot: schema.isEmbeddedResource)
      if pruned != value {
        errors.append(.invalid(place, JSONText(value), "must not have unknown fields"))
      } else {
        // Told at the default's place.
        errors += schema.validate(value).map { error in
          var error = error
          error.field = error.field.isEmpty ? place.description : "\(place).\(error.field)"
          return error
        }
        for error in RuleValidator(schema, isRoot: schema.isEmbeddedResource)?.validate(value, old: nil).errors ?? [] {
          var error = error
          error.field = error.field.isEmpty ? place.description : "\(place).\(error.field)"
          errors.append(error)
        }
      }
    }
    for (name, child) in schema.properties.sorted(by: { $0.key < $1.key }) {
      checkDefaults(child.source, child, path.child("properties").key(name))
    }
    if let items = schema.items { checkDefaults(items.source, items, path.child("items")) }
    if let values = schema.additionalProperties {
      checkDefaults(values.source, values, path.child("additionalProperties"))
    }
  }
}
