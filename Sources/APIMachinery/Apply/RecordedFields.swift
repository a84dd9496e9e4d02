/// A set of fields that stays the bytes it was recorded as until it must change: most writes touch few managers.
enum RecordedFields: Sendable, Equatable {
  case raw([UInt8])
  case set(FieldSet)

  /// The set; what cannot be read is empty, as upstream treats it.
  var set: FieldSet {
    switch self {
    case .set(let set): set
    case .raw(let bytes): (try? FieldSet.decode(bytes)) ?? FieldSet()
    }
  }

  /// How many paths of `other` are in this set.
  func count(of other: FieldSet) -> Int {
    if other.isEmpty { return 0 }
    switch self {
    case .set(let set): return set.intersection(other).count
    case .raw(let bytes):
      return (try? JSONReader.withReader(bytes) { reader in try Self.count(&reader, other) }) ?? 0
    }
  }

  private static func count(_ reader: inout JSONReader, _ other: FieldSet) throws -> Int {
    var found = 0
    var isLeaf = true
    try reader.beginObject()
    while let key = try reader.nextKey() {
      isLeaf = false
      if key.equals(".") {
        if other.isMember { found += 1 }
        try reader.skipValue()
      } else if !other.children.isEmpty, let below = other.children[key.string] {
        found += try count(&reader, below)
      } else {
        try reader.skipValue()
      }
    }
    return isLeaf && other.isMember ? 1 : found
  }

  /// With more paths; stays as it is if it has them all.
  func union(_ other: FieldSet) -> RecordedFields {
    count(of: other) == other.count ? self : .set(set.union(other))
  }

  func encode(to writer: inout JSONWriter) {
    switch self {
    case .raw(let bytes): writer.raw(bytes)
    case .set(let set): set.encode(to: &writer)
    }
  }

  static func == (a: RecordedFields, b: RecordedFields) -> Bool {
    if case .raw(let x) = a, case .raw(let y) = b, x == y { return true }
    return a.set == b.set
  }
}

extension FieldSet {
  /// The number of paths.
  var count: Int { children.values.reduce(isMember ? 1 : 0) { $0 + $1.count } }
}
