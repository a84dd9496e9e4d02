/// Bytes that JSON shows in base64: Go's []byte.
public struct Base64Bytes: Sendable, Hashable, JSONCodable {
  /// The decoded bytes.
  public var bytes: [UInt8]

  /// Some bytes.
  public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

  /// Decodes standard base64 with padding; line ends are skipped, as in Go.
  public init?(base64 text: String) {
    guard let bytes = Self.decode(text) else { return nil }
    self.bytes = bytes
  }

  /// The base64 text.
  public var base64: String { String(decoding: text(), as: UTF8.self) }

  /// Whether there are no bytes.
  public var isEmpty: Bool { bytes.isEmpty }

  /// The bytes as text.
  public var string: String { String(decoding: bytes, as: UTF8.self) }

  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    let offset = reader.offset
    guard let bytes = Self.decode(try reader.string()) else {
      throw JSONError(message: "illegal base64 data at input byte 0", offset: offset)
    }
    self.bytes = bytes
  }

  public func encode(to writer: inout JSONWriter) {
    writer.raw([0x22] + text() + [0x22])
  }

  private func text() -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    bytes.withUnsafeBufferPointer { b in
      var i = 0
      while i < b.count {
        let left = b.count - i
        let word = UInt32(b[i]) << 16 | (left > 1 ? UInt32(b[i + 1]) << 8 : 0) | (left > 2 ? UInt32(b[i + 2]) : 0)
        out.append(letters[Int(word >> 18)])
        out.append(letters[Int(word >> 12 & 63)])
        out.append(left > 1 ? letters[Int(word >> 6 & 63)] : 0x3D)
        out.append(left > 2 ? letters[Int(word & 63)] : 0x3D)
        i += 3
      }
    }
    return out
  }

  private static func decode(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    var text = text
    out.reserveCapacity(text.utf8.count / 4 * 3)
    let fine = text.withUTF8 { b -> Bool in
      var word: UInt32 = 0
      var have = 0
      var padding = 0
      for byte in b {
        if byte == 0x0A || byte == 0x0D { continue }
        if byte == 0x3D {
          padding += 1
          guard have + padding <= 4, have >= 2 else { return false }
          continue
        }
        let value = values[Int(byte)]
        guard value < 64, padding == 0 else { return false }
        word = word << 6 | UInt32(value)
        have += 1
        if have == 4 {
          out.append(UInt8(truncatingIfNeeded: word >> 16))
          out.append(UInt8(truncatingIfNeeded: word >> 8))
          out.append(UInt8(truncatingIfNeeded: word))
          word = 0
          have = 0
        }
      }
      guard have == 0 ? padding == 0 : have + padding == 4 else { return false }
      if have == 2 { out.append(UInt8(truncatingIfNeeded: word >> 4)) }
      if have == 3 {
        out.append(UInt8(truncatingIfNeeded: word >> 10))
        out.append(UInt8(truncatingIfNeeded: word >> 2))
      }
      return true
    }
    return fine ? out : nil
  }
}

private let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
private let values: [UInt8] = {
  var table = [UInt8](repeating: 255, count: 256)
  for (i, letter) in letters.enumerated() { table[Int(letter)] = UInt8(i) }
  return table
}()
