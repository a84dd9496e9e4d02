import Glibc

/// The fieldsV1 of a newly created object, straight from its bytes in one pass: neither tree nor set is built.
///
/// Gives exactly what comparing with an empty object gives.
struct CreatedFields {
  /// A field of the object being read: its step, quoted, and what lies below; nothing for a leaf.
  private struct Entry {
    var step: [UInt8]
    var content: [UInt8]
  }

  private static let leaf = Array("{}".utf8)
  private static let dot = Array("\".\":{}".utf8)

  /// nil if the object has no field to manage.
  static func encode(
    _ bytes: [UInt8], shape: Shape, empty: JSONValue, stripped: FieldSet, ignored: FieldSet
  ) throws -> [UInt8]? {
    try JSONReader.withReader(bytes) { reader in
      try members(&reader, shape, empty, isRoot: true, stripped, ignored)
    }
  }

  /// One value; `old` is what the empty object has in its place. nil if nothing differs.
  private static func value(
    _ reader: inout JSONReader, _ shape: Shape, _ old: JSONValue?, _ stripped: FieldSet?, _ ignored: FieldSet?
  ) throws -> [UInt8]? {
    if case .leaf = shape { return try atom(&reader, old) }
    switch try reader.peek() {
    case .object: return try members(&reader, shape, old, isRoot: false, stripped, ignored)
    case .array where shape.isAssociative: return try items(&reader, shape, old)
    case .null:
      _ = try reader.readNull()
      guard let old else { return leaf }
      if case .object(let members) = old, members.isEmpty { return leaf }
      return nil
    default: return try atom(&reader, old)
    }
  }

  private static func atom(_ reader: inout JSONReader, _ old: JSONValue?) throws -> [UInt8]? {
    if let old { return try reader.value().equals(old) ? nil : leaf }
    try reader.skipValue()
    return leaf
  }

  private static func members(
    _ reader: inout JSONReader, _ shape: Shape, _ old: JSONValue?, isRoot: Bool, _ stripped: FieldSet?,
    _ ignored: FieldSet?
  ) throws -> [UInt8]? {
    var entries: [Entry] = []
    var any = false
    var oldMembers: [String: JSONValue]?
    if case .object(let members)? = old { oldMembers = members }
    try reader.beginObject()
    while let key = try reader.nextKey() {
      any = true
      var step: [UInt8]?
      var below = Shape.deduced
      var known: String?
      switch shape {
      case .structure(let schema):
        if let position = schema.position(of: key) {
          let field = schema.fields[position]
          step = field.pathElement
          below = field.shape
          known = field.name
        }
      case .map(let element): below = element
      default: break
      }
      let name = known ?? key.string
      var deeperStripped: FieldSet?
      var deeperIgnored: FieldSet?
      if stripped != nil || ignored != nil {
        let text = "f:" + name
        deeperIgnored = ignored?.children[text]
        deeperStripped = stripped?.children[text]
        if deeperIgnored?.isMember == true
          || (deeperStripped?.isMember == true && deeperStripped?.children.isEmpty == true)
        {
          try reader.skipValue()
          continue
        }
      }
      if let content = try value(&reader, below, oldMembers?[name], deeperStripped, deeperIgnored) {
        entries.append(Entry(step: step ?? quoted("f:" + name), content: content))
      }
    }
    if !any {
      guard let old else { return leaf }
      return old.isNull ? leaf : nil
    }
    return joined(&entries, isMember: old == nil && !isRoot)
  }

  private static func items(_ reader: inout JSONReader, _ shape: Shape, _ old: JSONValue?) throws -> [UInt8]? {
    var entries: [Entry] = []
    var any = false
    try reader.beginArray()
    while try reader.nextElement() {
      any = true
      guard case .list(let keys, let schema) = shape else {
        entries.append(Entry(step: quoted(pathElement(ofSetItem: try reader.value())), content: leaf))
        continue
      }
      // The keys must be known before the item is: look ahead with a copy.
      var ahead = reader
      var step = try plainStep(&ahead, keys, schema)
      if step == nil {
        ahead = reader
        step = schema.pathElement(of: try keyed(&ahead, keys), keys: keys).map(quoted)
      }
      guard let step else {
        try reader.skipValue()
        continue
      }
      entries.append(Entry(step: step, content: try value(&reader, .structure(schema), nil, nil, nil) ?? leaf))
    }
    if !any { return old == .array([]) ? nil : leaf }
    return joined(&entries, isMember: old == nil)
  }

