import APIMachinery

/// Turns messages into JSON by their plans, without a tree in between.
struct ProtobufDecoder {
  /// One field as it was found; those of the same number are chained.
  private struct Entry {
    var field: WireReader.Field
    var next = -1
  }

  /// Deeper nesting is an error: the stack is fixed, and what the JSON reader would refuse need not be made.
  static let maximumDepth = 250

  var out: JSONText
  let kinds: KindLibrary
  private var base: UnsafePointer<UInt8>
  private var entries: [Entry] = []
  /// First and last entry of each field of the messages being read; -1 for none.
  private var chains: [Int] = []
  private var depth = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>, kinds: KindLibrary) {
    // An empty message has no memory of its own.
    base = bytes.baseAddress ?? UnsafePointer(Self.nothing)
    out = JSONText(capacity: bytes.count * 2 + 256)
    self.kinds = kinds
  }

  nonisolated(unsafe) private static let nothing = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)

  func text(_ field: WireReader.Field) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: base + field.start, count: field.end - field.start)
  }

  func reader(_ start: Int, _ end: Int) -> WireReader { WireReader(base, start, end) }

  // MARK: Messages

  /// Writes a message's fields between braces; false if there were none.
  @discardableResult
  mutating func message(_ plan: MessagePlan, _ start: Int, _ end: Int, type: GroupVersionKind? = nil) throws -> Bool {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else { throw ProtobufError("proto: exceeded maximum recursion depth") }
    let firstEntry = entries.count
    let firstChain = chains.count
    defer {
      entries.removeLast(entries.count - firstEntry)
      chains.removeLast(chains.count - firstChain)
    }
    chains.append(contentsOf: repeatElement(-1, count: plan.fields.count * 2))
    try collect(plan, plan.numbers, start, end, firstChain, nesting: 0)
    out.byte(UInt8(ascii: "{"))
    let inside = out.count
    if let type {
      if !type.kind.isEmpty { member("kind", type.kind) }
      if !type.apiVersion.isEmpty { member("apiVersion", type.apiVersion) }
    }
    for position in plan.fields.indices where chains[firstChain + position * 2] >= 0 {
      let field = plan.fields[position]
      let before = out.count
      out.label(field.label)
      let written = try member(field, chains[firstChain + position * 2], chains[firstChain + position * 2 + 1])
      if !written { out.truncate(to: before) }
    }
    let any = out.count > inside
    out.byte(UInt8(ascii: "}"))
    return any
  }

  private mutating func member(_ name: String, _ value: String) {
    out.separate()
    for (text, after) in [(name, UInt8(ascii: ":")), (value, 0)] {
      var text = text
      text.withUTF8 { out.string($0) }
      if after != 0 { out.byte(after) }
    }
  }

  /// Notes the fields of a message and of those embedded in it.
  private mutating func collect(
    _ plan: MessagePlan, _ numbers: NumberTable, _ start: Int, _ end: Int, _ first: Int, nesting: Int
  ) throws {
    var reader = WireReader(base, start, end)
    while let field = try reader.next() {
      let place = numbers[field.number]
      if place == 0 { continue }
      if place < 0 {
        guard field.wire == 2 else { throw wrongWire(field, "") }
        try collect(plan, numbers.inner[-place - 1], field.start, field.end, first, nesting: nesting + 1)
        continue
      }
      let at = first + (place - 1) * 2
      entries.append(Entry(field: field))
      let last = chains[at + 1]
      if last >= 0 { entries[last].next = entries.count - 1 } else { chains[at] = entries.count - 1 }
      chains[at + 1] = entries.count - 1
    }
  }

  func wrongWire(_ field: WireReader.Field, _ name: String) -> ProtobufError {
    let goName = name.prefix(1).uppercased() + name.dropFirst()
    return ProtobufError("proto: wrong wireType = \(field.wire) for field \(goName)")
  }

  // MARK: Members

  /// Writes a field's value; false if JSON leaves it out.
  private mutating func member(_ plan: FieldPlan, _ head: Int, _ tail: Int) throws -> Bool {
    switch plan.arity {
    case .one:
      let some: Bool
      if plan.form == .message, head != tail, let child = plan.child {
        some = try merged(child, head)
      } else {
        some = try value(plan, entries[tail].field)
      }
      switch plan.form {
      // No bytes at all are null, whatever the field.
      case .time, .microTime, .raw: return some
      default: return some || plan.ptr || plan.always
      }
    case .list:
      out.byte(UInt8(ascii: "["))
      var at = head
      while at >= 0 {
        let field = entries[at].field
        if field.wire == 2, plan.form.wire == 0 {
          var reader = WireReader(base, field.start, field.end)
          while !reader.atEnd {
            out.separate()
            let word = try reader.varint()
            try value(plan, WireReader.Field(number: field.number, wire: 0, word: word))
          }
        } else {
          out.separate()
          try value(plan, field)
        }
        at = entries[at].next
      }
      out.byte(UInt8(ascii: "]"))
      return true
    case .map:
      out.byte(UInt8(ascii: "{"))
      var at = head
      while at >= 0 {
        try mapEntry(plan, entries[at].field)
        at = entries[at].next
      }
      out.byte(UInt8(ascii: "}"))
      return true
    }
  }

  /// A message that came in pieces is the pieces one after the other.
  private mutating func merged(_ child: MessagePlan, _ head: Int) throws -> Bool {
    var whole: [UInt8] = []
    var at = head
    while at >= 0 {
      guard entries[at].field.wire == 2 else { throw wrongWire(entries[at].field, "") }
      whole.append(contentsOf: text(entries[at].field))
      at = entries[at].next
    }
    let outer = base
    defer { base = outer }
    return try whole.withUnsafeBufferPointer { bytes in
      base = bytes.baseAddress ?? outer
      return try message(child, 0, bytes.count)
    }
  }

  private mutating func mapEntry(_ plan: FieldPlan, _ field: WireReader.Field) throws {
    guard field.wire == 2 else { throw wrongWire(field, String(decoding: plan.name, as: UTF8.self)) }
    var key = WireReader.Field(number: 1, wire: 2)
    var item: WireReader.Field?
    var reader = WireReader(base, field.start, field.end)
    while let part = try reader.next() {
      if part.number == 1 {
        guard part.wire == 2 else { throw wrongWire(part, "mapkey") }
        key = part
      }
      if part.number == 2 { item = part }
    }
    out.separate()
    out.string(text(key))
    out.byte(UInt8(ascii: ":"))
    let zero = WireReader.Field(number: 2, wire: UInt8(plan.form.wire))
    try value(plan, item ?? zero)
  }
}
