/// Bytes that are no protobuf message.
struct MalformedMessage: Error {}

/// Reads protobuf's wire form in place.
struct ProtoReader {
  private let buffer: UnsafeRawBufferPointer
  private var offset = 0
  private var wireType: UInt64 = 0

  init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

  /// The number of the next field, nil at the end. Exactly one of `number`, `data` and `skip` must follow.
  mutating func next() throws -> UInt64? {
    guard offset < buffer.count else { return nil }
    let key = try varint()
    wireType = key & 7
    return key >> 3
  }

  mutating func number() throws -> UInt64 {
    guard wireType == 0 else { throw MalformedMessage() }
    return try varint()
  }

  mutating func data() throws -> UnsafeRawBufferPointer {
    guard wireType == 2 else { throw MalformedMessage() }
    let length = try varint()
    guard length <= UInt64(buffer.count - offset) else { throw MalformedMessage() }
    defer { offset += Int(length) }
    return UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + Int(length))])
  }

  mutating func skip() throws {
    switch wireType {
    case 0: _ = try varint()
    case 1: try advance(8)
    case 2: _ = try data()
    case 5: try advance(4)
    default: throw MalformedMessage()
    }
  }

  private mutating func advance(_ count: Int) throws {
    guard buffer.count - offset >= count else { throw MalformedMessage() }
    offset += count
  }

  private mutating func varint() throws -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < buffer.count, shift < 64 {
      let byte = buffer[offset]
      offset += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw MalformedMessage()
  }
}
