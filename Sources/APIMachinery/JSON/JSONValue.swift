/// A JSON tree: patches, apply and objects without a type.
public enum JSONValue: Sendable, Hashable, JSONCodable {
  /// `null`
  case null
  /// `true`, `false`
  case bool(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case int(Int64)
  /// Any other number.
  case double(Double)
  /// A string.
  case string(String)
  /// An array.
  case array([JSONValue])
  /// An object.
  case object([String: JSONValue])

  /// Reads a whole document.
  public init(parsing bytes: [UInt8]) throws { self = try Self.decode(bytes) }

  public init(from reader: inout JSONReader) throws { self = try reader.value() }

  public func encode(to writer: inout JSONWriter) { writer.value(self) }

  /// A member of an object; setting nil removes it, setting on null makes an object.
  public subscript(key: String) -> JSONValue? {
    get {
      guard case .object(let members) = self else { return nil }
      return members[key]
    }
    set {
      switch self {
      case .object(var members):
        self = .null  // so that the dictionary is changed in place
        members[key] = newValue
        self = .object(members)
      case .null:
        if let newValue { self = .object([key: newValue]) }
      default: break
      }
    }
  }

  /// The string, if it is one.
  public var stringValue: String? {
    if case .string(let v) = self { v } else { nil }
  }

  /// The integer, if it is one (a double with an integral value counts).
  public var intValue: Int64? {
    switch self {
    case .int(let v): v
    case .double(let v): Int64(exactly: v)
    default: nil
    }
  }

  /// The number as a double, if it is one.
  public var doubleValue: Double? {
    switch self {
    case .int(let v): Double(v)
    case .double(let v): v
    default: nil
    }
  }

  /// The boolean, if it is one.
  public var boolValue: Bool? {
    if case .bool(let v) = self { v } else { nil }
  }

  /// The elements, if it is an array.
  public var arrayValue: [JSONValue]? {
    if case .array(let v) = self { v } else { nil }
  }

  /// The members, if it is an object.
  public var objectValue: [String: JSONValue]? {
    if case .object(let v) = self { v } else { nil }
  }

  /// Whether this is null.
  public var isNull: Bool { self == .null }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
  }
}

extension JSONReader {
  /// The next value as a tree.
  public mutating func value() throws -> JSONValue {
    switch try peek() {
    case .null:
      _ = try readNull()
      return .null
    case .bool: return .bool(try bool())
    case .string: return .string(try string())
    case .number:
      let start = position
      let (range, whole) = try numberRange()
      if whole, let value = int64(in: range) { return .int(value) }
      guard let value = double(in: range), value.isFinite else {
        let text = String(decoding: bytes(in: range), as: UTF8.self)
        throw JSONError(found: "number \(text)", wanted: "float64", offset: start)
      }
      return .double(value)
    case .array:
      var items: [JSONValue] = []
      try beginArray()
      while try nextElement() { items.append(try value()) }
      return .array(items)
    case .object:
      try beginObject()
      guard let first = try nextKey() else { return .object([:]) }
      var members: [String: JSONValue] = [:]
      members.reserveCapacity(6)  // most have few; growing one by one would hash each name several times
      var name = first.string
      while true {
        members[name] = try value()
        guard let key = try nextKey() else { return .object(members) }
        name = key.string
      }
    }
  }
}
