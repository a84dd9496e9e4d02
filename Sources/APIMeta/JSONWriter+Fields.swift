public import APIMachinery

// One call per field keeps generated encoders short. The plain forms leave an empty value out, `…Always` writes it.
extension JSONWriter {
  /// A string, left out when empty.
  @inlinable public mutating func string(_ name: StaticString, _ value: String) {
    if !value.isEmpty { stringAlways(name, value) }
  }

  /// A string.
  @inlinable public mutating func stringAlways(_ name: StaticString, _ value: String) {
    key(name)
    string(value)
  }

  /// A boolean, left out when false.
  @inlinable public mutating func bool(_ name: StaticString, _ value: Bool) {
    if value { boolAlways(name, value) }
  }

  /// A boolean.
  @inlinable public mutating func boolAlways(_ name: StaticString, _ value: Bool) {
    key(name)
    bool(value)
  }

  /// A number, left out when zero.
  @inlinable public mutating func int32(_ name: StaticString, _ value: Int32) {
    if value != 0 { int32Always(name, value) }
  }

  /// A number.
  @inlinable public mutating func int32Always(_ name: StaticString, _ value: Int32) {
    key(name)
    int(Int64(value))
  }

  /// A number, left out when zero.
  @inlinable public mutating func int64(_ name: StaticString, _ value: Int64) {
    if value != 0 { int64Always(name, value) }
  }

  /// A number.
  @inlinable public mutating func int64Always(_ name: StaticString, _ value: Int64) {
    key(name)
    int(value)
  }

  /// A number, left out when zero.
  @inlinable public mutating func double(_ name: StaticString, _ value: Double) {
    if value != 0 { doubleAlways(name, value) }
  }

  /// A number.
  @inlinable public mutating func doubleAlways(_ name: StaticString, _ value: Double) {
    key(name)
    double(value)
  }

  /// A time, left out when zero.
  @inlinable public mutating func time(_ name: StaticString, _ value: Time) {
    if !value.isZero { timeAlways(name, value) }
  }

  /// A time; null when zero.
  @inlinable public mutating func timeAlways(_ name: StaticString, _ value: Time) {
    key(name)
    value.encode(to: &self)
  }

  /// A time, left out when zero.
  @inlinable public mutating func time(_ name: StaticString, _ value: MicroTime) {
    if !value.isZero { timeAlways(name, value) }
  }

  /// A time; null when zero.
  @inlinable public mutating func timeAlways(_ name: StaticString, _ value: MicroTime) {
    key(name)
    value.encode(to: &self)
  }

  /// Bytes as base64, left out when empty.
  @inlinable public mutating func bytes(_ name: StaticString, _ value: Base64Bytes) {
    if !value.bytes.isEmpty {
      key(name)
      value.encode(to: &self)
    }
  }

  /// Bytes as base64; null when empty.
  @inlinable public mutating func bytesAlways(_ name: StaticString, _ value: Base64Bytes) {
    key(name)
    if value.bytes.isEmpty { null() } else { value.encode(to: &self) }
  }

  /// A tree, left out when null.
  @inlinable public mutating func json(_ name: StaticString, _ value: JSONValue) {
    if value != .null { jsonAlways(name, value) }
  }

  /// A tree.
  @inlinable public mutating func jsonAlways(_ name: StaticString, _ value: JSONValue) {
    key(name)
    self.value(value)
  }

  /// A structure; Go never leaves one out.
  @inlinable public mutating func object<T: JSONEncodable>(_ name: StaticString, _ value: T) {
    key(name)
    value.encode(to: &self)
  }

  /// A value that may be absent.
  @inlinable public mutating func optional<T: JSONEncodable>(_ name: StaticString, _ value: T?) {
    if let value {
      key(name)
      value.encode(to: &self)
    }
  }

  /// A value that may be absent; null then.
  @inlinable public mutating func optionalAlways<T: JSONEncodable>(_ name: StaticString, _ value: T?) {
    key(name)
    if let value { value.encode(to: &self) } else { null() }
  }

  /// A list, left out when empty.
  @inlinable public mutating func list<T: JSONEncodable>(_ name: StaticString, _ value: [T]) {
    if !value.isEmpty {
      key(name)
      value.encode(to: &self)
    }
  }

  /// A list; null when empty, as Go writes a nil slice.
  @inlinable public mutating func listAlways<T: JSONEncodable>(_ name: StaticString, _ value: [T]) {
    key(name)
    if value.isEmpty { null() } else { value.encode(to: &self) }
  }

  /// A map, left out when empty.
  @inlinable public mutating func map<T: JSONEncodable>(_ name: StaticString, _ value: [String: T]) {
    if !value.isEmpty {
      key(name)
      value.encode(to: &self)
    }
  }

  /// A map; null when empty, as Go writes a nil map.
  @inlinable public mutating func mapAlways<T: JSONEncodable>(_ name: StaticString, _ value: [String: T]) {
    key(name)
    if value.isEmpty { null() } else { value.encode(to: &self) }
  }

  /// A list of whole objects, each with its kind and apiVersion as upstream writes embedded ones; left out when empty.
  public mutating func typedList<T: APIObject>(_ name: StaticString, _ value: [T]) {
    if value.isEmpty { return }
    key(name)
    beginArray()
    for object in value { raw(object.encodedWithType()) }
    endArray()
  }
}
