import Glibc

/// Writes JSON as Go's `encoding/json` does: no white space, `<`, `>` and `&` escaped.
public struct JSONWriter {
  /// What has been written so far.
  public var bytes: [UInt8]
  @usableFromInline var needsComma = false

  /// A writer with room for `capacity` bytes.
  public init(capacity: Int = 512) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  @inlinable mutating func separate() {
    if needsComma { bytes.append(0x2C) }
    needsComma = true
  }

  /// Opens an object.
  @inlinable public mutating func beginObject() {
    separate()
    bytes.append(0x7B)
    needsComma = false
  }

  /// Closes an object.
  @inlinable public mutating func endObject() {
    bytes.append(0x7D)
    needsComma = true
  }

  /// Opens an array.
  @inlinable public mutating func beginArray() {
    separate()
    bytes.append(0x5B)
    needsComma = false
  }

  /// Closes an array.
  @inlinable public mutating func endArray() {
    bytes.append(0x5D)
    needsComma = true
  }

  /// A member's name that needs no escaping.
  @inlinable public mutating func key(_ k: StaticString) {
    if needsComma { bytes.append(0x2C) }
    bytes.append(0x22)
    bytes.append(contentsOf: UnsafeBufferPointer(start: k.utf8Start, count: k.utf8CodeUnitCount))
    bytes.append(0x22)
    bytes.append(0x3A)
    needsComma = false
  }

  /// A member's name.
  public mutating func key(_ k: String) {
    if needsComma { bytes.append(0x2C) }
    quoted(k)
    bytes.append(0x3A)
    needsComma = false
  }

  /// A string value.
  public mutating func string(_ s: String) {
    separate()
    quoted(s)
  }

  /// An integer value.
  public mutating func int(_ v: Int64) {
    separate()
    if v >= 0 && v < 10 {
      bytes.append(0x30 + UInt8(v))
      return
    }
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { buffer in
      var rest = v.magnitude
      var i = 20
      while rest > 0 {
        i -= 1
        buffer[i] = 0x30 + UInt8(rest % 10)
        rest /= 10
      }
      if v < 0 {
        i -= 1
        buffer[i] = 0x2D
      }
      bytes.append(contentsOf: buffer[i..<20])
    }
  }

  /// A floating-point value in Go's shortest form. JSON has no infinities; they become null.
  public mutating func double(_ v: Double) {
    separate()
    guard v.isFinite else {
      bytes.append(contentsOf: "null".utf8)
      return
    }
    bytes.append(contentsOf: goNumber(v).utf8)
  }

  /// A boolean value.
  @inlinable public mutating func bool(_ v: Bool) {
    separate()
    let text: StaticString = v ? "true" : "false"
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// A null.
  public mutating func null() {
    separate()
    bytes.append(contentsOf: "null".utf8)
  }

  /// An already encoded value.
  @inlinable public mutating func raw(_ json: some Collection<UInt8>) {
    separate()
    bytes.append(contentsOf: json)
  }

  /// A tree, its object keys sorted as Go sorts them.
  public mutating func value(_ v: JSONValue) {
    switch v {
    case .null: null()
    case .bool(let v): bool(v)
    case .int(let v): int(v)
    case .double(let v): double(v)
    case .string(let v): string(v)
    case .array(let items):
      beginArray()
      for item in items { value(item) }
      endArray()
    case .object(let members):
      beginObject()
      if members.count == 1, let (name, member) = members.first {
        key(name)
        value(member)
      } else {
        for (name, member) in members.sorted(by: { bytesPrecede($0.key, $1.key) }) {
          key(name)
          value(member)
        }
      }
      endObject()
    }
  }

  private mutating func quoted(_ s: String) {
    var s = s
    bytes.append(0x22)
    s.withUTF8 { utf8 in
      var start = 0
      var i = 0
      while i < utf8.count {
        if !needsEscape(utf8[i]) {
          i += 1
          continue
        }
        let byte = utf8[i]
        if byte == 0xE2 {
          // U+2028 and U+2029 are line ends to JavaScript, so Go escapes them.
          guard i + 2 < utf8.count, utf8[i + 1] == 0x80, utf8[i + 2] & 0xFE == 0xA8 else {
            i += 1
            continue
          }
          bytes.append(contentsOf: utf8[start..<i])
          bytes.append(contentsOf: (utf8[i + 2] == 0xA8 ? "\\u2028" : "\\u2029").utf8)
          i += 3
        } else {
          bytes.append(contentsOf: utf8[start..<i])
          escape(byte)
          i += 1
        }
        start = i
      }
      bytes.append(contentsOf: utf8[start...])
    }
    bytes.append(0x22)
  }

  private mutating func escape(_ byte: UInt8) {
    bytes.append(0x5C)
    switch byte {
    case 0x22, 0x5C: bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    default:
      bytes.append(contentsOf: "u00".utf8)
      for nibble in [byte >> 4, byte & 15] { bytes.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
    }
  }
}

/// Whether a string needs a closer look at this byte.
@inline(__always) private func needsEscape(_ byte: UInt8) -> Bool {
  byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x3C || byte == 0x3E || byte == 0x26 || byte == 0xE2
}

/// Shortest digits; an exponent below 1e-6 and from 1e21 on.
func goNumber(_ v: Double) -> String {
  if v == 0 { return v.sign == .minus ? "-0" : "0" }
  // Swift prints the shortest digits too, but switches to exponents elsewhere.
  var digits: [UInt8] = []
  var exponent = 0
  var point: Int?
  var rest = v.magnitude.description.utf8[...]
  while let byte = rest.first {
    rest.removeFirst()
    if byte == UInt8(ascii: ".") {
      point = digits.count
    } else if byte == UInt8(ascii: "e") {
      exponent = Int(String(Substring(rest))) ?? 0
      break
    } else {
      digits.append(byte)
    }
  }
  var scale = (point ?? digits.count) + exponent  // value = 0.DIGITS × 10^scale
  while digits.count > 1, digits.last == 0x30 { digits.removeLast() }
  while digits.count > 1, digits.first == 0x30 {
    digits.removeFirst()
    scale -= 1
  }
  var out = v < 0 ? "-" : ""
  let text = String(decoding: digits, as: UTF8.self)
  if scale - 1 < -6 || scale - 1 >= 21 {
    out += text.prefix(1)
    if digits.count > 1 { out += "." + text.dropFirst() }
    out += scale - 1 < 0 ? "e-\(1 - scale)" : "e+\(scale - 1)"
  } else if scale <= 0 {
    out += "0." + String(repeating: "0", count: -scale) + text
  } else if scale >= digits.count {
    out += text + String(repeating: "0", count: scale - digits.count)
  } else {
    out += text.prefix(scale) + "." + text.dropFirst(scale)
  }
  return out
}

extension Collection<String> {
  /// In the order of their UTF-8 bytes, which is Go's order.
  func sortedByBytes() -> [String] {
    count < 2 ? Array(self) : sorted(by: bytesPrecede)
  }
}

/// Go's order of strings: by UTF-8 bytes.
@inline(__always) func bytesPrecede(_ a: String, _ b: String) -> Bool {
  // Contiguous UTF-8 is what nearly every string is.
  let fast = a.utf8.withContiguousStorageIfAvailable { x in
    b.utf8.withContiguousStorageIfAvailable { y in
      let common = min(x.count, y.count)
      if common > 0, let p = x.baseAddress, let q = y.baseAddress {
        let order = memcmp(p, q, common)
        if order != 0 { return order < 0 }
      }
      return x.count < y.count
    }
  }
  return (fast ?? nil) ?? a.utf8.lexicographicallyPrecedes(b.utf8)
}
