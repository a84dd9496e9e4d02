public import APIMachinery
import Synchronization

/// A value of the Common Expression Language.
public enum CELValue: Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case uint(UInt64)
  case double(Double)
  case string(String)
  case bytes([UInt8])
  case timestamp(CELTimestamp)
  /// Nanoseconds.
  case duration(Int64)
  case list(CELList)
  case map(CELMap)
  case object(CELObject)
  case type(CELType)
  indirect case optional(CELValue?)
  case opaque(any CELOpaque)

  /// A list of values.
  public static func list(_ values: [CELValue]) -> CELValue { .list(CELList(values)) }

  /// A map with string keys.
  public static func map(_ members: [(String, CELValue)]) -> CELValue {
    .map(CELMap(keys: members.map { .string($0.0) }, values: members.map(\.1)))
  }

  /// The value's type as `type()` sees it: parameters are dyn.
  public var type: CELType {
    switch self {
    case .null: .null
    case .bool: .bool
    case .int: .int
    case .uint: .uint
    case .double: .double
    case .string: .string
    case .bytes: .bytes
    case .timestamp: .timestamp
    case .duration: .duration
    case .list: .list(.dyn)
    case .map: .map(.dyn, .dyn)
    case .object(let object): .object(object.typeName)
    case .type: .type(.dyn)
    case .optional: .optional(.dyn)
    case .opaque(let value): .opaque(value.typeName, [])
    }
  }
}

/// A value of a library's own type.
public protocol CELOpaque: AnyObject, Sendable {
  /// The name of the type.
  var typeName: String { get }
  /// Whether both are the same value.
  func isEqual(to other: any CELOpaque) -> Bool
}

/// Why an evaluation gave no value.
public struct CELError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What the caller may have to tell apart.
  public enum Kind: Sendable, Hashable { case evaluation, costLimit }
  public var kind: Kind
  public var message: String
  public var description: String { message }

  public init(_ message: String, kind: Kind = .evaluation) {
    self.message = message
    self.kind = kind
  }

  static let noSuchOverload = CELError("no such overload")
  static let divisionByZero = CELError("division by zero")
  static let modulusByZero = CELError("modulus by zero")
  static let intOverflow = CELError("integer overflow")
  static let uintOverflow = CELError("unsigned integer overflow")
  static let timestampOverflow = CELError("timestamp overflow")
  static let durationOverflow = CELError("duration overflow")
  static func noSuchKey(_ key: CELValue) -> CELError { CELError("no such key: \(key.plainText)") }
  static func noSuchField(_ name: String) -> CELError { CELError("no such field '\(name)'") }
  static func noSuchAttribute(_ name: String) -> CELError { CELError("no such attribute(s): \(name)") }
}

/// A list: of values, or of JSON that becomes values as it is looked at.
public final class CELList: Sendable {
  enum Content: Sendable {
    case values([CELValue])
    case json([JSONValue], CELSchemaType?)
  }
  let content: Content

  /// Of values.
  public init(_ values: [CELValue]) { content = .values(values) }

  /// Of JSON, under the schema of the list.
  public init(json: [JSONValue], schema: CELSchemaType?) { content = .json(json, schema) }

  /// How many elements there are.
  public var count: Int {
    switch content {
    case .values(let values): values.count
    case .json(let values, _): values.count
    }
  }

  /// The element at a place that exists.
  public func element(_ index: Int) throws(CELError) -> CELValue {
    switch content {
    case .values(let values): return values[index]
    case .json(let values, let schema): return try CELValue(json: values[index], schema: schema?.element)
    }
  }

  /// All elements.
  public func elements() throws(CELError) -> [CELValue] {
    if case .values(let values) = content { return values }
    var out: [CELValue] = []
    out.reserveCapacity(count)
    for i in 0..<count { out.append(try element(i)) }
    return out
  }

  var listType: CELSchemaType.ListType {
    if case .json(_, let schema?) = content { schema.listType } else { .atomic }
  }

  var listKeys: [String] {
    if case .json(_, let schema?) = content { schema.listKeys } else { [] }
  }
}

/// A key of a map, equal across the numeric types.
enum CELKey: Hashable, Sendable {
  case bool(Bool)
  case int(Int64)
  /// Only what no int64 holds.
  case uint(UInt64)
  case string([UInt8])

  init?(_ value: CELValue) {
    switch value {
    case .bool(let v): self = .bool(v)
    case .int(let v): self = .int(v)
    case .uint(let v): self = v <= UInt64(Int64.max) ? .int(Int64(v)) : .uint(v)
    case .double(let v):
      if let int = Int64(exactly: v) {
        self = .int(int)
      } else if let uint = UInt64(exactly: v) {
        self = .uint(uint)
      } else {
        return nil
      }
    case .string(let v): self = .string(Array(v.utf8))
    default: return nil
    }
  }
}

