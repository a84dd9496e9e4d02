/// Writes protobuf's wire form. etcd's messages are few and flat, and the values in them are large: by hand they are
/// written once, into the buffer that is sent.
struct ProtoWriter {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int = 64) { bytes.reserveCapacity(capacity) }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  /// A number; zero is what a missing one means.
  mutating func number(_ field: UInt64, _ value: UInt64) {
    if value == 0 { return }
    varint(field << 3)
    varint(value)
  }

  mutating func flag(_ field: UInt64, _ value: Bool) { number(field, value ? 1 : 0) }

  mutating func data(_ field: UInt64, _ value: some Collection<UInt8>) {
    if value.isEmpty { return }
    begin(field, length: value.count)
    bytes.append(contentsOf: value)
  }

  /// The head of a field whose `length` bytes follow.
  mutating func begin(_ field: UInt64, length: Int) {
    varint(field << 3 | 2)
    varint(UInt64(length))
  }

  mutating func append(_ value: some Collection<UInt8>) { bytes.append(contentsOf: value) }

  /// A message inside this one; also written when it is empty.
  mutating func message(_ field: UInt64, _ body: (inout ProtoWriter) -> Void) {
    var inner = ProtoWriter()
    body(&inner)
    begin(field, length: inner.bytes.count)
    bytes.append(contentsOf: inner.bytes)
  }

  /// How many bytes a number takes.
  static func size(_ value: Int) -> Int { max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7) }
}
