internal import Glibc

/// `"%s is %d".format([a, b])`.
enum StringFormat {
  static func format(_ pattern: String, _ args: [CELValue]) throws(CELError) -> String {
    var out = ""
    var rest = Array(pattern.unicodeScalars)[...]
    var next = 0
    while let c = rest.popFirst() {
      guard c == "%" else {
        out.unicodeScalars.append(c)
        continue
      }
      guard let first = rest.first else { throw CELError("unexpected end of string") }
      if first == "%" {
        rest.removeFirst()
        out += "%"
        continue
      }
      var precision: Int?
      if first == "." {
        rest.removeFirst()
        var digits = ""
        while let d = rest.first, d.value >= 0x30, d.value <= 0x39 {
          digits.unicodeScalars.append(d)
          rest.removeFirst()
        }
        guard let value = Int(digits), value <= 1000 else {
          throw CELError("could not parse formatting clause: error while parsing precision: could not find precision")
        }
        precision = value
      }
      guard let verb = rest.popFirst() else { throw CELError("unexpected end of string") }
      guard "sdfexXob".unicodeScalars.contains(verb) else {
        throw CELError("could not parse formatting clause: unrecognized formatting clause \"\(verb)\"")
      }
      guard next < args.count else { throw CELError("index \(next) out of range") }
      do throws(CELError) {
        out += try one(verb, precision, args[next])
      } catch {
        throw CELError("error during formatting: \(error.message)")
      }
      next += 1
    }
    return out
  }

  private static func one(_ verb: Unicode.Scalar, _ precision: Int?, _ value: CELValue) throws(CELError) -> String {
    let type = value.type.runtimeName
    switch verb {
    case "s": return try text(value)
    case "d":
      switch value {
      case .int(let v): return String(v)
      case .uint(let v): return String(v)
      case .double(let v) where !v.isFinite: return special(v)
      default: throw CELError("decimal clause can only be used on integers, was given \(type)")
      }
    case "f", "e":
      let double: Double
      switch value {
      case .double(let v): double = v
      case .int(let v): double = Double(v)
      case .uint(let v): double = Double(v)
      default:
        let name = verb == "f" ? "fixed-point" : "scientific"
        throw CELError("\(name) clause can only be used on doubles, was given \(type)")
      }
      if !double.isFinite { return special(double) }
      return printf("%.\(precision ?? 6)\(verb)", double)
    case "b", "o":
      switch value {
      case .int(let v): return String(v, radix: verb == "b" ? 2 : 8)
      case .uint(let v): return String(v, radix: verb == "b" ? 2 : 8)
      case .bool(let v) where verb == "b": return v ? "1" : "0"
      default:
        throw CELError(
          verb == "b"
            ? "only integers and bools can be formatted as binary, was given \(type)"
            : "octal clause can only be used on integers, was given \(type)")
      }
    default:
      let upper = verb == "X"
      func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: upper) }.joined()
      }
      switch value {
      case .int(let v): return String(v, radix: 16, uppercase: upper)
      case .uint(let v): return String(v, radix: 16, uppercase: upper)
      case .string(let v): return hex(v.utf8)
      case .bytes(let v): return hex(v)
      default:
        throw CELError("only integers, byte buffers, and strings can be formatted as hex, was given \(type)")
      }
    }
  }

  private static func special(_ value: Double) -> String {
    value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }

  private static func printf(_ format: String, _ value: Double) -> String {
    withVaList([value]) { list in
      var buffer = [CChar](repeating: 0, count: 1500)
      let count = vsnprintf(&buffer, buffer.count, format, list)
      return String(
        decoding: buffer[..<min(max(0, Int(count)), buffer.count - 1)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }

  private static func text(_ value: CELValue) throws(CELError) -> String {
    switch value {
    case .double(let v): return v.isFinite ? CELValue.text(v) : special(v)
    case .list(let list):
      var parts: [String] = []
      for element in try list.elements() { parts.append(try text(element)) }
      return "[" + parts.joined(separator: ", ") + "]"
    case .map(let map):
      var parts: [(String, String)] = []
      for key in map.keys { parts.append((try text(key), try text(try map.value(key) ?? .null))) }
      parts.sort { $0.0.byteOrder($1.0) < 0 }
      return "{" + parts.map { "\($0.0): \($0.1)" }.joined(separator: ", ") + "}"
    case .object, .optional, .opaque:
      throw CELError(
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and "
          + "timestamps, was given \(value.type.runtimeName)")
    default: return value.plainText
    }
  }
}
