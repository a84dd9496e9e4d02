extension FieldManager {
  /// The bytes of a created object with its managed fields: the fast path of every create.
  public func create(_ bytes: [UInt8], manager name: String, now: Time) throws -> [UInt8] {
    let layout = try MetadataLayout(bytes)
    if layout.managedFields != nil {
      // The client brought a list of its own, which must be understood.
      return layout.replacing(try update(live: nil, new: JSONValue(parsing: bytes), manager: name, now: now), in: bytes)
    }
    let fields = try CreatedFields.encode(
      bytes, shape: shape, empty: empty, stripped: Self.stripped, ignored: ignored)
    guard let fields else { return bytes }
    var writer = JSONWriter(capacity: fields.count + 160)
    writer.beginArray()
    let id = ManagedFields.Manager(name: name, operation: "Update", apiVersion: apiVersion, subresource: subresource)
    ManagedFields.writeEntry(id, apiVersion, now, &writer) { $0.raw(fields) }
    writer.endArray()
    return layout.replacing(writer.bytes[...], in: bytes)
  }

  /// The bytes of an updated object with its managed fields; everything else stays as it is, member for member.
  ///
  /// Works on the bytes: what is written alike in both versions is not looked into.
  public func update(live: [UInt8], new bytes: [UInt8], manager name: String, now: Time) throws -> [UInt8] {
    let layout = try MetadataLayout(bytes)
    let recorded = try MetadataLayout(live).list(in: live)
    let given = layout.list(in: bytes)
    var managed: ManagedFields
    if !subresource.isEmpty {
      managed = recorded.flatMap { ManagedFields(bytes: $0) } ?? ManagedFields()
    } else if let given, given.count < 64, (try? JSONValue.decode(given)) == [[:]] {
      managed = ManagedFields()
    } else if let given, let read = ManagedFields(bytes: given), !read.entries.isEmpty {
      managed = read
    } else {
      managed = recorded.flatMap { ManagedFields(bytes: $0) } ?? ManagedFields()
    }
    if managed.entries.isEmpty { return given == nil ? bytes : layout.replacing(nil, in: bytes) }
    let comparison = try Comparison(from: live, to: bytes, shape).excluding(ignored)
    if comparison.isEmpty, given == recorded { return bytes }
    record(comparison, in: &managed, manager: name, now: now)
    if managed.entries.isEmpty { return layout.replacing(nil, in: bytes) }
    var writer = JSONWriter(capacity: (given ?? recorded)?.count ?? 512)
    managed.encode(to: &writer)
    return layout.replacing(writer.bytes[...], in: bytes)
  }
}

/// Where the members of `metadata` stand in an object's bytes.
struct MetadataLayout {
  private var body = 0..<0
  private var members: [Range<Int>] = []
  /// Which of the members is the list of managed fields.
  private(set) var managedFields: Int?
  private var listRange: Range<Int>?

  init(_ bytes: [UInt8]) throws {
    try JSONReader.withReader(bytes) { reader in
      try reader.beginObject()
      while let key = try reader.nextKey() {
        guard key.equals("metadata"), try reader.peek() == .object else {
          try reader.skipValue()
          continue
        }
        reader.skipSpace()
        let start = reader.offset
        try reader.beginObject()
        var from = reader.offset
        while let name = try reader.nextKey() {
          let isList = name.equals("managedFields")
          let range = try reader.skipValue()
          if isList {
            managedFields = members.count
            listRange = range
          }
          // From just behind the brace or comma: the member as it is written.
          members.append(from..<reader.offset)
          from = reader.offset
          while from < bytes.count, bytes[from] != UInt8(ascii: ","), bytes[from] != UInt8(ascii: "}") { from += 1 }
          from += 1
        }
        body = start..<reader.offset
        return  // nothing behind the metadata matters
      }
    }
  }

  /// The list's own bytes.
  func list(in bytes: [UInt8]) -> ArraySlice<UInt8>? { listRange.map { bytes[$0] } }

  func replacing(_ object: JSONValue, in bytes: [UInt8]) -> [UInt8] {
    guard let list = object["metadata"]?["managedFields"] else { return replacing(nil, in: bytes) }
    var writer = JSONWriter(capacity: 1024)
    // Read back so that fieldsV1's members come out in upstream's order.
    (ManagedFields(list) ?? ManagedFields()).encode(to: &writer)
    return replacing(writer.bytes[...], in: bytes)
  }

  /// The object with another list; nil for none. The list comes last, as in Go.
  func replacing(_ list: ArraySlice<UInt8>?, in bytes: [UInt8]) -> [UInt8] {
    if body.isEmpty { return bytes }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count + (list?.count ?? 0) + 20)
    out += bytes[..<body.lowerBound]
    out.append(UInt8(ascii: "{"))
    var first = true
    for (i, range) in members.enumerated() where i != managedFields {
      if !first { out.append(UInt8(ascii: ",")) }
      first = false
      out += bytes[range]
    }
    if let list {
      if !first { out.append(UInt8(ascii: ",")) }
      out += "\"managedFields\":".utf8
      out += list
    }
    out.append(UInt8(ascii: "}"))
    out += bytes[body.upperBound...]
    return out
  }
}
