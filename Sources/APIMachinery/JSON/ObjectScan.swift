/// What the server must know of an object, read in one pass over its bytes, without building the object.
public struct ObjectScan: Sendable {
  public private(set) var apiVersion = ""
  public private(set) var kind = ""
  public private(set) var name = ""
  public private(set) var namespace = ""
  public private(set) var generateName = ""
  public private(set) var uid = ""
  public private(set) var resourceVersion = ""
  public private(set) var labels: [String: String] = [:]
  public private(set) var generation: Int64 = 0
  /// Whether deletion has begun.
  public private(set) var hasDeletionTimestamp = false
  public private(set) var hasFinalizers = false
  public private(set) var hasOwnerReferences = false
  /// Where the value of `metadata` stands.
  public private(set) var metadataRange = 0..<0
  /// The object.
  public let bytes: [UInt8]

  /// Scans a whole object.
  public init(_ bytes: [UInt8]) throws {
    self.bytes = bytes
    try JSONReader.withReader(bytes) { reader in
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("metadata") {
          if try reader.peek() == .object {
            reader.skipSpace()
            let start = reader.offset
            try readMetadata(&reader)
            metadataRange = start..<reader.offset
          } else {
            metadataRange = try reader.skipValue()
          }
        } else if key.equals("apiVersion") {
          apiVersion = try String(from: &reader)
        } else if key.equals("kind") {
          kind = try String(from: &reader)
        } else {
          try reader.skipValue()
        }
      }
      try reader.end()
    }
  }

  private mutating func readMetadata(_ reader: inout JSONReader) throws {
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("name") {
        name = try String(from: &reader)
      } else if key.equals("namespace") {
        namespace = try String(from: &reader)
      } else if key.equals("labels") {
        labels = try [String: String](from: &reader)
      } else if key.equals("uid") {
        uid = try String(from: &reader)
      } else if key.equals("resourceVersion") {
        resourceVersion = try String(from: &reader)
      } else if key.equals("generateName") {
        generateName = try String(from: &reader)
      } else if key.equals("generation") {
        generation = try Int64(from: &reader)
      } else if key.equals("deletionTimestamp") {
        hasDeletionTimestamp = try !reader.readNull()
        if hasDeletionTimestamp { try reader.skipValue() }
      } else if key.equals("finalizers") {
        hasFinalizers = try Self.hasElements(&reader)
      } else if key.equals("ownerReferences") {
        hasOwnerReferences = try Self.hasElements(&reader)
      } else {
        try reader.skipValue()
      }
    }
  }

  private static func hasElements(_ reader: inout JSONReader) throws -> Bool {
    if try reader.readNull() { return false }
    var any = false
    try reader.beginArray()
    while try reader.nextElement() {
      any = true
      try reader.skipValue()
    }
    return any
  }

  /// The scalar at a path, as text; nil if there is none.
  public func field(path: [StaticString]) -> String? { Self.field(path: path, in: bytes) }

  /// The scalar at a path, as text; nil if there is none. Reads no further than that path.
  public static func field(path: [StaticString], in bytes: [UInt8]) -> String? {
    try? JSONReader.withReader(bytes) { reader in try find(path[...], &reader) }
  }

  private static func find(_ path: ArraySlice<StaticString>, _ reader: inout JSONReader) throws -> String? {
    guard let first = path.first else {
      switch try reader.peek() {
      case .string: return try reader.string()
      case .number, .bool: return String(decoding: reader.bytes(in: try reader.skipValue()), as: UTF8.self)
      default: return nil
      }
    }
    guard try reader.peek() == .object else { return nil }
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals(first) { return try find(path.dropFirst(), &reader) }
      try reader.skipValue()
    }
    return nil
  }
}