  /// The step of an item all of whose keys are there and need no escaping beyond their quotes; nil for any other.
  private static func plainStep(_ reader: inout JSONReader, _ keys: [String], _ schema: Schema) throws -> [UInt8]? {
    guard try reader.peek() == .object else { return nil }
    var values = [Range<Int>?](repeating: nil, count: keys.count)
    var missing = keys.count
    try reader.beginObject()
    while missing > 0, let key = try reader.nextKey() {
      let range = try reader.skipValue()
      if let i = keys.firstIndex(where: { $0.utf8.count == key.count && $0.utf8.elementsEqual(key.utf8) }) {
        if values[i] == nil { missing -= 1 }
        values[i] = range
      }
    }
    var out = Array("\"k:{".utf8)
    for (i, name) in keys.enumerated() {
      if i > 0 { out.append(UInt8(ascii: ",")) }
      out += [UInt8(ascii: "\\"), UInt8(ascii: "\"")]
      out += name.utf8
      out += [UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: ":")]
      if let range = values[i] {
        guard append(reader.bytes(in: range), to: &out) else { return nil }
      } else {
        guard let text = schema.field(name)?.defaultJSON else { return nil }
        var bytes = text
        guard bytes.withUTF8({ append($0, to: &out) }) else { return nil }
      }
    }
    out += [UInt8(ascii: "}"), UInt8(ascii: "\"")]
    return out
  }

  /// A scalar's JSON inside a JSON string.
  private static func append(_ json: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) -> Bool {
    guard json.first == UInt8(ascii: "\"") else {
      guard let first = json.first, first != UInt8(ascii: "{"), first != UInt8(ascii: "[") else { return false }
      // Only whole numbers are surely written the way they are read.
      guard json.allSatisfy({ $0 != UInt8(ascii: ".") && $0 | 0x20 != UInt8(ascii: "e") }) || first | 0x20 >= 0x61
      else {
        return false
      }
      out += json
      return true
    }
    let inner = json[1..<json.count - 1]
    for byte in inner where byte == 0x5C || byte >= 0x7F || byte == 0x3C || byte == 0x3E || byte == 0x26 {
      return false
    }
    out += [UInt8(ascii: "\\"), UInt8(ascii: "\"")]
    out += inner
    out += [UInt8(ascii: "\\"), UInt8(ascii: "\"")]
    return true
  }

  private static func keyed(_ reader: inout JSONReader, _ keys: [String]) throws -> JSONValue {
    var found: [String: JSONValue] = [:]
    guard try reader.peek() == .object else { return .null }
    try reader.beginObject()
    while let key = try reader.nextKey() {
      let name = key.string
      if keys.contains(name) {
        found[name] = try reader.value()
      } else {
        try reader.skipValue()
      }
    }
    return .object(found)
  }

  private static func joined(_ entries: inout [Entry], isMember: Bool) -> [UInt8]? {
    if entries.isEmpty { return isMember ? leaf : nil }
    if entries.count > 1 { entries.sort { precedes($0.step, $1.step) } }
    var out: [UInt8] = []
    out.reserveCapacity(entries.reduce(16) { $0 + $1.step.count + $1.content.count + 2 })
    out.append(UInt8(ascii: "{"))
    if isMember { out += dot }
    var previous: [UInt8] = []
    for entry in entries where entry.step != previous {  // items that share a key are owned as one
      previous = entry.step
      if out.count > 1 { out.append(UInt8(ascii: ",")) }
      out += entry.step
      out.append(UInt8(ascii: ":"))
      out += entry.content
    }
    out.append(UInt8(ascii: "}"))
    return out
  }

  private static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    let common = min(a.count, b.count)
    let order = memcmp(a, b, common)
    return order == 0 ? a.count < b.count : order < 0
  }

  private static func quoted(_ text: String) -> [UInt8] {
    var writer = JSONWriter(capacity: text.utf8.count + 2)
    writer.string(text)
    return writer.bytes
  }
}
