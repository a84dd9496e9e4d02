import APIMachinery

extension ProtobufDecoder {
  /// Writes one value; false if it is the type's zero value.
  @discardableResult
  mutating func value(_ plan: FieldPlan, _ field: WireReader.Field) throws -> Bool {
    guard UInt32(field.wire) == plan.form.wire else {
      throw wrongWire(field, String(decoding: plan.name, as: UTF8.self))
    }
    switch plan.form {
    case .bool:
      out.raw(field.word != 0 ? "true".utf8 : "false".utf8)
      return field.word != 0
    case .int32:
      out.int(Int64(Int32(truncatingIfNeeded: field.word)))
      return Int32(truncatingIfNeeded: field.word) != 0
    case .int64:
      out.int(Int64(bitPattern: field.word))
      return field.word != 0
    case .double:
      let number = Double(bitPattern: field.word)
      guard number.isFinite else { throw ProtobufError("json: unsupported value: \(number)") }
      var writer = JSONWriter(capacity: 32)
      writer.double(number)
      out.raw(writer.bytes)
      return number != 0
    case .string:
      out.string(text(field))
      return field.end > field.start
    case .bytes:
      out.byte(0x22)
      out.raw(Base64Bytes(Array(text(field))).base64.utf8)
      out.byte(0x22)
      return field.end > field.start
    case .message:
      guard let child = plan.child else { return false }
      return try message(child, field.start, field.end)
    case .strings: return try strings(1, field)
    case .schemaOrArray, .schemaOrBool, .schemaOrStrings:
      guard let child = plan.child else { return false }
      return try schema(plan.form, child, field)
    default: return try special(plan.form, field)
    }
  }

  /// The strings of a field of a message.
  private mutating func strings(_ number: Int, _ field: WireReader.Field) throws -> Bool {
    out.byte(UInt8(ascii: "["))
    let inside = out.count
    var reader = reader(field.start, field.end)
    while let part = try reader.next() {
      guard part.number == number else { continue }
      guard part.wire == 2 else { throw wrongWire(part, "items") }
      out.separate()
      out.string(text(part))
    }
    let any = out.count > inside
    out.byte(UInt8(ascii: "]"))
    return any
  }

  private mutating func schema(_ form: FieldForm, _ plan: MessagePlan, _ field: WireReader.Field) throws -> Bool {
    var allows = false
    var single: WireReader.Field?
    var many: [WireReader.Field] = []
    var reader = reader(field.start, field.end)
    while let part = try reader.next() {
      switch (form, part.number, part.wire) {
      case (.schemaOrBool, 1, 0): allows = part.word != 0
      case (.schemaOrBool, 2, 2), (.schemaOrArray, 1, 2), (.schemaOrStrings, 1, 2): single = part
      case (.schemaOrArray, 2, 2), (.schemaOrStrings, 2, 2): many.append(part)
      case (_, 1...2, _): throw wrongWire(part, "schema")
      default: break
      }
    }
    if form != .schemaOrBool, !many.isEmpty {
      out.byte(UInt8(ascii: "["))
      for part in many {
        out.separate()
        if form == .schemaOrArray { try message(plan, part.start, part.end) } else { out.string(text(part)) }
      }
      out.byte(UInt8(ascii: "]"))
    } else if let single {
      try message(plan, single.start, single.end)
    } else {
      out.raw(form == .schemaOrBool ? (allows ? "true" : "false").utf8 : "null".utf8)
    }
    return true
  }

  /// Messages that JSON shows as something else.
  private mutating func special(_ form: FieldForm, _ field: WireReader.Field) throws -> Bool {
    var words: (UInt64, UInt64) = (0, 0)
    var texts: (one: WireReader.Field?, three: WireReader.Field?)
    var reader = reader(field.start, field.end)
    while let part = try reader.next() {
      switch (part.number, part.wire) {
      case (1, 0): words.0 = part.word
      case (2, 0): words.1 = part.word
      case (1, 2): texts.one = part
      case (3, 2): texts.three = part
      case (1...3, _): throw wrongWire(part, "value")
      default: break
      }
    }
    switch form {
    case .time, .microTime:
      // The zero time is an empty message.
      if field.start == field.end {
        out.raw("null".utf8)
        return false
      }
      try time(Int64(bitPattern: words.0), Int32(truncatingIfNeeded: words.1), micro: form == .microTime)
      return true
    case .duration:
      var writer = JSONWriter(capacity: 32)
      writer.string(GoDuration(nanoseconds: Int64(bitPattern: words.0)).description)
      out.raw(writer.bytes)
      return words.0 != 0
    case .quantity: return quantity(texts.one)
    case .intOrString:
      if words.0 == 1 {
        out.string(texts.three.map { text($0) } ?? UnsafeBufferPointer(start: nil, count: 0))
        return true
      }
      guard words.0 == 0 else { throw ProtobufError("impossible IntOrString.Type") }
      let number = Int32(truncatingIfNeeded: words.1)
      out.int(Int64(number))
      return number != 0
    default: return try raw(texts.one)
    }
  }

  private mutating func quantity(_ field: WireReader.Field?) -> Bool {
    guard let field, field.end > field.start else {
      out.raw("\"0\"".utf8)
      return false
    }
    out.string(text(field))
    return true
  }

  private mutating func time(_ seconds: Int64, _ nanoseconds: Int32, micro: Bool) throws {
    // What RFC 3339 can show: the years 1 to 9999.
    guard (-62_135_596_800...253_402_300_799).contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else {
      throw ProtobufError("Time.MarshalJSON: year outside of range [0,9999]")
    }
    out.byte(0x22)
    if micro {
      out.raw(MicroTime(seconds: seconds, nanoseconds: nanoseconds).description.utf8)
    } else {
      out.raw(Time(seconds: seconds).description.utf8)
    }
    out.byte(0x22)
  }

  /// Embedded JSON, or an enveloped object of its own.
  private mutating func raw(_ field: WireReader.Field?) throws -> Bool {
    guard let field, field.end > field.start else {
      out.raw("null".utf8)
      return false
    }
    let bytes = text(field)
    if bytes.starts(with: Envelope.magic) {
      let envelope = try Envelope(bytes)
      let kind = try kinds.kind(of: envelope, default: nil)
      try message(
        kind.plan, field.start + envelope.start, field.start + envelope.end, type: kind.kind)
      return true
    }
    do {
      try JSONReader.withReader(bytes) { reader in
        try reader.skipValue()
        try reader.end()
      }
    } catch { throw ProtobufError("json: error calling MarshalJSON for embedded object: \(error)") }
    out.raw(bytes)
    return !bytes.elementsEqual("null".utf8)
  }
}
