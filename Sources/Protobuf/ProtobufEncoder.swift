import APIMachinery

/// Writes messages straight from JSON's tokens: no tree, one pass.
///
/// A message's fields are written as they come, each where the last one ended, and their places are noted. When the
/// message ends they are put in the order of their numbers, with the zero values that Go would write in between, and
/// only then the length in front is known: nothing is moved twice and nothing is measured beforehand.
public struct ProtobufEncoder {
  /// What has been written.
  public var bytes: [UInt8] = []
  private var scratch: [UInt8] = []
  /// Start and end of each field of the messages being written; a start of -1 is a field not seen.
  private var marks: [Int] = []
  private var entries: [MapEntry] = []
  /// The resourceVersion that the first metadata gets: stored objects do not contain theirs.
  var version = ""

  struct MapEntry {
    var start: Int
    var end = 0
    var key: Range<Int> = 0..<0
  }

  /// An encoder with room for `capacity` bytes.
  public init(capacity: Int = 1024) {
    bytes.reserveCapacity(capacity)
    scratch.reserveCapacity(capacity)
    marks.reserveCapacity(256)
  }

  // MARK: Messages

  /// Writes an object's fields; with a tag, as a field of its own.
  mutating func message(_ plan: MessagePlan, tag: UInt32, _ reader: inout JSONReader) throws {
    let start = bytes.count
    let base = marks.count
    marks.append(contentsOf: repeatElement(-1, count: plan.fields.count * 2))
    try reader.beginObject()
    while let key = try reader.nextKey() {
      guard let position = plan.position(of: key.utf8) else {
        try reader.skipValue()
        continue
      }
      if try reader.readNull() { continue }
      let from = bytes.count
      try field(plan.fields[position], &reader)
      marks[base + position * 2] = from
      marks[base + position * 2 + 1] = bytes.count
    }
    if plan.isObjectMeta, !version.isEmpty { addVersion(plan, base) }
    assemble(plan, start, base, tag)
  }

  private mutating func addVersion(_ plan: MessagePlan, _ base: Int) {
    guard let position = plan.position(of: "resourceVersion") else { return }
    marks[base + position * 2] = bytes.count
    bytes.appendField(plan.fields[position].number, version.utf8)
    marks[base + position * 2 + 1] = bytes.count
    version = ""
  }

  private mutating func assemble(_ plan: MessagePlan, _ start: Int, _ base: Int, _ tag: UInt32) {
    scratch.removeAll(keepingCapacity: true)
    Self.put(plan.layout, plan, bytes, marks, base, &scratch)
    marks.removeLast(marks.count - base)
    bytes.removeLast(bytes.count - start)
    if tag != 0 {
      bytes.appendVarint(UInt64(tag))
      bytes.appendVarint(UInt64(scratch.count))
    }
    bytes.append(contentsOf: scratch)
  }

  private static func put(
    _ nodes: [LayoutNode], _ plan: MessagePlan, _ bytes: [UInt8], _ marks: [Int], _ base: Int,
    _ out: inout [UInt8]
  ) {
    for node in nodes {
      if node.field < 0 {
        out.appendVarint(UInt64(node.number << 3 | 2))
        out.appendVarint(UInt64(size(node.nodes, plan, marks, base)))
        put(node.nodes, plan, bytes, marks, base, &out)
        continue
      }
      let from = marks[base + node.field * 2]
      if from >= 0 {
        let to = marks[base + node.field * 2 + 1]
        bytes.withUnsafeBufferPointer { out.append(contentsOf: UnsafeBufferPointer(rebasing: $0[from..<to])) }
      } else if plan.fields[node.field].writesZero {
        out.append(contentsOf: plan.fields[node.field].zero)
      }
    }
  }

  private static func size(_ nodes: [LayoutNode], _ plan: MessagePlan, _ marks: [Int], _ base: Int) -> Int {
    var total = 0
    for node in nodes {
      if node.field < 0 {
        let inner = size(node.nodes, plan, marks, base)
        total += varintSize(node.number << 3) + varintSize(inner) + inner
      } else if marks[base + node.field * 2] >= 0 {
        total += marks[base + node.field * 2 + 1] - marks[base + node.field * 2]
      } else if plan.fields[node.field].writesZero {
        total += plan.fields[node.field].zero.count
      }
    }
    return total
  }

  // MARK: Fields

  private mutating func field(_ field: FieldPlan, _ reader: inout JSONReader) throws {
    switch field.arity {
    case .one: try value(field, field.tag, &reader)
    case .list:
      try reader.beginArray()
      while try reader.nextElement() {
        if try reader.readNull() {
          bytes.append(contentsOf: field.zero)
        } else {
          try value(field, field.tag, &reader)
        }
      }
    case .map: try map(field, &reader)
    }
  }

  /// Entries are messages of a key and a value, in the order of keys.
  private mutating func map(_ field: FieldPlan, _ reader: inout JSONReader) throws {
    let first = entries.count
    let valueTag = UInt32(2 << 3) | field.form.wire
    var sorted = true
    try reader.beginObject()
    while let key = try reader.nextKey() {
      let index = entries.count
      entries.append(MapEntry(start: bytes.count))
      bytes.appendVarint(UInt64(field.tag))
      let length = open()
      bytes.append(0x0A)
      bytes.appendVarint(UInt64(key.count))
      let keyStart = bytes.count
      bytes.append(contentsOf: key.utf8)
      var keyRange = keyStart..<bytes.count
      if try reader.readNull() {
        if field.form != .bytes {
          // The zero value under the entry's own tag.
          bytes.append(UInt8(valueTag))
          bytes.append(contentsOf: field.zero.dropFirst(varintSize(Int(field.tag))))
        }
      } else {
        try value(field, valueTag, &reader)
      }
      let moved = close(length)
      keyRange = (keyRange.lowerBound + moved)..<(keyRange.upperBound + moved)
      entries[index].end = bytes.count
      entries[index].key = keyRange
      if index > first, sorted {
        sorted = !bytes[keyRange].lexicographicallyPrecedes(bytes[entries[index - 1].key])
      }
    }
    if !sorted {
      let list = entries[first...].sorted { bytes[$0.key].lexicographicallyPrecedes(bytes[$1.key]) }
      let start = entries[first].start
      let ordered = list.reduce(into: [UInt8]()) { $0 += bytes[$1.start..<$1.end] }
      bytes.removeLast(bytes.count - start)
      bytes += ordered
    }
    entries.removeLast(entries.count - first)
  }

  // MARK: Lengths that are known later

  /// Leaves one byte for a length.
  mutating func open() -> Int {
    bytes.append(0)
    return bytes.count - 1
  }

  /// Fills in the length of what was written since; says how far that moved.
  @discardableResult mutating func close(_ at: Int) -> Int {
    let length = bytes.count - at - 1
    if length < 0x80 {
      bytes[at] = UInt8(length)
      return 0
    }
    var digits: [UInt8] = []
    digits.appendVarint(UInt64(length))
    bytes.replaceSubrange(at...at, with: digits)
    return digits.count - 1
  }
}
