import API
import APIMachinery

/// An object as the byte ranges of its top-level fields: enough to keep spec and status apart without
/// building anything.
struct RawObject {
  private(set) var fields: [(name: String, bytes: ArraySlice<UInt8>)] = []

  init() {}

  init(_ bytes: [UInt8]) throws {
    try JSONReader.withReader(bytes) { reader in
      try reader.beginObject()
      while let key = try reader.nextKey() {
        let name = key.string
        let range = try reader.skipValue()
        fields.append((name, bytes[range]))
      }
      try reader.end()
    }
  }

  subscript(name: String) -> ArraySlice<UInt8>? {
    get { fields.last { $0.name == name }?.bytes }
    set {
      let at = fields.firstIndex { $0.name == name }
      fields.removeAll { $0.name == name }
      guard let newValue else { return }
      fields.insert((name, newValue), at: min(at ?? fields.count, fields.count))
    }
  }

  /// A field's value if it is a string.
  func string(_ name: String) -> String? {
    guard let bytes = self[name], let value = try? JSONValue(parsing: Array(bytes)) else { return nil }
    return value.stringValue
  }

  /// Metadata first, without type.
  func encoded() -> [UInt8] {
    var writer = JSONWriter(capacity: fields.reduce(64) { $0 + $1.bytes.count + $1.name.utf8.count + 4 })
    writer.beginObject()
    writer.key("metadata")
    writer.raw(self["metadata"] ?? ArraySlice("{}".utf8))
    for field in fields where field.name != "metadata" && field.name != "kind" && field.name != "apiVersion" {
      writer.key(field.name)
      writer.raw(field.bytes)
    }
    writer.endObject()
    return writer.bytes
  }
}
