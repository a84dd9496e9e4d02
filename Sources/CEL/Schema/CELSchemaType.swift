public import APIMachinery

/// Kubernetes takes no larger request than this, which bounds every value without a bound of its own.
let largestRequest: UInt64 = 3 * 1024 * 1024

/// A type with a schema: what JSON under it becomes, and how large it may be.
public final class CELSchemaType: Sendable {
  /// How elements of a list are told apart.
  public enum ListType: Sendable { case atomic, set, map }

  /// What the JSON is read as.
  enum Kind: Sendable {
    case dyn, bool, int, double, string, bytes, timestamp, date, duration, intOrString, list, map, object
    /// A quantity of a built-in type: a string for expressions.
    case quantity
    /// An object that expressions make, with whatever fields they name.
    case open
  }

  /// A field: its JSON name and its type.
  public struct Field: Sendable {
    public let jsonName: String
    public let type: CELSchemaType
    public let isRequired: Bool
  }

  let kind: Kind
  /// The type as the checker sees it.
  public let celType: CELType
  let isNullable: Bool
  let listType: ListType
  let listKeys: [String]
  /// The most elements, bytes or entries a value can have; nil where size means nothing.
  let maxSize: UInt64?
  /// The fewest bytes a value takes in JSON.
  let minSerialized: UInt64
  /// Written once by the maker, before anyone else sees the type: types may hold themselves.
  private nonisolated(unsafe) var fieldTable: [String: Field] = [:]
  private nonisolated(unsafe) var elementType: CELSchemaType?

  init(
    _ kind: Kind, _ celType: CELType, isNullable: Bool = false, element: CELSchemaType? = nil,
    fields: [String: Field] = [:], listType: ListType = .atomic, listKeys: [String] = [], maxSize: UInt64? = nil,
    minSerialized: UInt64 = 2
  ) {
    self.kind = kind
    self.celType = celType
    self.isNullable = isNullable
    self.listType = listType
    self.listKeys = listKeys
    self.maxSize = maxSize
    self.minSerialized = minSerialized
    elementType = element
    fieldTable = fields
  }

  func complete(fields: [String: Field]) { fieldTable = fields }

  /// Of a list's elements or a map's values.
  public var element: CELSchemaType? { elementType }

  /// The field that expressions call so.
  public func field(_ name: String) -> Field? { fieldTable[name] }

  /// The names expressions use, sorted.
  public var fieldNames: [String] { fieldTable.keys.sorted() }

  func fieldCELType(_ name: String) -> CELType? { takesAnyField ? .dyn : fieldTable[name]?.type.celType }

  /// Whether every field exists, of any type.
  private var takesAnyField: Bool { kind == .open }

  static func open(_ name: String) -> CELSchemaType { CELSchemaType(.open, .object(name)) }

  var children: [CELSchemaType] { fieldTable.values.map(\.type) + (elementType.map { [$0] } ?? []) }

  /// How many values of this type fit, as elements of a list or values of a map, into the largest request.
  public func largestCount(isMap: Bool) -> UInt64 {
    (largestRequest - 2) / (minSerialized + (isMap ? 6 : 1))
  }

  static let untyped = CELSchemaType(.dyn, .dyn, isNullable: true)

  /// Objects that expressions make, or that the server itself describes: fields by name and type.
  public static func object(_ name: String, _ fields: [(String, CELSchemaType)]) -> CELSchemaType {
    let table = fields.map { ($0.0, Field(jsonName: $0.0, type: $0.1, isRequired: false)) }
    return CELSchemaType(.object, .object(name), fields: Dictionary(table, uniquingKeysWith: { $1 }))
  }

  /// A type with nothing but its CEL type.
  public static func plain(_ type: CELType) -> CELSchemaType {
    switch type {
    case .bool: CELSchemaType(.bool, type)
    case .int: CELSchemaType(.int, type)
    case .double: CELSchemaType(.double, type)
    case .string: CELSchemaType(.string, type)
    case .bytes: CELSchemaType(.bytes, type)
    case .timestamp: CELSchemaType(.timestamp, type)
    case .duration: CELSchemaType(.duration, type)
    case .list(let element): CELSchemaType(.list, type, element: .plain(element))
    case .map(_, let value): CELSchemaType(.map, type, element: .plain(value))
    default: CELSchemaType(.dyn, type, isNullable: true)
    }
  }
}