/// A map: of values, or of a JSON object that becomes values as it is looked at.
public final class CELMap: Sendable {
  enum Content: Sendable {
    case values([CELValue], [CELValue], [CELKey: Int])
    case json([String: JSONValue], CELSchemaType?)
  }
  let content: Content

  /// Of values; a key that comes twice counts once, with its last value.
  public init(keys: [CELValue], values: [CELValue]) {
    var index: [CELKey: Int] = [:]
    index.reserveCapacity(keys.count)
    var kept: (keys: [CELValue], values: [CELValue]) = ([], [])
    for (key, value) in zip(keys, values) {
      guard let hashable = CELKey(key) else { continue }
      if let old = index[hashable] {
        kept.values[old] = value
      } else {
        index[hashable] = kept.keys.count
        kept.keys.append(key)
        kept.values.append(value)
      }
    }
    content = .values(kept.keys, kept.values, index)
  }

  /// Of a JSON object, under the schema of the map.
  public init(json: [String: JSONValue], schema: CELSchemaType?) { content = .json(json, schema) }

  /// How many entries there are.
  public var count: Int {
    switch content {
    case .values(let keys, _, _): keys.count
    case .json(let members, _): members.count
    }
  }

  /// The value of a key, if it is there.
  public func value(_ key: CELValue) throws(CELError) -> CELValue? {
    switch content {
    case .values(_, let values, let index):
      guard let hashable = CELKey(key), let at = index[hashable] else { return nil }
      return values[at]
    case .json(let members, let schema):
      guard case .string(let name) = key, let value = members[name] else { return nil }
      return try CELValue(json: value, schema: schema?.element)
    }
  }

  /// Whether a key is there.
  public func contains(_ key: CELValue) -> Bool {
    switch content {
    case .values(_, _, let index): CELKey(key).map { index[$0] != nil } ?? false
    case .json(let members, _): if case .string(let name) = key { members[name] != nil } else { false }
    }
  }

  /// The keys, in the order they were written in, or sorted where they had none.
  public var keys: [CELValue] {
    switch content {
    case .values(let keys, _, _): keys
    case .json(let members, _): members.keys.sorted().map { .string($0) }
    }
  }
}

/// An object with named fields: a message that an expression made, or JSON under a schema.
public final class CELObject: Sendable {
  enum Content: Sendable {
    case fields([String: CELValue])
    case json([String: JSONValue], CELSchemaType)
    case deferred(DeferredFields)
  }
  /// The name of its type.
  public let typeName: String
  let content: Content

  /// Of values.
  public init(typeName: String, fields: [String: CELValue]) {
    self.typeName = typeName
    content = .fields(fields)
  }

  /// Of JSON under the schema of the object.
  public init(json: [String: JSONValue], schema: CELSchemaType) {
    typeName = schema.celType.runtimeName
    content = .json(json, schema)
  }

  /// Of fields whose values are found when they are first asked for, each once.
  public init(typeName: String, deferred: [String: @Sendable () -> Result<CELValue, CELError>]) {
    self.typeName = typeName
    content = .deferred(DeferredFields(deferred))
  }

  /// A field's value; nil where it is not set.
  public func field(_ name: String) throws(CELError) -> CELValue? {
    switch content {
    case .fields(let fields): return fields[name]
    case .json(let members, let schema):
      guard let field = schema.field(name), let value = members[field.jsonName] else { return nil }
      return try CELValue(json: value, schema: field.type)
    case .deferred(let fields): return try fields.value(name)
    }
  }

  /// Whether a field is set.
  public func has(_ name: String) -> Bool {
    switch content {
    case .fields(let fields): fields[name] != nil
    case .json(let members, let schema): schema.field(name).map { members[$0.jsonName] != nil } ?? false
    case .deferred(let fields): fields.names.contains(name)
    }
  }

  /// The names of the fields that are set.
  var setFields: [String] {
    switch content {
    case .fields(let fields): fields.keys.sorted()
    case .json(let members, let schema): schema.fieldNames.filter { has($0) && members.count > 0 }
    case .deferred(let fields): fields.names
    }
  }
}

/// Fields that are computed on demand.
final class DeferredFields: Sendable {
  let names: [String]
  private let makers: [String: @Sendable () -> Result<CELValue, CELError>]
  private let known = Mutex<[String: Result<CELValue, CELError>]>([:])

  init(_ makers: [String: @Sendable () -> Result<CELValue, CELError>]) {
    self.makers = makers
    names = makers.keys.sorted()
  }

  func value(_ name: String) throws(CELError) -> CELValue? {
    if let result = known.withLock({ $0[name] }) { return try result.get() }
    guard let make = makers[name] else { return nil }
    let result = make()
    known.withLock { $0[name] = result }
    return try result.get()
  }
}
