/// A parsed pattern.
indirect enum RegexTree: Sendable {
  case empty
  case set(RegexSet)
  case assert(RegexAssertion)
  case sequence([RegexTree])
  case alternatives([RegexTree])
  case group(RegexTree, Int)
  case repeated(RegexTree, Int, Int?, greedy: Bool)
}

/// Parses RE2's syntax; errors are in Go's words.
struct RegexParser {
  private typealias Failure = RE2.SyntaxError
  private struct Flags {
    var ignoresCase = false
    var multiline = false
    var dotAll = false
    var ungreedy = false
  }
  private let s: [Unicode.Scalar]
  private let pattern: String
  private var i = 0
  private var flags = Flags()
  private(set) var groups = 0
  private var names: Set<String> = []
  private var depth = 0

  init(_ pattern: String) {
    self.pattern = pattern
    s = Array(pattern.unicodeScalars)
  }

  mutating func parse() throws(RE2.SyntaxError) -> RegexTree {
    let tree = try alternatives()
    if i < s.count { throw failure("unexpected )", pattern) }
    return tree
  }

  private func failure(_ what: String, _ part: String) -> RE2.SyntaxError {
    RE2.SyntaxError(message: "\(what): `\(part)`")
  }

  private func text(_ from: Int, _ to: Int) -> String { Array(s[from..<min(to, s.count)]).text }

  private func peek(_ offset: Int = 0) -> Unicode.Scalar? { i + offset < s.count ? s[i + offset] : nil }

  private mutating func take(_ c: Unicode.Scalar) -> Bool {
    guard peek() == c else { return false }
    i += 1
    return true
  }

  private mutating func alternatives() throws(RE2.SyntaxError) -> RegexTree {
    depth += 1
    defer { depth -= 1 }
    // Go's own limit on nesting is 1000; ours is below it only where the stack asks for it.
    if depth > 200 { throw failure("expression nests too deeply", pattern) }
    var list = [try sequence()]
    while take("|") { list.append(try sequence()) }
    return list.count == 1 ? list[0] : .alternatives(list)
  }

  private mutating func sequence() throws(RE2.SyntaxError) -> RegexTree {
    var parts: [RegexTree] = []
    while let c = peek(), c != "|", c != ")" {
      let start = i
      guard let atom = try atom() else { continue }
      parts.append(try repetition(atom, start))
    }
    return parts.count == 1 ? parts[0] : parts.isEmpty ? .empty : .sequence(parts)
  }

  private mutating func repetition(_ atom: RegexTree, _ start: Int) throws(RE2.SyntaxError) -> RegexTree {
    var tree = atom
    var before: Int?
    while let c = peek() {
      let at = i
      var low = 0
      var high: Int?
      switch c {
      case "*": i += 1
      case "+":
        low = 1
        i += 1
      case "?":
        high = 1
        i += 1
      case "{":
        guard let bounds = counted() else { return tree }
        (low, high) = bounds
        if low > 1000 || (high ?? 0) > 1000 || (high.map { $0 < low } ?? false) {
          throw failure("invalid repeat count", text(at, i))
        }
      default: return tree
      }
      let lazy = take("?")
      if let before { throw failure("invalid nested repetition operator", text(before, i)) }
      before = at
      tree = .repeated(tree, low, high, greedy: lazy == flags.ungreedy)
    }
    return tree
  }

  /// `{n}`, `{n,}`, `{n,m}`; anything else is text.
  private mutating func counted() -> (Int, Int?)? {
    var j = i + 1
    func number() -> Int? {
      var value: Int?
      while j < s.count, s[j].value >= 0x30, s[j].value <= 0x39 {
        value = min((value ?? 0) * 10 + Int(s[j].value - 0x30), 100_000)
        j += 1
      }
      return value
    }
    guard let low = number() else { return nil }
    var high: Int? = low
    if j < s.count, s[j] == "," {
      j += 1
      high = j < s.count && s[j] == "}" ? nil : number()
      if high == nil, j < s.count, s[j] != "}" { return nil }
    }
    guard j < s.count, s[j] == "}" else { return nil }
    i = j + 1
    return (low, high)
  }

