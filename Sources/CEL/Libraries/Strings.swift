extension CELLibrary {
  /// The functions on strings of CEL's extensions.
  static let strings: CELLibrary = {
    var out = CELLibrary("strings")
    @Sendable func scalars(_ value: CELValue) throws(CELError) -> [Unicode.Scalar] {
      Array(try value.string().unicodeScalars)
    }
    out.add("charAt", [".string_char_at_int (string, int) -> string"]) { (args) throws(CELError) in
      let (text, index) = (try scalars(args[0]), try args[1].int())
      guard index >= 0, index <= text.count else { throw CELError("index out of range: \(index)") }
      return .string(index == text.count ? "" : String(text[Int(index)]))
    }
    out.add(
      "indexOf",
      [
        ".string_index_of_string (string, string) -> int", ".string_index_of_string_int (string, string, int) -> int",
      ]
    ) { (args) throws(CELError) in
      let (text, part) = (try scalars(args[0]), try scalars(args[1]))
      let start = args.count > 2 ? try args[2].int() : 0
      if part.isEmpty { return .int(start) }
      if args.count == 2, text.count < part.count { return .int(-1) }
      guard start >= 0, start < text.count else { throw CELError("index out of range: \(start)") }
      var i = Int(start)
      while i + part.count <= text.count {
        if text[i..<i + part.count].elementsEqual(part) { return .int(Int64(i)) }
        i += 1
      }
      return .int(-1)
    }
    out.add(
      "lastIndexOf",
      [
        ".string_last_index_of_string (string, string) -> int",
        ".string_last_index_of_string_int (string, string, int) -> int",
      ]
    ) { (args) throws(CELError) in
      let (text, part) = (try scalars(args[0]), try scalars(args[1]))
      let start = args.count > 2 ? try args[2].int() : Int64(text.count) - 1
      if part.isEmpty { return .int(args.count > 2 ? start : Int64(text.count)) }
      if args.count == 2, text.count < part.count { return .int(-1) }
      guard start >= 0, start < text.count else { throw CELError("index out of range: \(start)") }
      var i = min(Int(start), text.count - part.count)
      while i >= 0 {
        if text[i..<i + part.count].elementsEqual(part) { return .int(Int64(i)) }
        i -= 1
      }
      return .int(-1)
    }
    out.add("join", [".list_join (list(string)) -> string", ".list_join_string (list(string), string) -> string"]) {
      (args) throws(CELError) in
      var parts: [String] = []
      for value in try args[0].list().elements() { parts.append(try value.string()) }
      return .string(parts.joined(separator: args.count > 1 ? try args[1].string() : ""))
    }
    func mapped(_ name: String, _ id: String, _ body: @escaping @Sendable (String) -> String) {
      out.add(name, [".\(id) (string) -> string"]) { (args) throws(CELError) in .string(body(try args[0].string())) }
    }
    mapped("lowerAscii", "string_lower_ascii") { text in
      String(decoding: text.utf8.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
    mapped("upperAscii", "string_upper_ascii") { text in
      String(decoding: text.utf8.map { $0 >= 0x61 && $0 <= 0x7A ? $0 & 0xDF : $0 }, as: UTF8.self)
    }
    mapped("trim", "string_trim") { text in
      let all = Array(text.unicodeScalars)
      let from = all.firstIndex { !$0.properties.isWhitespace } ?? all.count
      let to = (all.lastIndex { !$0.properties.isWhitespace } ?? from - 1) + 1
      return Array(all[from..<max(from, to)]).text
    }
    mapped("reverse", "string_reverse") { Array($0.unicodeScalars.reversed()).text }
    out.add("strings.quote", ["strings_quote (string) -> string"]) { (args) throws(CELError) in
      .string(quoted(try args[0].string()))
    }
    out.add(
      "replace",
      [
        ".string_replace_string_string (string, string, string) -> string",
        ".string_replace_string_string_int (string, string, string, int) -> string",
      ]
    ) { (args) throws(CELError) in
      let (text, part, other) = (try scalars(args[0]), try scalars(args[1]), try scalars(args[2]))
      var left = args.count > 3 ? try args[3].int() : -1
      var result: [Unicode.Scalar] = []
      var i = 0
      while i <= text.count {
        let here = i + part.count <= text.count && text[i..<i + part.count].elementsEqual(part)
        if here, left != 0 {
          result += other
          left -= 1
          if part.isEmpty {
            if i < text.count { result.append(text[i]) }
            i += 1
          } else {
            i += part.count
          }
        } else {
          if i < text.count { result.append(text[i]) }
          i += 1
        }
      }
      return .string(result.text)
    }
    out.add(
      "split",
      [
        ".string_split_string (string, string) -> list(string)",
        ".string_split_string_int (string, string, int) -> list(string)",
      ]
    ) { (args) throws(CELError) in
      let (text, part) = (try scalars(args[0]), try scalars(args[1]))
      let limit = args.count > 2 ? try args[2].int() : -1
      if limit == 0 { return .list([]) }
      var parts: [CELValue] = []
      if part.isEmpty {
        for (i, c) in text.enumerated() {
          if limit > 0, parts.count == limit - 1 {
            parts.append(.string(Array(text[i...]).text))
            break
          }
          parts.append(.string(String(c)))
        }
        return .list(parts)
      }
      var start = 0
      var i = 0
      while i + part.count <= text.count, limit < 0 || parts.count < limit - 1 {
        if text[i..<i + part.count].elementsEqual(part) {
          parts.append(.string(Array(text[start..<i]).text))
          i += part.count
          start = i
        } else {
          i += 1
        }
      }
      parts.append(.string(Array(text[start...]).text))
      return .list(parts)
    }
    out.add(
      "substring",
      [
        ".string_substring_int (string, int) -> string", ".string_substring_int_int (string, int, int) -> string",
      ]
    ) { (args) throws(CELError) in
      let (text, start) = (try scalars(args[0]), try args[1].int())
      let end = args.count > 2 ? try args[2].int() : Int64(text.count)
      if args.count > 2, start > end { throw CELError("invalid substring range. start: \(start), end: \(end)") }
      guard start >= 0, start <= text.count else { throw CELError("index out of range: \(start)") }
      guard end >= 0, end <= text.count else { throw CELError("index out of range: \(end)") }
      return .string(Array(text[Int(start)..<Int(end)]).text)
    }
    out.add("format", [".string_format (string, list(dyn)) -> string"]) { (args) throws(CELError) in
      .string(try StringFormat.format(try args[0].string(), try args[1].list().elements()))
    }
    return out
  }()

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for c in text.unicodeScalars {
      switch c {
      case "\u{07}": out += "\\a"
      case "\u{08}": out += "\\b"
      case "\u{0C}": out += "\\f"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{0B}": out += "\\v"
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      default: out.unicodeScalars.append(c)
      }
    }
    return out + "\""
  }
}
