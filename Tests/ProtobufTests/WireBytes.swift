/// Writes the wire format by hand, so that tests know what Go would have written.
struct Wire {
  var bytes: [UInt8] = []

  init() {}

  /// Fields as pairs: `Wire(1, "name")`.
  init(_ number: Int, _ text: String) { self = Wire().with(number, text) }

  private mutating func varint(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(value & 0x7F | 0x80))
      value >>= 7
    }
    bytes.append(UInt8(value))
  }

  func with(_ number: Int, _ value: Int64) -> Wire {
    var copy = self
    copy.varint(UInt64(number << 3))
    copy.varint(UInt64(bitPattern: value))
    return copy
  }

  func with(_ number: Int, _ content: [UInt8]) -> Wire {
    var copy = self
    copy.varint(UInt64(number << 3 | 2))
    copy.varint(UInt64(content.count))
    copy.bytes += content
    return copy
  }

  func with(_ number: Int, _ text: String) -> Wire { with(number, Array(text.utf8)) }
  func with(_ number: Int, _ message: Wire) -> Wire { with(number, message.bytes) }
  func raw(_ more: [UInt8]) -> Wire {
    var copy = self
    copy.bytes += more
    return copy
  }

  static func envelope(_ apiVersion: String, _ kind: String, _ object: Wire) -> [UInt8] {
    [0x6B, 0x38, 0x73, 0x00]
      + Wire().with(1, Wire().with(1, apiVersion).with(2, kind)).with(2, object).with(3, "").with(4, "").bytes
  }
}
