/// A token of the grammar.
struct Token {
  enum Kind: Equatable {
    case ident(String)
    /// In backticks.
    case escapedIdent(String)
    case int(String)
    case uint(String)
    case double(String)
    case string(String)
    case bytes([UInt8])
    /// Operators, punctuation, and the words `in`, `true`, `false`, `null`.
    case symbol(String)
    case end
  }
  let kind: Kind
  let start: Int
  let end: Int
}

/// Makes tokens of a source. What is no token is reported and skipped, as the grammar's generated lexer does.
struct Lexer {
  private let s: [Unicode.Scalar]
  private var i = 0
  private(set) var issues: [CELIssue] = []

  init(_ source: CELSource) { s = source.scalars }

  mutating func tokens() -> [Token] {
    var out: [Token] = []
    while true {
      skipSpace()
      let start = i
      guard i < s.count else {
        out.append(Token(kind: .end, start: start, end: start))
        return out
      }
      if let kind = next() {
        out.append(Token(kind: kind, start: start, end: i))
      } else {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: s[start..<min(max(i, start + 1), s.count)])
        i = max(i, start + 1)
        issues.append(
          CELIssue(message: "Syntax error: token recognition error at: '\(printed(text))'", position: start))
      }
    }
  }

  private func printed(_ text: String.UnicodeScalarView) -> String {
    text.reduce(into: "") { out, c in
      switch c {
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case "\r": out += "\\r"
      default: out.unicodeScalars.append(c)
      }
    }
  }

  private mutating func skipSpace() {
    while i < s.count {
      switch s[i] {
      case " ", "\t", "\n", "\r", "\u{0C}": i += 1
      case "/" where i + 1 < s.count && s[i + 1] == "/": while i < s.count, s[i] != "\n" { i += 1 }
      default: return
      }
    }
  }

  private func peek(_ offset: Int = 0) -> Unicode.Scalar { i + offset < s.count ? s[i + offset] : "\0" }

  private static func isDigit(_ c: Unicode.Scalar) -> Bool { c.value >= 0x30 && c.value <= 0x39 }
  private static func isLetter(_ c: Unicode.Scalar) -> Bool { c.value | 0x20 >= 0x61 && c.value | 0x20 <= 0x7A }

  private mutating func next() -> Token.Kind? {
    let c = s[i]
    if Self.isDigit(c) || (c == "." && Self.isDigit(peek(1))) { return number() }
    if c == "\"" || c == "'" { return string(raw: false, bytes: false) }
    if Self.isLetter(c) || c == "_" {
      if let prefix = stringPrefix() {
        i += prefix.length
        return string(raw: prefix.raw, bytes: prefix.bytes)
      }
      let start = i
      while i < s.count, Self.isLetter(s[i]) || Self.isDigit(s[i]) || s[i] == "_" { i += 1 }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: s[start..<i])
      let name = String(view)
      return ["in", "true", "false", "null"].contains(name) ? .symbol(name) : .ident(name)
    }
    if c == "`" {
      var j = i + 1
      while j < s.count, Self.isLetter(s[j]) || Self.isDigit(s[j]) || "_.-/ ".unicodeScalars.contains(s[j]) { j += 1 }
      guard j < s.count, s[j] == "`", j > i + 1 else { return nil }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: s[i + 1..<j])
      i = j + 1
      return .escapedIdent(String(view))
    }
    let two = "\(c)\(peek(1))"
    if ["==", "!=", "<=", ">=", "&&", "||"].contains(two) {
      i += 2
      return .symbol(two)
    }
    if "<>[]{}().,-!?:+*/%".unicodeScalars.contains(c) {
      i += 1
      return .symbol(String(c))
    }
    return nil
  }

  private func stringPrefix() -> (length: Int, raw: Bool, bytes: Bool)? {
    func quote(_ c: Unicode.Scalar) -> Bool { c == "\"" || c == "'" }
    let a = peek().value | 0x20
    let b = peek(1).value | 0x20
    if a == 0x72, quote(peek(1)) { return (1, true, false) }
    if a == 0x62, quote(peek(1)) { return (1, false, true) }
    // Only b comes before r in the grammar.
    if a == 0x62, b == 0x72, quote(peek(2)) { return (2, true, true) }
    return nil
  }

  private mutating func number() -> Token.Kind {
    let start = i
    func text(_ from: Int, _ to: Int) -> String {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: s[from..<to])
      return String(view)
    }
    func isHex(_ c: Unicode.Scalar) -> Bool { Self.isDigit(c) || (c.value | 0x20 >= 0x61 && c.value | 0x20 <= 0x66) }
    if peek() == "0", peek(1) == "x", isHex(peek(2)) {
      i += 2
      while isHex(peek()) { i += 1 }
    } else {
      var isDouble = false
      while Self.isDigit(peek()) { i += 1 }
      if peek() == ".", Self.isDigit(peek(1)) {
        isDouble = true
        i += 1
        while Self.isDigit(peek()) { i += 1 }
      }
      if peek() == "e" || peek() == "E" {
        let sign = peek(1) == "+" || peek(1) == "-" ? 1 : 0
        if Self.isDigit(peek(1 + sign)) {
          isDouble = true
          i += 1 + sign
          while Self.isDigit(peek()) { i += 1 }
        }
      }
      if isDouble { return .double(text(start, i)) }
    }
    if peek() == "u" || peek() == "U" {
      i += 1
      return .uint(text(start, i - 1))
    }
    return .int(text(start, i))
  }

  /// At the opening quote.
  private mutating func string(raw: Bool, bytes: Bool) -> Token.Kind? {
    let quote = s[i]
    let triple = peek(1) == quote && peek(2) == quote
    i += triple ? 3 : 1
    var out: [UInt8] = []
    func push(_ c: Unicode.Scalar) { out.append(contentsOf: Array(String(c).utf8)) }
    while i < s.count {
      let c = s[i]
      if c == quote, !triple || (peek(1) == quote && peek(2) == quote) {
        i += triple ? 3 : 1
        return bytes ? .bytes(out) : .string(String(decoding: out, as: UTF8.self))
      }
      if !triple, c == "\n" || c == "\r" { return nil }
      if c == "\\", !raw {
        guard escape(bytes: bytes, into: &out) else { return nil }
        continue
      }
      if c == "\\", raw, i + 1 < s.count, s[i + 1] == quote, !triple {
        // In a raw string a backslash is itself, and does not keep a quote from ending it.
        push(c)
        i += 1
        continue
      }
      // Line ends are normalised.
      if c == "\r" {
        if peek(1) == "\n" { i += 1 }
        push("\n")
      } else {
        push(c)
      }
      i += 1
    }
    return nil
  }

  /// At the backslash.
  private mutating func escape(bytes: Bool, into out: inout [UInt8]) -> Bool {
    func value(_ from: Int, _ count: Int, radix: Int) -> UInt32? {
      guard i + from + count <= s.count else { return nil }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: s[i + from..<i + from + count])
      guard view.first != "+", view.first != "-" else { return nil }
      return UInt32(String(view), radix: radix)
    }
    func push(_ code: UInt32, byte: Bool) -> Bool {
      if byte {
        guard code < 256 else { return false }
        out.append(UInt8(code))
        return true
      }
      guard let scalar = Unicode.Scalar(code) else { return false }
      out.append(contentsOf: Array(String(scalar).utf8))
      return true
    }
    let simple: [Unicode.Scalar: UInt8] = [
      "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 0x5C, "'": 0x27, "\"": 0x22, "`": 0x60,
      "?": 0x3F,
    ]
    let c = peek(1)
    if let byte = simple[c] {
      out.append(byte)
      i += 2
      return true
    }
    switch c {
    case "x", "X":
      guard let code = value(2, 2, radix: 16), push(code, byte: bytes) else { return false }
      i += 4
    case "u":
      guard !bytes, let code = value(2, 4, radix: 16), push(code, byte: false) else { return false }
      i += 6
    case "U":
      guard !bytes, let code = value(2, 8, radix: 16), push(code, byte: false) else { return false }
      i += 10
    case "0"..."3":
      guard let code = value(1, 3, radix: 8), push(code, byte: bytes) else { return false }
      i += 4
    default: return false
    }
    return true
  }
}
