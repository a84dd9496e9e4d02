public import APIMachinery

/// A schema, or a list of schemas, one per position (`items` of a CRD's schema).
public enum JSONSchemaPropsOrArray: JSONCodable, Sendable, Equatable {
  case schema(JSONSchemaProps)
  case array([JSONSchemaProps])

  /// An empty list.
  public init() { self = .array([]) }

  /// Reads either form.
  public init(from reader: inout JSONReader) throws {
    if try reader.peek() == .array {
      self = .array(try [JSONSchemaProps](from: &reader))
    } else {
      self = .schema(try JSONSchemaProps(from: &reader))
    }
  }

  /// Writes the form it holds.
  public func encode(to writer: inout JSONWriter) {
    switch self {
    case .schema(let schema): schema.encode(to: &writer)
    case .array(let schemas): schemas.encode(to: &writer)
    }
  }
}

/// A schema, or whether anything is allowed (`additionalProperties` of a CRD's schema).
public enum JSONSchemaPropsOrBool: JSONCodable, Sendable, Equatable {
  case allows(Bool)
  case schema(JSONSchemaProps)

  /// Allows nothing.
  public init() { self = .allows(false) }

  /// Reads either form.
  public init(from reader: inout JSONReader) throws {
    if try reader.peek() == .object {
      self = .schema(try JSONSchemaProps(from: &reader))
    } else {
      self = .allows(try Bool(from: &reader))
    }
  }

  /// Writes the form it holds.
  public func encode(to writer: inout JSONWriter) {
    switch self {
    case .allows(let allowed): writer.bool(allowed)
    case .schema(let schema): schema.encode(to: &writer)
    }
  }
}

/// A schema, or the names of properties (`dependencies` of a CRD's schema).
public enum JSONSchemaPropsOrStringArray: JSONCodable, Sendable, Equatable {
  case schema(JSONSchemaProps)
  case properties([String])

  /// No names.
  public init() { self = .properties([]) }

  /// Reads either form.
  public init(from reader: inout JSONReader) throws {
    if try reader.peek() == .array {
      self = .properties(try [String](from: &reader))
    } else {
      self = .schema(try JSONSchemaProps(from: &reader))
    }
  }

  /// Writes the form it holds.
  public func encode(to writer: inout JSONWriter) {
    switch self {
    case .schema(let schema): schema.encode(to: &writer)
    case .properties(let names): names.encode(to: &writer)
    }
  }
}
