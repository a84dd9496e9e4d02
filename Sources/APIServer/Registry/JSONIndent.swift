/// Lays JSON out for people, two spaces a level, as it comes: a document may arrive in pieces.
struct JSONIndent: Sendable {
  private var depth = 0
  private var inString = false
  private var escaped = false
  /// After an opening bracket, until something that is not its closing one follows.
  private var opened = false

  init() {}

  mutating func add(_ bytes: some Collection<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count * 3 / 2)
    for byte in bytes {
      if inString {
        out.append(byte)
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if !opened { line(&out) }
        opened = false
        out.append(byte)
        continue
      case 0x20, 0x0A, 0x0D, 0x09: continue
      default: break
      }
      if opened {
        line(&out)
        opened = false
      }
      out.append(byte)
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        opened = true
      case UInt8(ascii: ","): line(&out)
      case UInt8(ascii: ":"): out.append(0x20)
      case UInt8(ascii: "\""): inString = true
      default: break
      }
    }
    return out
  }

  private func line(_ out: inout [UInt8]) {
    out.append(0x0A)
    out.append(contentsOf: repeatElement(0x20, count: depth * 2))
  }
}
