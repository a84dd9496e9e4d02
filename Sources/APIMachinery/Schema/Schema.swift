import Glibc

/// The type of a field's value.
public indirect enum SchemaFieldType: Sendable, Hashable {
  case string, boolean, int32, int64, double
  /// base64 in JSON.
  case bytes
  /// Anything.
  case any
  case time, microTime, duration, quantity, intOrString, fieldsV1, rawExtension
  /// A type of the table, by name.
  case object(String)
  case list(SchemaFieldType)
  /// Keys are strings.
  case map(SchemaFieldType)
}

/// One field of a type.
public final class SchemaField: Sendable {
  /// The JSON name.
  public let name: String
  public let type: SchemaFieldType
  /// Zero if the field does not travel in protobuf by a number of its own.
  public let protoNumber: Int
  public let required: Bool
  /// Absence differs from zero.
  public let ptr: Bool
  /// Written even when empty.
  public let always: Bool
  /// The declared default, as JSON.
  public let defaultJSON: String?
  public let enumValues: [String]
  /// "map", "set", "atomic" or "".
  public let listType: String
  public let listMapKeys: [String]
  /// "granular", "atomic" or "" — of a map, or of a struct (structType).
  public let mapType: String
  /// "merge", "replace", "retainKeys", comma-separated, or "".
  public let patchStrategy: String
  public let patchMergeKey: String
  /// `"f:name"`, as fieldsV1 writes the field.
  let pathElement: [UInt8]
  /// The type's place in the table, whatever lists and maps are around it.
  /// Unsafe: written once by `SchemaTable.init`, before anyone else can see the type.
  nonisolated(unsafe) var target: Schema?
  /// How apply sees the field; written together with `target`.
  nonisolated(unsafe) var shape = Shape.leaf

  public init(
    name: String, type: SchemaFieldType, protoNumber: Int = 0, required: Bool = false, ptr: Bool = false,
    always: Bool = false, defaultJSON: String? = nil, enumValues: [String] = [], listType: String = "",
    listMapKeys: [String] = [], mapType: String = "", patchStrategy: String = "", patchMergeKey: String = ""
  ) {
    self.name = name
    self.type = type
    self.protoNumber = protoNumber
    self.required = required
    self.ptr = ptr
    self.always = always
    self.defaultJSON = defaultJSON
    self.enumValues = enumValues
    self.listType = listType
    self.listMapKeys = listMapKeys
    self.mapType = mapType
    self.patchStrategy = patchStrategy
    self.patchMergeKey = patchMergeKey
    pathElement = Array("\"f:\(name)\"".utf8)
  }

  /// The object type behind lists and maps, once the type is in a table.
  public var objectType: Schema? { target }
}

/// A union of fields of which at most (or exactly) one may be set.
public struct SchemaUnion: Sendable, Hashable {
  /// The field that says which is set, or "".
  public let discriminator: String
  public let fields: [String]

  public init(discriminator: String = "", fields: [String] = []) {
    self.discriminator = discriminator
    self.fields = fields
  }
}

/// A type: its fields by JSON name.
public final class Schema: Sendable {
  /// The type's name in the table.
  public let name: String
  /// The kinds that are of this type.
  public let gvks: [GroupVersionKind]
  /// "atomic" if apply takes the struct as one value.
  public let mapType: String
  public let unions: [SchemaUnion]
  public let fields: [SchemaField]
  /// Unknown fields are kept (custom resources).
  public let preservesUnknownFields: Bool
  /// For strict checks and the like: a field's place in `fields`.
  let positions: [String: Int]
  /// An open hash table over the names' bytes; empty slots are -1.
  private let slots: [Int16]

  public init(
    name: String, gvks: [GroupVersionKind] = [], mapType: String = "", unions: [SchemaUnion] = [],
    fields: [SchemaField], preservesUnknownFields: Bool = false
  ) {
    self.name = name
    self.gvks = gvks
    self.mapType = mapType
    self.unions = unions
    self.fields = fields
    self.preservesUnknownFields = preservesUnknownFields
    var size = 4
    while size < fields.count * 2 { size *= 2 }
    var slots = [Int16](repeating: -1, count: size)
    for (i, field) in fields.enumerated() {
      var at = field.pathElement[3..<field.pathElement.count - 1].withUnsafeBufferPointer(Self.hash) & (size - 1)
      while slots[at] >= 0 { at = (at + 1) & (size - 1) }
      slots[at] = Int16(i)
    }
    self.slots = slots
    positions = Dictionary(fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { a, _ in a })
  }

  /// The field that a key names, found without making a string of it.
  func position(of key: JSONKey) -> Int? {
    var at = Self.hash(key.utf8) & (slots.count - 1)
    while slots[at] >= 0 {
      let position = Int(slots[at])
      let element = fields[position].pathElement  // "f:name" with its quotes
      let matches = element.withUnsafeBufferPointer { bytes in
        bytes.count - 4 == key.count && memcmp(bytes.baseAddress.unsafelyUnwrapped + 3, key.base, key.count) == 0
      }
      if matches { return position }
      at = (at + 1) & (slots.count - 1)
    }
    return nil
  }

  private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var hash: UInt32 = 2_166_136_261
    for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return Int(hash ^ hash >> 15)
  }

  /// The field of that JSON name.
  public func field(_ name: String) -> SchemaField? { positions[name].map { fields[$0] } }
}

/// The name that generated data uses.
public typealias SchemaType = Schema
