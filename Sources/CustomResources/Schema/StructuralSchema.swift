public import APIMachinery
import CEL

/// A structural OpenAPI v3 schema of a CustomResourceDefinition, read once and used for every object.
///
/// Follows KEP-1152 (structural schemas): the shape of a value stands outside of `allOf`, `anyOf`, `oneOf` and `not`;
/// what stands inside of them only constrains values.
public final class StructuralSchema: Sendable {
  /// How elements of a list belong together.
  public enum ListType: String, Sendable { case atomic, set, map }

  public let type: String
  public let isNullable: Bool
  public let properties: [String: StructuralSchema]
  public let items: StructuralSchema?
  /// The schema of all members that `properties` does not name.
  public let additionalProperties: StructuralSchema?
  /// `additionalProperties: true`: any member may be there.
  public let allowsAnyProperties: Bool
  public let preservesUnknownFields: Bool
  public let isEmbeddedResource: Bool
  public let isIntOrString: Bool
  public let listType: ListType
  public let listMapKeys: [String]
  /// Whether the map is taken as one value by apply.
  public let isAtomicMap: Bool
  public let defaultValue: JSONValue?
  let constraints: ValueConstraints
  let rules: [JSONValue]
  /// Whether anything below has a default, and whether anything below has a rule.
  let hasDefaults: Bool
  public let hasRules: Bool
  /// The schema as it was written.
  public let source: JSONValue

  /// Reads a schema as it stands in a CustomResourceDefinition.
  public init(_ source: JSONValue) {
    self.source = source
    func flag(_ name: String) -> Bool { source[name] == .bool(true) }
    type = source["type"]?.stringValue ?? ""
    isNullable = flag("nullable")
    properties = (source["properties"]?.objectValue ?? [:]).mapValues { StructuralSchema($0) }
    items = source["items"].flatMap { $0.objectValue == nil ? nil : StructuralSchema($0) }
    let more = source["additionalProperties"]
    additionalProperties = more.flatMap { $0.objectValue == nil ? nil : StructuralSchema($0) }
    allowsAnyProperties = more == .bool(true)
    preservesUnknownFields = flag("x-kubernetes-preserve-unknown-fields")
    isEmbeddedResource = flag("x-kubernetes-embedded-resource")
    isIntOrString = flag("x-kubernetes-int-or-string")
    listType = source["x-kubernetes-list-type"]?.stringValue.flatMap(ListType.init(rawValue:)) ?? .atomic
    listMapKeys = source["x-kubernetes-list-map-keys"]?.arrayValue?.compactMap(\.stringValue) ?? []
    isAtomicMap = source["x-kubernetes-map-type"]?.stringValue == "atomic"
    defaultValue = source["default"]
    constraints = ValueConstraints(source)
    rules = source["x-kubernetes-validations"]?.arrayValue ?? []
    let children = Array(properties.values) + [items, additionalProperties].compactMap { $0 }
    hasDefaults = children.contains { $0.hasDefaults || $0.defaultValue != nil }
    hasRules = !rules.isEmpty || children.contains(where: \.hasRules)
  }

  /// The schema of a member; nil for one that the schema does not know.
  func member(_ name: String) -> StructuralSchema? { properties[name] ?? additionalProperties }
}

/// What a schema asks of a value beside its shape.
final class ValueConstraints: Sendable {
  let type: String
  let isNullable: Bool
  let isIntOrString: Bool
  let required: [String]
  let enumValues: [JSONValue]
  let format: String
  let pattern: String
  let expression: RE2?
  let maximum: Double?
  let minimum: Double?
  let exclusiveMaximum: Bool
  let exclusiveMinimum: Bool
  let multipleOf: Double?
  let maxLength: Int64?
  let minLength: Int64?
  let maxItems: Int64?
  let minItems: Int64?
  let maxProperties: Int64?
  let minProperties: Int64?
  let uniqueItems: Bool
  let allOf: [ValueConstraints]
  let anyOf: [ValueConstraints]
  let oneOf: [ValueConstraints]
  let not: ValueConstraints?
  let properties: [String: ValueConstraints]
  let items: ValueConstraints?
  let additionalProperties: ValueConstraints?

  init(_ source: JSONValue) {
    func bound(_ name: String) -> Int64? { source[name]?.intValue }
    func all(_ name: String) -> [ValueConstraints] { (source[name]?.arrayValue ?? []).map { ValueConstraints($0) } }
    type = source["type"]?.stringValue ?? ""
    isNullable = source["nullable"] == .bool(true)
    isIntOrString = source["x-kubernetes-int-or-string"] == .bool(true)
    required = source["required"]?.arrayValue?.compactMap(\.stringValue) ?? []
    enumValues = source["enum"]?.arrayValue ?? []
    format = source["format"]?.stringValue ?? ""
    pattern = source["pattern"]?.stringValue ?? ""
    expression = pattern.isEmpty ? nil : try? RE2(pattern)
    maximum = source["maximum"]?.doubleValue
    minimum = source["minimum"]?.doubleValue
    exclusiveMaximum = source["exclusiveMaximum"] == .bool(true)
    exclusiveMinimum = source["exclusiveMinimum"] == .bool(true)
    multipleOf = source["multipleOf"]?.doubleValue
    maxLength = bound("maxLength")
    minLength = bound("minLength")
    maxItems = bound("maxItems")
    minItems = bound("minItems")
    maxProperties = bound("maxProperties")
    minProperties = bound("minProperties")
    uniqueItems = source["uniqueItems"] == .bool(true)
    allOf = all("allOf")
    anyOf = all("anyOf")
    oneOf = all("oneOf")
    not = source["not"].map { ValueConstraints($0) }
    properties = (source["properties"]?.objectValue ?? [:]).mapValues { ValueConstraints($0) }
    func schema(_ name: String) -> ValueConstraints? {
      source[name].flatMap { $0.objectValue == nil ? nil : ValueConstraints($0) }
    }
    items = schema("items")
    additionalProperties = schema("additionalProperties")
  }
}
