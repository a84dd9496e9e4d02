/// A value that can be read from JSON.
public protocol JSONDecodable {
  /// Reads the next value.
  init(from reader: inout JSONReader) throws
}

/// A value that can be written as JSON.
public protocol JSONEncodable {
  /// Writes one value.
  func encode(to writer: inout JSONWriter)
}

/// Both ways.
public typealias JSONCodable = JSONDecodable & JSONEncodable

extension JSONDecodable {
  /// Reads a whole document.
  public static func decode(_ bytes: [UInt8]) throws -> Self {
    try JSONReader.withReader(bytes) { reader in
      let value = try Self(from: &reader)
      try reader.end()
      return value
    }
  }

  /// Reads a whole document that is a part of a larger buffer.
  public static func decode(_ bytes: ArraySlice<UInt8>) throws -> Self {
    try JSONReader.withReader(bytes) { reader in
      let value = try Self(from: &reader)
      try reader.end()
      return value
    }
  }
}

extension JSONEncodable {
  /// This value as a document.
  public func encoded() -> [UInt8] {
    var writer = JSONWriter()
    encode(to: &writer)
    return writer.bytes
  }
}

extension String: JSONDecodable, JSONEncodable {
  public init(from reader: inout JSONReader) throws { self = try reader.readNull() ? "" : reader.string() }
  public func encode(to writer: inout JSONWriter) { writer.string(self) }
}

extension Bool: JSONDecodable, JSONEncodable {
  public init(from reader: inout JSONReader) throws { self = try reader.readNull() ? false : reader.bool() }
  public func encode(to writer: inout JSONWriter) { writer.bool(self) }
}

extension Int32: JSONDecodable, JSONEncodable {
  public init(from reader: inout JSONReader) throws { self = try reader.readNull() ? 0 : reader.int32() }
  public func encode(to writer: inout JSONWriter) { writer.int(Int64(self)) }
}

extension Int64: JSONDecodable, JSONEncodable {
  public init(from reader: inout JSONReader) throws { self = try reader.readNull() ? 0 : reader.int64() }
  public func encode(to writer: inout JSONWriter) { writer.int(self) }
}

extension Int: JSONDecodable, JSONEncodable {
  public init(from reader: inout JSONReader) throws { self = try reader.readNull() ? 0 : Int(reader.int64()) }
  public func encode(to writer: inout JSONWriter) { writer.int(Int64(self)) }
}

extension Double: JSONDecodable, JSONEncodable {
  public init(from reader: inout JSONReader) throws { self = try reader.readNull() ? 0 : reader.double() }
  public func encode(to writer: inout JSONWriter) { writer.double(self) }
}

extension Optional: JSONDecodable where Wrapped: JSONDecodable {
  public init(from reader: inout JSONReader) throws {
    self = try reader.readNull() ? nil : Wrapped(from: &reader)
  }
}

extension Optional: JSONEncodable where Wrapped: JSONEncodable {
  public func encode(to writer: inout JSONWriter) {
    if let self { self.encode(to: &writer) } else { writer.null() }
  }
}

extension Array: JSONDecodable where Element: JSONDecodable {
  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    try reader.beginArray()
    while try reader.nextElement() { append(try Element(from: &reader)) }
  }
}

extension Array: JSONEncodable where Element: JSONEncodable {
  public func encode(to writer: inout JSONWriter) {
    writer.beginArray()
    for element in self { element.encode(to: &writer) }
    writer.endArray()
  }
}

extension Dictionary: JSONDecodable where Key == String, Value: JSONDecodable {
  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    try reader.beginObject()
    while let key = try reader.nextKey() {
      let name = key.string
      self[name] = try Value(from: &reader)
    }
  }
}

extension Dictionary: JSONEncodable where Key == String, Value: JSONEncodable {
  public func encode(to writer: inout JSONWriter) {
    writer.beginObject()
    if count == 1, let (name, value) = first {
      writer.key(name)
      value.encode(to: &writer)
    } else {
      for (name, value) in sorted(by: { bytesPrecede($0.key, $1.key) }) {
        writer.key(name)
        value.encode(to: &writer)
      }
    }
    writer.endObject()
  }
}