  private func literal(_ c: Unicode.Scalar) -> RegexTree {
    .set(RegexSet([c.value...c.value], ignoresCase: flags.ignoresCase))
  }

  private mutating func atom() throws(RE2.SyntaxError) -> RegexTree? {
    let c = s[i]
    switch c {
    case "(": return try group()
    case "[": return .set(try characterClass())
    case ".":
      i += 1
      return .set(flags.dotAll ? RegexSet([0...0x10FFFF]) : RegexSet([0...9, 11...0x10FFFF]))
    case "^":
      i += 1
      return .assert(flags.multiline ? .lineStart : .textStart)
    case "$":
      i += 1
      return .assert(flags.multiline ? .lineEnd : .textEnd)
    case "*", "+", "?": throw failure("missing argument to repetition operator", text(i, i + 1))
    case "\\": return try escape()
    default:
      i += 1
      return literal(c)
    }
  }

  private mutating func group() throws(RE2.SyntaxError) -> RegexTree? {
    let start = i
    i += 1
    let outer = flags
    guard peek() == "?" else { return try captured(start, outer) }
    if (peek(1) == "P" && peek(2) == "<") || (peek(1) == "<" && peek(2) != "=" && peek(2) != "!") {
      let from = i + (peek(1) == "P" ? 3 : 2)
      guard let end = s[from...].firstIndex(of: ">") else {
        throw failure("invalid named capture", text(start, s.count))
      }
      let name = text(from, end)
      guard !name.isEmpty, name.utf8.allSatisfy({ $0.isLetter || $0.isDigit || $0 == 0x5F }) else {
        throw failure("invalid named capture", text(start, end + 1))
      }
      guard names.insert(name).inserted else { throw failure("duplicate capture group name", name) }
      i = end + 1
      return try captured(start, outer)
    }
    i += 1
    var value = true
    var count = 0
    while let c = peek() {
      i += 1
      switch c {
      case "i": flags.ignoresCase = value
      case "m": flags.multiline = value
      case "s": flags.dotAll = value
      case "U": flags.ungreedy = value
      case "-":
        if !value { throw failure("invalid or unsupported Perl syntax", text(start, i)) }
        value = false
        count = 0
        continue
      case ":", ")":
        if !value, count == 0 { throw failure("missing argument to repetition operator", text(start, i)) }
        if c == ")" { return nil }
        let inner = try alternatives()
        guard take(")") else { throw failure("missing closing )", pattern) }
        flags = outer
        return inner
      default: throw failure("invalid or unsupported Perl syntax", text(start, i))
      }
      count += 1
    }
    throw failure("missing closing )", pattern)
  }

  private mutating func captured(_ start: Int, _ outer: Flags) throws(RE2.SyntaxError) -> RegexTree {
    groups += 1
    let index = groups
    let inner = try alternatives()
    guard take(")") else { throw failure("missing closing )", pattern) }
    flags = outer
    return .group(inner, index)
  }

  private mutating func escape() throws(RE2.SyntaxError) -> RegexTree? {
    guard let c = peek(1) else { throw RE2.SyntaxError(message: "trailing backslash at end of expression: ``") }
    switch c {
    case "A": i += 2; return .assert(.textStart)
    case "z": i += 2; return .assert(.textEnd)
    case "b": i += 2; return .assert(.wordBoundary)
    case "B": i += 2; return .assert(.noWordBoundary)
    case "C": throw failure("invalid escape sequence", "\\C")
    case "Q":
      i += 2
      var parts: [RegexTree] = []
      while i < s.count {
        if s[i] == "\\", peek(1) == "E" {
          i += 2
          break
        }
        parts.append(literal(s[i]))
        i += 1
      }
      return parts.isEmpty ? nil : .sequence(parts)
    default:
      if let set = try classEscape() { return .set(set) }
      return literal(try scalarEscape())
    }
  }

