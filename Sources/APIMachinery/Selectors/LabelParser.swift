/// The grammar of label selectors, with upstream's complaints.
struct LabelParser {
  private enum Token: Equatable {
    case identifier(String), closed, comma, not, open, equals, doubleEquals, notEquals, greater, less, end
    case `in`(String), notIn(String)

    var text: String {
      switch self {
      case .identifier(let s), .in(let s), .notIn(let s): s
      case .closed: ")"
      case .comma: ","
      case .not: "!"
      case .open: "("
      case .equals: "="
      case .doubleEquals: "=="
      case .notEquals: "!="
      case .greater: ">"
      case .less: "<"
      case .end: ""
      }
    }
  }

  private var tokens: [Token] = []
  private var position = 0

  init(_ text: String) {
    let bytes = Array(text.utf8)
    var i = 0
    func special(_ byte: UInt8) -> Bool { "=!(),><".utf8.contains(byte) }
    func space(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
    while i < bytes.count {
      let next = i + 1 < bytes.count ? bytes[i + 1] : 0
      switch bytes[i] {
      case let byte where space(byte): i += 1
      case UInt8(ascii: ")"):
        tokens.append(.closed)
        i += 1
      case UInt8(ascii: "("):
        tokens.append(.open)
        i += 1
      case UInt8(ascii: ","):
        tokens.append(.comma)
        i += 1
      case UInt8(ascii: ">"):
        tokens.append(.greater)
        i += 1
      case UInt8(ascii: "<"):
        tokens.append(.less)
        i += 1
      case UInt8(ascii: "!"):
        tokens.append(next == UInt8(ascii: "=") ? .notEquals : .not)
        i += next == UInt8(ascii: "=") ? 2 : 1
      case UInt8(ascii: "="):
        tokens.append(next == UInt8(ascii: "=") ? .doubleEquals : .equals)
        i += next == UInt8(ascii: "=") ? 2 : 1
      default:
        let start = i
        while i < bytes.count, !special(bytes[i]), !space(bytes[i]) { i += 1 }
        let word = String(decoding: bytes[start..<i], as: UTF8.self)
        tokens.append(word == "in" ? .in(word) : word == "notin" ? .notIn(word) : .identifier(word))
      }
    }
  }

  private var current: Token { position < tokens.count ? tokens[position] : .end }

  /// Where a value is expected, "in" and "notin" are plain words.
  private var currentValue: Token {
    switch current {
    case .in(let s), .notIn(let s): .identifier(s)
    default: current
    }
  }

  private mutating func take() -> Token {
    defer { position += 1 }
    return current
  }

  mutating func requirements() throws(SelectorError) -> [Labels.Requirement] {
    var out: [Labels.Requirement] = []
    while true {
      switch currentValue {
      case .identifier, .not:
        do { out.append(try requirement()) } catch {
          throw SelectorError("unable to parse requirement: \(error.message)")
        }
        switch take() {
        case .end: return out
        case .comma:
          switch currentValue {
          case .identifier, .not: break
          default: throw SelectorError("found '\(current.text)', expected: identifier after ','")
          }
        case let token: throw SelectorError("found '\(token.text)', expected: ',' or 'end of string'")
        }
      case .end: return out
      default: throw SelectorError("found '\(current.text)', expected: !, identifier, or 'end of string'")
      }
    }
  }

  private mutating func requirement() throws(SelectorError) -> Labels.Requirement {
    var absent = false
    if current == .not {
      absent = true
      position += 1
    }
    guard case .identifier(let key) = currentValue else {
      throw SelectorError("found '\(current.text)', expected: identifier")
    }
    position += 1
    let faults = Names.isQualifiedName(key)
    if !faults.isEmpty {
      throw SelectorError("key: Invalid value: \(goQuoted(key)): \(faults.joined(separator: "; "))")
    }
    if absent { return try Labels.Requirement(key: key, op: .doesNotExist) }
    switch current {
    case .end, .comma: return try Labels.Requirement(key: key, op: .exists)
    default: break
    }
    switch take() {
    case .in: return try Labels.Requirement(key: key, op: .in, values: try values())
    case .notIn: return try Labels.Requirement(key: key, op: .notIn, values: try values())
    case .equals: return try Labels.Requirement(key: key, op: .equals, values: [try exact()])
    case .doubleEquals: return try Labels.Requirement(key: key, op: .doubleEquals, values: [try exact()])
    case .notEquals: return try Labels.Requirement(key: key, op: .notEquals, values: [try exact()])
    case .greater: return try Labels.Requirement(key: key, op: .greaterThan, values: [try exact()])
    case .less: return try Labels.Requirement(key: key, op: .lessThan, values: [try exact()])
    case let token:
      throw SelectorError("found '\(token.text)', expected: in, notin, =, ==, !=, gt, lt")
    }
  }

  /// `a=` and `a=,b` ask for the empty value.
  private mutating func exact() throws(SelectorError) -> String {
    switch currentValue {
    case .end, .comma: return ""
    case .identifier(let value):
      position += 1
      return value
    default: throw SelectorError("found '\(current.text)', expected: identifier")
    }
  }

  private mutating func values() throws(SelectorError) -> [String] {
    guard take() == .open else {
      position -= 1
      throw SelectorError("found '\(current.text)', expected: '('")
    }
    var out: Set<String> = []
    var expectValue = true
    while true {
      switch currentValue {
      case .identifier(let value):
        position += 1
        out.insert(value)
        expectValue = false
        switch current {
        case .comma: break
        case .closed:
          position += 1
          return Array(out)
        default: throw SelectorError("found '\(current.text)', expected: ',' or ')'")
        }
      case .comma:
        position += 1
        if expectValue { out.insert("") }
        expectValue = true
        if current == .closed {
          position += 1
          out.insert("")
          return Array(out)
        }
      case .closed:
        position += 1
        if expectValue { out.insert("") }
        return Array(out)
      default: throw SelectorError("found '\(current.text)', expected: ',', ')' or identifier")
      }
    }
  }
}
