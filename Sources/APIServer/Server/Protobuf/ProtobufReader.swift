/// Reads the wire format of Protocol Buffers.
struct ProtobufReader {
  struct Malformed: Error, CustomStringConvertible { var description: String }

  private let bytes: ArraySlice<UInt8>
  private var position: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  /// A field's value as it stands on the wire.
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    case bytes(ArraySlice<UInt8>)
  }

  /// The next field; nil at the end.
  mutating func next() throws -> (number: Int, value: Value)? {
    guard position < bytes.endIndex else { return nil }
    let tag = try varint()
    let number = Int(truncatingIfNeeded: tag >> 3)
    guard number > 0 else { throw Malformed(description: "proto: illegal tag \(number)") }
    switch tag & 7 {
    case 0: return (number, .varint(try varint()))
    case 1: return (number, .fixed64(try fixed(8)))
    case 2:
      let count = try varint()
      guard count <= UInt64(bytes.endIndex - position) else { throw Malformed(description: "unexpected EOF") }
      defer { position += Int(count) }
      return (number, .bytes(bytes[position..<position + Int(count)]))
    case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
    default: throw Malformed(description: "proto: illegal wireType \(tag & 7)")
    }
  }

  /// The values of a packed repeated field.
  static func packed(_ bytes: ArraySlice<UInt8>) throws -> [UInt64] {
    var reader = ProtobufReader(bytes)
    var result: [UInt64] = []
    while reader.position < bytes.endIndex { result.append(try reader.varint()) }
    return result
  }

  private mutating func varint() throws -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.endIndex {
      let byte = bytes[position]
      position += 1
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
      shift += 7
      if shift > 63 { throw Malformed(description: "proto: integer overflow") }
    }
    throw Malformed(description: "unexpected EOF")
  }

  private mutating func fixed(_ count: Int) throws -> UInt64 {
    guard bytes.endIndex - position >= count else { throw Malformed(description: "unexpected EOF") }
    var result: UInt64 = 0
    for index in 0..<count { result |= UInt64(bytes[position + index]) << UInt64(8 * index) }
    position += count
    return result
  }
}