  /// `\d`, `\pL` and the like, at the backslash; nil if it is another escape.
  private mutating func classEscape() throws(RE2.SyntaxError) -> RegexSet? {
    guard let c = peek(1) else { return nil }
    if let ranges = RegexSet.perl(c) {
      i += 2
      return RegexSet(ranges)
    }
    guard c == "p" || c == "P" else { return nil }
    let start = i
    i += 2
    guard let first = peek() else { throw failure("invalid character class range", text(start, i)) }
    var name = String(first)
    i += 1
    if first == "{" {
      guard let end = s[i...].firstIndex(of: "}") else {
        throw failure("invalid character class range", text(start, s.count))
      }
      name = text(i, end)
      i = end + 1
    }
    var negated = c == "P"
    if name.hasPrefix("^") {
      negated.toggle()
      name.removeFirst()
    }
    guard let category = RegexCategory(name) else {
      throw failure("invalid character class range", text(start, i))
    }
    return RegexSet([], categories: [(category, negated)], ignoresCase: false)
  }

  /// An escape that is one character, at the backslash.
  private mutating func scalarEscape() throws(RE2.SyntaxError) -> Unicode.Scalar {
    let start = i
    i += 1
    guard let c = peek() else { throw RE2.SyntaxError(message: "trailing backslash at end of expression: ``") }
    i += 1
    func hex(_ text: String) throws(RE2.SyntaxError) -> Unicode.Scalar {
      guard text.utf8.allSatisfy({ $0.isDigit || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x66) }),
        let code = UInt32(text, radix: 16), let scalar = Unicode.Scalar(code)
      else { throw failure("invalid escape sequence", self.text(start, i)) }
      return scalar
    }
    switch c {
    case "a": return "\u{07}"
    case "f": return "\u{0C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "v": return "\u{0B}"
    case "x":
      if take("{") {
        guard let end = s[i...].firstIndex(of: "}") else {
          throw failure("invalid escape sequence", text(start, s.count))
        }
        let digits = text(i, end)
        i = end + 1
        return try hex(digits)
      }
      guard i + 2 <= s.count else { throw failure("invalid escape sequence", text(start, s.count)) }
      let digits = text(i, i + 2)
      i += 2
      return try hex(digits)
    case "0"..."7":
      // Octal: \0 with up to two more digits, or three digits; a lone \1 would be a reference, which RE2 has not.
      var value = c.value - 0x30
      var digits = 1
      while digits < 3, let d = peek(), d.value >= 0x30, d.value <= 0x37 {
        value = value * 8 + d.value - 0x30
        i += 1
        digits += 1
      }
      guard c == "0" || digits > 1, let scalar = Unicode.Scalar(value) else {
        throw failure("invalid escape sequence", text(start, i))
      }
      return scalar
    default:
      if c.value < 128, !UInt8(c.value).isLetter, !UInt8(c.value).isDigit { return c }
      throw failure("invalid escape sequence", text(start, i))
    }
  }

  private mutating func characterClass() throws(RE2.SyntaxError) -> RegexSet {
    let start = i
    i += 1
    let negated = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    var categories: [(RegexCategory, Bool)] = []
    var isFirst = true
    while true {
      guard let c = peek() else { throw failure("missing closing ]", text(start, s.count)) }
      if c == "]", !isFirst { break }
      isFirst = false
      if c == "[", peek(1) == ":", let end = posixEnd() {
        let name = text(i, end)
        guard let set = RegexSet.posix(name) else { throw failure("invalid character class range", name) }
        ranges += set
        i = end
        continue
      }
      if c == "\\", let set = try classEscape() {
        ranges += set.ranges
        categories += set.categories
        continue
      }
      let from = i
      let low = try classScalar(start)
      var high = low
      if peek() == "-", let after = peek(1), after != "]" {
        i += 1
        high = try classScalar(start)
        if high.value < low.value { throw failure("invalid character class range", text(from, i)) }
      }
      ranges.append(low.value...high.value)
    }
    i += 1
    return RegexSet(ranges, categories: categories, negated: negated, ignoresCase: flags.ignoresCase)
  }

  private func posixEnd() -> Int? {
    var j = i + 2
    while j + 1 < s.count {
      if s[j] == ":", s[j + 1] == "]" { return j + 2 }
      j += 1
    }
    return nil
  }

  private mutating func classScalar(_ start: Int) throws(RE2.SyntaxError) -> Unicode.Scalar {
    guard let c = peek() else { throw failure("missing closing ]", text(start, s.count)) }
    if c == "\\" { return try scalarEscape() }
    i += 1
    return c
  }
}
