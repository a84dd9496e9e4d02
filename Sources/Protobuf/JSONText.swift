import APIMachinery

/// JSON being written, with a way back: what turns out to say nothing is taken out again.
struct JSONText {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int) { bytes.reserveCapacity(capacity) }

  var count: Int { bytes.count }

  mutating func truncate(to count: Int) { bytes.removeLast(bytes.count - count) }

  mutating func byte(_ byte: UInt8) { bytes.append(byte) }

  /// A comma if something stands before in the same object or array.
  mutating func separate() {
    switch bytes.last {
    case nil, UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"): break
    default: bytes.append(UInt8(ascii: ","))
    }
  }

  /// A member's name with quotes and colon, as the plan keeps it.
  mutating func label(_ label: [UInt8]) {
    separate()
    bytes.append(contentsOf: label)
  }

  mutating func raw(_ text: some Sequence<UInt8>) { bytes.append(contentsOf: text) }

  mutating func int(_ value: Int64) { bytes.append(contentsOf: String(value).utf8) }

  /// A string from its UTF-8; what is no UTF-8 becomes U+FFFD.
  mutating func string(_ text: UnsafeBufferPointer<UInt8>) {
    bytes.append(0x22)
    if text.allSatisfy({ $0 >= 0x20 && $0 < 0x80 && $0 != 0x22 && $0 != 0x5C }) {
      bytes.append(contentsOf: text)
    } else {
      for byte in String(decoding: text, as: UTF8.self).utf8 {
        switch byte {
        case 0x22, 0x5C:
          bytes.append(0x5C)
          bytes.append(byte)
        case 0x0A: bytes.append(contentsOf: [0x5C, UInt8(ascii: "n")])
        case 0x0D: bytes.append(contentsOf: [0x5C, UInt8(ascii: "r")])
        case 0x09: bytes.append(contentsOf: [0x5C, UInt8(ascii: "t")])
        case 0..<0x20:
          bytes.append(contentsOf: "\\u00".utf8)
          for nibble in [byte >> 4, byte & 15] { bytes.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
        default: bytes.append(byte)
        }
      }
    }
    bytes.append(0x22)
  }
}
