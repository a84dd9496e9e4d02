import APIMachinery
import Glibc

extension ProtobufEncoder {
  /// Writes one value with its tag.
  mutating func value(_ field: FieldPlan, _ tag: UInt32, _ reader: inout JSONReader) throws {
    if field.form == .message {
      guard let child = field.child else { throw ProtobufError("proto: no type of field \(field.name)") }
      return try message(child, tag: tag, &reader)
    }
    bytes.appendVarint(UInt64(tag))
    switch field.form {
    case .string: try text(&reader)
    case .bool: bytes.append(try reader.bool() ? 1 : 0)
    case .int32, .int64: bytes.appendVarint(UInt64(bitPattern: try reader.int64()))
    case .double:
      let bits = try reader.double().bitPattern
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift * 8))) }
    case .bytes:
      let data = try Base64Bytes(from: &reader).bytes
      bytes.appendVarint(UInt64(data.count))
      bytes.append(contentsOf: data)
    case .time, .microTime: try time(&reader, micro: field.form == .microTime)
    default:
      let length = open()
      try special(field, &reader)
      close(length)
    }
  }

  /// The content of messages that JSON shows as something else.
  private mutating func special(_ field: FieldPlan, _ reader: inout JSONReader) throws {
    switch field.form {
    case .quantity:
      bytes.append(0x0A)
      if try reader.peek() == .string {
        try text(&reader)
      } else {
        let range = try reader.skipValue()
        bytes.appendVarint(UInt64(range.count))
        bytes.append(contentsOf: reader.bytes(in: range))
      }
    case .intOrString:
      if try reader.peek() == .string {
        bytes.append(contentsOf: [0x08, 1, 0x10, 0, 0x1A])
        try text(&reader)
      } else {
        bytes.append(contentsOf: [0x08, 0, 0x10])
        bytes.appendVarint(UInt64(bitPattern: Int64(try reader.int32())))
        bytes.append(contentsOf: [0x1A, 0])
      }
    case .duration:
      bytes.append(0x08)
      bytes.appendVarint(UInt64(bitPattern: try GoDuration(from: &reader).nanoseconds))
    case .raw: try raw(&reader)
    case .strings: try strings(1, &reader)
    case .schemaOrArray, .schemaOrBool, .schemaOrStrings:
      guard let child = field.child else { return }
      try schema(field.form, child, &reader)
    default: throw ProtobufError("proto: no form")
    }
  }

  private mutating func raw(_ reader: inout JSONReader) throws {
    let range = try reader.skipValue()
    bytes.append(0x0A)
    bytes.appendVarint(UInt64(range.count))
    bytes.append(contentsOf: reader.bytes(in: range))
  }

  private mutating func strings(_ number: UInt8, _ reader: inout JSONReader) throws {
    try reader.beginArray()
    while try reader.nextElement() {
      bytes.append(number << 3 | 2)
      try text(&reader)
    }
  }

  private mutating func schema(_ form: FieldForm, _ plan: MessagePlan, _ reader: inout JSONReader) throws {
    switch (form, try reader.peek()) {
    case (.schemaOrBool, .bool): bytes.append(contentsOf: [0x08, try reader.bool() ? 1 : 0])
    case (.schemaOrBool, _):
      bytes.append(contentsOf: [0x08, 1])
      try message(plan, tag: 2 << 3 | 2, &reader)
    case (.schemaOrArray, .array):
      try reader.beginArray()
      while try reader.nextElement() { try message(plan, tag: 2 << 3 | 2, &reader) }
    case (.schemaOrStrings, .array): try strings(2, &reader)
    default: try message(plan, tag: 1 << 3 | 2, &reader)
    }
  }

  // MARK: Text

  /// Writes a string with its length.
  private mutating func text(_ reader: inout JSONReader) throws {
    guard try reader.peek() == .string else { throw try reader.mismatch("string") }
    let range = try reader.skipValue()
    let content = reader.bytes(in: (range.lowerBound + 1)..<(range.upperBound - 1))
    guard let first = content.baseAddress, !content.isEmpty else { return bytes.append(0) }
    if memchr(first, 0x5C, content.count) == nil {
      bytes.appendVarint(UInt64(content.count))
      return bytes.append(contentsOf: content)
    }
    let length = open()
    unescape(content)
    close(length)
  }

  /// Resolves the escapes of a checked string. Lone surrogates become U+FFFD, as in Go.
  private mutating func unescape(_ text: UnsafeBufferPointer<UInt8>) {
    var from = 0
    var at = 0
    while at < text.count {
      guard text[at] == 0x5C else {
        at += 1
        continue
      }
      if from < at { bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[from..<at])) }
      let code = text[at + 1]
      at += 2
      switch code {
      case UInt8(ascii: "b"): bytes.append(0x08)
      case UInt8(ascii: "f"): bytes.append(0x0C)
      case UInt8(ascii: "n"): bytes.append(0x0A)
      case UInt8(ascii: "r"): bytes.append(0x0D)
      case UInt8(ascii: "t"): bytes.append(0x09)
      case UInt8(ascii: "u"):
        let first = Self.unit(text, at)
        at += 4
        var scalar = Unicode.Scalar(first)
        if first & 0xFC00 == 0xD800, at + 6 <= text.count, text[at] == 0x5C, text[at + 1] == UInt8(ascii: "u") {
          let second = Self.unit(text, at + 2)
          if second & 0xFC00 == 0xDC00 {
            scalar = Unicode.Scalar(0x10000 + (UInt32(first & 0x3FF) << 10 | UInt32(second & 0x3FF)))
            at += 6
          }
        }
        bytes.append(contentsOf: String(scalar ?? "\u{FFFD}").utf8)
      default: bytes.append(code)
      }
      from = at
    }
    if from < at { bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[from..<at])) }
  }

  private static func unit(_ text: UnsafeBufferPointer<UInt8>, _ at: Int) -> UInt16 {
    var value: UInt16 = 0
    for byte in text[at..<at + 4] { value = value << 4 | UInt16(byte & 15) + (byte > 0x39 ? 9 : 0) }
    return value
  }

  // MARK: Times

  private mutating func time(_ reader: inout JSONReader, micro: Bool) throws {
    guard try reader.peek() == .string else { throw try reader.mismatch("string") }
    let range = try reader.skipValue()
    let content = reader.bytes(in: (range.lowerBound + 1)..<(range.upperBound - 1))
    let seconds: Int64
    var nanoseconds: Int32 = 0
    if let fast = Self.seconds(content) {
      seconds = fast
    } else {
      let text = String(decoding: content, as: UTF8.self)
      guard let time = MicroTime(rfc3339: text) else { throw ProtobufError("parsing time \"\(text)\"") }
      seconds = time.seconds
      if micro { nanoseconds = time.nanoseconds }
    }
    // The zero time is an empty message.
    if seconds == Self.zeroTime, nanoseconds == 0 { return bytes.append(0) }
    let length = open()
    bytes.append(0x08)
    bytes.appendVarint(UInt64(bitPattern: seconds))
    bytes.append(0x10)
    bytes.appendVarint(UInt64(bitPattern: Int64(nanoseconds)))
    close(length)
  }

  private static let zeroTime = Time().seconds

  /// `2006-01-02T15:04:05Z`, which is what nearly every time looks like; nil for all others.
  private static func seconds(_ b: UnsafeBufferPointer<UInt8>) -> Int64? {
    guard b.count == 20, b[19] == UInt8(ascii: "Z"), b[10] == UInt8(ascii: "T"), b[4] == 0x2D, b[7] == 0x2D,
      b[13] == 0x3A, b[16] == 0x3A
    else { return nil }
    var valid = true
    func number(_ at: Int, _ count: Int) -> Int64 {
      var value: Int64 = 0
      for byte in b[at..<at + count] {
        if byte &- 0x30 > 9 { valid = false }
        value = value * 10 + Int64(byte &- 0x30)
      }
      return value
    }
    let year = number(0, 4)
    let month = number(5, 2)
    let day = number(8, 2)
    let rest = number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2)
    guard valid, year > 0, (1...12).contains(month), (1...31).contains(day) else { return nil }
    // Years that begin in March, so that leap days come last.
    let y = month <= 2 ? year - 1 : year
    let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return (y * 365 + y / 4 - y / 100 + y / 400 + ofYear - 719_468) * 86_400 + rest
  }
}
