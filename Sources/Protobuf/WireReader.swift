/// Reads the fields of one message, without copying. The memory must outlive the reader.
struct WireReader {
  /// A field's number, its wire type and where its value is.
  struct Field {
    var number: Int
    var wire: UInt8
    /// The value of varint, fixed64 and fixed32 fields.
    var word: UInt64 = 0
    /// The bytes of a length-delimited field.
    var start = 0
    var end = 0
  }

  private let base: UnsafePointer<UInt8>
  private(set) var position: Int
  private let end: Int

  init(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) {
    self.base = base
    position = start
    self.end = end
  }

  var atEnd: Bool { position >= end }

  /// The next field; nil at the end. Groups are passed over, as gogo does with what it does not know.
  mutating func next() throws -> Field? {
    while position < end {
      let tag = try varint()
      guard tag >> 3 <= 0x1FFF_FFFF, tag >> 3 > 0 else {
        throw ProtobufError("proto: illegal tag \(Int32(truncatingIfNeeded: tag >> 3)) (wire type \(tag))")
      }
      var field = Field(number: Int(tag >> 3), wire: UInt8(tag & 7))
      switch field.wire {
      case 0: field.word = try varint()
      case 1: field.word = try fixed(8)
      case 2: (field.start, field.end) = try delimited()
      case 3:
        try skipGroup()
        continue
      case 4: throw ProtobufError("proto: wiretype end group for non-group")
      case 5: field.word = try fixed(4)
      default: throw ProtobufError("proto: illegal wireType \(field.wire)")
      }
      return field
    }
    return nil
  }

  mutating func varint() throws -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = base[position]
      position += 1
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
      shift += 7
      if shift > 63 { throw ProtobufError.overflow }
    }
    throw ProtobufError.endOfInput
  }

  private mutating func fixed(_ count: Int) throws -> UInt64 {
    guard end - position >= count else { throw ProtobufError.endOfInput }
    var result: UInt64 = 0
    for index in 0..<count { result |= UInt64(base[position + index]) << UInt64(8 * index) }
    position += count
    return result
  }

  private mutating func delimited() throws -> (Int, Int) {
    let count = try varint()
    guard count <= UInt64(end - position) else { throw ProtobufError.endOfInput }
    let start = position
    position += Int(count)
    return (start, position)
  }

  private mutating func skipGroup() throws {
    var depth = 1
    while depth > 0 {
      let tag = try varint()
      switch tag & 7 {
      case 0: _ = try varint()
      case 1: _ = try fixed(8)
      case 2: _ = try delimited()
      case 3: depth += 1
      case 4: depth -= 1
      case 5: _ = try fixed(4)
      default: throw ProtobufError("proto: illegal wireType \(tag & 7)")
      }
    }
  }
}

/// How many bytes a number takes as a varint.
@inline(__always) func varintSize(_ value: Int) -> Int {
  (70 - (UInt64(value) | 1).leadingZeroBitCount) / 7
}

extension [UInt8] {
  /// Appends a number as a varint.
  @inline(__always) mutating func appendVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  /// Appends a field of bytes.
  mutating func appendField(_ number: Int, _ content: some Collection<UInt8>) {
    appendVarint(UInt64(number << 3 | 2))
    appendVarint(UInt64(content.count))
    append(contentsOf: content)
  }
}
