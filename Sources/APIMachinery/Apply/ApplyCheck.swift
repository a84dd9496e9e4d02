/// What an applied configuration says that its type cannot hold, in the words of upstream's typed values.
struct ApplyCheck {
  private(set) var errors: [(path: String, message: String)] = []

  init(_ config: JSONValue, _ schema: Schema) {
    check(config, .structure(schema), schema, nil, "")
  }

  /// One error stands alone, several form a list.
  var message: String? {
    switch errors.count {
    case 0: nil
    case 1: "\(errors[0].path): \(errors[0].message)"
    default: "errors:\n" + errors.map { "  \($0.path): \($0.message)" }.joined(separator: "\n")
    }
  }

  private mutating func complain(_ path: String, _ message: String) { errors.append((path, message)) }

  private mutating func check(
    _ value: JSONValue, _ shape: Shape, _ schema: Schema?, _ type: SchemaFieldType?, _ path: String
  ) {
    if value.isNull { return }
    if let type { guard fits(value, type, path) else { return } }
    switch (shape, value) {
    case (.structure(let schema), .object(let members)):
      for name in members.keys.sortedByBytes() {
        guard let member = members[name] else { continue }
        guard let field = schema.field(name) else {
          if !schema.preservesUnknownFields { complain("\(path).\(name)", "field not declared in schema") }
          continue
        }
        check(member, field.shape, field.target, field.type, "\(path).\(name)")
      }
    case (.map(let element), .object(let members)):
      guard case .map(let elementType)? = type else { return }
      for name in members.keys.sortedByBytes() {
        guard let member = members[name] else { continue }
        check(member, element, schema, elementType, "\(path).\(name)")
      }
    case (.list(let keys, let schema), .array(let items)):
      for (i, item) in items.enumerated() {
        for key in keys where item[key] == nil && schema.defaultValue(ofKey: key) == nil {
          complain(
            path + "[\(i)]",
            "associative list with keys has an element that omits key field \(goQuoted(key)) (and doesn't have default value)"
          )
        }
        let step = schema.pathElement(of: item, keys: keys)
        check(item, .structure(schema), schema, nil, path + (step.map(Self.shown) ?? "[\(i)]"))
      }
      duplicates(items, shape, path)
    case (.set, .array(let items)): duplicates(items, shape, path)
    default: break
    }
  }

  private static func shown(_ step: String) -> String {
    var set = FieldSet()
    set.children[step] = .leaf
    return set.paths.first ?? ""
  }

  private mutating func duplicates(_ items: [JSONValue], _ shape: Shape, _ path: String) {
    if let step = ItemIndex(items, shape).firstDuplicate {
      complain(path, "duplicate entries for key \(Self.shown(step))")
    }
  }

  private mutating func fits(_ value: JSONValue, _ type: SchemaFieldType, _ path: String) -> Bool {
    let wanted: String
    switch (type, value) {
    case (.string, .string), (.bytes, .string), (.boolean, .bool), (.double, .double), (.double, .int),
      (.int32, .int), (.int64, .int), (.int32, .double), (.int64, .double), (.object, .object), (.map, .object),
      (.list, .array):
      return true
    case (.string, _), (.bytes, _): wanted = "string"
    case (.boolean, _): wanted = "boolean"
    case (.int32, _), (.int64, _), (.double, _): wanted = "numeric (int or float)"
    case (.object, _), (.map, _): wanted = "map"
    case (.list, _): wanted = "list"
    default: return true
    }
    complain(path, "expected \(wanted), got \(Self.described(value))")
    return false
  }

  private static func described(_ value: JSONValue) -> String {
    switch value {
    case .string(let text): "&value.valueUnstructured{Value:\"\(text)\"}"
    case .int(let number): "&value.valueUnstructured{Value:\(number)}"
    case .double(let number): "&value.valueUnstructured{Value:\(goNumber(number))}"
    case .bool(let flag): "&value.valueUnstructured{Value:\(flag)}"
    case .array: "&value.valueUnstructured{Value:[]interface {}{…}}"
    case .object: "&value.valueUnstructured{Value:map[string]interface {}{…}}"
    case .null: "null"
    }
  }
}