extension CELValue {
  /// What JSON is in an expression. Lists, maps and objects stay JSON until they are looked into.
  public init(json: JSONValue, schema: CELSchemaType? = nil) throws(CELError) {
    guard let schema, schema.kind != .dyn else {
      switch json {
      case .null: self = .null
      case .bool(let v): self = .bool(v)
      case .int(let v): self = .int(v)
      case .double(let v): self = .double(v)
      case .string(let v): self = .string(v)
      case .array(let v): self = .list(CELList(json: v, schema: nil))
      case .object(let v): self = .map(CELMap(json: v, schema: nil))
      }
      return
    }
    if case .null = json {
      guard schema.isNullable else { throw CELError("invalid data, got null for schema with nullable=false") }
      self = .null
      return
    }
    func invalid(_ wanted: String) -> CELError { CELError("invalid data, expected \(wanted)") }
    switch schema.kind {
    case .dyn, .open: self = .null
    case .bool:
      guard case .bool(let v) = json else { throw invalid("a bool") }
      self = .bool(v)
    case .int:
      guard let v = json.intValue else { throw invalid("an integer") }
      self = .int(v)
    case .double:
      guard let v = json.doubleValue else { throw invalid("a number") }
      self = .double(v)
    case .intOrString, .quantity:
      switch json {
      case .int(let v): self = .int(v)
      case .double(let v) where schema.kind == .quantity: self = .double(v)
      case .string(let v): self = .string(v)
      default: throw CELError("invalid data, expected XIntOrString value to be either a string or integer")
      }
    case .string:
      guard case .string(let v) = json else { throw invalid("a string") }
      self = .string(v)
    case .bytes:
      guard case .string(let v) = json, let bytes = Base64Bytes(base64: v) else {
        throw CELError("invalid byte formatted string")
      }
      self = .bytes(bytes.bytes)
    case .timestamp:
      guard case .string(let v) = json, let time = CELTimestamp(v) else {
        throw CELError("invalid date-time formatted string")
      }
      self = .timestamp(time)
    case .date:
      guard case .string(let v) = json, let time = CELTimestamp(v.count == 10 ? v + "T00:00:00Z" : v) else {
        throw CELError("invalid date formatted string")
      }
      self = .timestamp(time)
    case .duration:
      guard case .string(let v) = json, let length = GoDuration(parsing: v) else {
        throw CELError("invalid duration formatted string")
      }
      self = .duration(length.nanoseconds)
    case .list:
      guard case .array(let v) = json else { throw CELError("invalid data, expected an array") }
      self = .list(CELList(json: v, schema: schema))
    case .map:
      guard case .object(let v) = json else { throw CELError("invalid data, expected a map") }
      self = .map(CELMap(json: v, schema: schema))
    case .object:
      guard case .object(let v) = json else { throw CELError("invalid data, expected map[string]interface{}") }
      self = .object(CELObject(json: v, schema: schema))
    }
  }

  /// The JSON form of a value; numbers that JSON cannot hold and types of libraries have none.
  public func json() throws(CELError) -> JSONValue {
    switch self {
    case .null: return .null
    case .bool(let v): return .bool(v)
    case .int(let v): return .int(v)
    case .uint(let v): return v <= UInt64(Int64.max) ? .int(Int64(v)) : .double(Double(v))
    case .double(let v):
      guard v.isFinite else { throw CELError("cannot convert \(plainText) to JSON") }
      return .double(v)
    case .string(let v): return .string(v)
    case .bytes(let v): return .string(Base64Bytes(v).base64)
    case .timestamp(let v): return .string(v.text)
    case .duration(let v): return .string(GoDuration(nanoseconds: v).description)
    case .list(let list):
      if case .json(let raw, _) = list.content { return .array(raw) }
      var out: [JSONValue] = []
      for value in try list.elements() { out.append(try value.json()) }
      return .array(out)
    case .map(let map):
      if case .json(let raw, _) = map.content { return .object(raw) }
      var out: [String: JSONValue] = [:]
      for key in map.keys {
        guard case .string(let name) = key else { throw CELError("map key must be a string, got \(key.plainText)") }
        out[name] = try map.value(key)?.json()
      }
      return .object(out)
    case .object(let object):
      switch object.content {
      case .json(let raw, _): return .object(raw)
      case .fields(let fields):
        var out: [String: JSONValue] = [:]
        for (name, value) in fields { out[name] = try value.json() }
        return .object(out)
      case .deferred(let fields):
        var out: [String: JSONValue] = [:]
        for name in fields.names { out[name] = try fields.value(name)?.json() }
        return .object(out)
      }
    case .optional(let inner):
      guard let inner else { throw CELError("optional.none() dereference") }
      return try inner.json()
    case .type, .opaque: throw CELError("unsupported conversion of type '\(type.runtimeName)' to JSON")
    }
  }
}
