public import APIMachinery

/// A simple JSON path, as printer columns use it: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`,
/// `.spec.list[0].name`, `.metadata.annotations.a\.b`.
public struct JSONPath: Sendable {
  enum Step: Sendable, Hashable {
    case member(String)
    case index(Int)
    case slice(Int?, Int?)
    case all
    case descend(String)
    /// Elements whose member (a path) compares so with a value.
    indirect case filter([Step], String, JSONValue?)
  }

  /// Why a path cannot be read.
  public struct SyntaxError: Error, Sendable, CustomStringConvertible {
    public let description: String
  }

  let steps: [Step]

  /// Reads a path. Throws `SyntaxError`.
  public init(_ text: String) throws(SyntaxError) {
    var reader = Reader(Array(text.unicodeScalars))
    steps = try reader.steps(inFilter: false)
  }

  /// What the path leads to, in order.
  public func find(in value: JSONValue) -> [JSONValue] { Self.find(steps[...], value) }

  private static func find(_ steps: ArraySlice<Step>, _ value: JSONValue) -> [JSONValue] {
    guard let step = steps.first else { return [value] }
    let rest = steps.dropFirst()
    func on(_ values: [JSONValue]) -> [JSONValue] { values.flatMap { find(rest, $0) } }
    switch step {
    case .member(let name):
      if let member = value[name] { return find(rest, member) }
      return []
    case .index(let index):
      guard let elements = value.arrayValue else { return [] }
      let at = index < 0 ? elements.count + index : index
      return elements.indices.contains(at) ? find(rest, elements[at]) : []
    case .slice(let from, let to):
      guard let elements = value.arrayValue else { return [] }
      func place(_ index: Int?, _ standard: Int) -> Int {
        guard let index else { return standard }
        return min(max(index < 0 ? elements.count + index : index, 0), elements.count)
      }
      let start = place(from, 0)
      let end = place(to, elements.count)
      return start < end ? on(Array(elements[start..<end])) : []
    case .all:
      if let elements = value.arrayValue { return on(elements) }
      if let members = value.objectValue { return on(members.sorted { $0.key < $1.key }.map(\.value)) }
      return []
    case .descend(let name):
      var found: [JSONValue] = []
      descend(name, value, &found)
      return on(found)
    case .filter(let path, let comparison, let wanted):
      let elements = value.arrayValue ?? value.objectValue.map { Array($0.values) } ?? []
      return on(elements.filter { holds(find(path[...], $0).first, comparison, wanted) })
    }
  }

  private static func descend(_ name: String, _ value: JSONValue, _ found: inout [JSONValue]) {
    switch value {
    case .object(let members):
      if let member = members[name] { found.append(member) }
      for (_, member) in members.sorted(by: { $0.key < $1.key }) { descend(name, member, &found) }
    case .array(let elements): for element in elements { descend(name, element, &found) }
    default: break
    }
  }

  private static func holds(_ value: JSONValue?, _ comparison: String, _ wanted: JSONValue?) -> Bool {
    guard let value else { return false }
    guard let wanted else { return true }
    if comparison == "==" { return value == wanted || same(value, wanted) }
    if comparison == "!=" { return value != wanted && !same(value, wanted) }
    let order: Int
    if let a = value.doubleValue, let b = wanted.doubleValue {
      order = a < b ? -1 : a > b ? 1 : 0
    } else if let a = value.stringValue, let b = wanted.stringValue {
      order = a < b ? -1 : a > b ? 1 : 0
    } else {
      return false
    }
    switch comparison {
    case "<": return order < 0
    case "<=": return order <= 0
    case ">": return order > 0
    default: return order >= 0
    }
  }

  private static func same(_ a: JSONValue, _ b: JSONValue) -> Bool {
    guard let a = a.doubleValue, let b = b.doubleValue else { return false }
    return a == b
  }
}

private struct Reader {
  typealias SyntaxError = JSONPath.SyntaxError
  let text: [Unicode.Scalar]
  var at = 0

  init(_ text: [Unicode.Scalar]) { self.text = text }

  private var next: Unicode.Scalar? { at < text.count ? text[at] : nil }

  private mutating func skipSpaces() { while next == " " { at += 1 } }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard next == scalar else { return false }
    at += 1
    return true
  }

  mutating func steps(inFilter: Bool) throws(SyntaxError) -> [JSONPath.Step] {
    var steps: [JSONPath.Step] = []
    _ = take("$")
    while let scalar = next {
      switch scalar {
      case ".":
        at += 1
        if take(".") {
          steps.append(.descend(try name()))
        } else if take("*") {
          steps.append(.all)
        } else if next != "[" {
          steps.append(.member(try name()))
        }
      case "[":
        at += 1
        steps.append(try bracket())
      case _ where inFilter: return steps
      default:
        if !steps.isEmpty {
          throw SyntaxError(description: "unrecognized character in action: U+\(hex(scalar)) '\(scalar)'")
        }
        steps.append(.member(try name()))
      }
    }
    return steps
  }

  private func hex(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  private mutating func name() throws(SyntaxError) -> String {
    var out = ""
    while let scalar = next {
      if scalar == "\\", at + 1 < text.count {
        out.unicodeScalars.append(text[at + 1])
        at += 2
        continue
      }
      if ".[]() =!<>,'\"{}".unicodeScalars.contains(scalar) { break }
      out.unicodeScalars.append(scalar)
      at += 1
    }
    if out.isEmpty { throw SyntaxError(description: "unexpected end of path") }
    return out
  }

  private mutating func bracket() throws(SyntaxError) -> JSONPath.Step {
    skipSpaces()
    if take("?") { return try filter() }
    if take("*") {
      try close()
      return .all
    }
    if next == "'" || next == "\"" {
      let member = try quoted()
      try close()
      return .member(member)
    }
    var inside = ""
    while let scalar = next, scalar != "]" {
      inside.unicodeScalars.append(scalar)
      at += 1
    }
    try close()
    let parts = inside.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 1, let index = Int(inside) { return .index(index) }
    guard parts.count == 2 || parts.count == 3 else {
      throw SyntaxError(description: "invalid array index \(inside)")
    }
    return .slice(Int(parts[0]), Int(parts[1]))
  }

  private mutating func close() throws(SyntaxError) {
    skipSpaces()
    if !take("]") { throw SyntaxError(description: "unterminated array") }
  }

  private mutating func quoted() throws(SyntaxError) -> String {
    guard let quote = next else { throw SyntaxError(description: "unterminated quoted string") }
    at += 1
    var out = ""
    while let scalar = next, scalar != quote {
      if scalar == "\\", at + 1 < text.count { at += 1 }
      out.unicodeScalars.append(text[at])
      at += 1
    }
    if !take(quote) { throw SyntaxError(description: "unterminated quoted string") }
    return out
  }

  private mutating func filter() throws(SyntaxError) -> JSONPath.Step {
    if !take("(") { throw SyntaxError(description: "unterminated filter") }
    skipSpaces()
    if !take("@") { throw SyntaxError(description: "unrecognized filter") }
    let path = try steps(inFilter: true)
    skipSpaces()
    var comparison = ""
    while let scalar = next, "=!<>".unicodeScalars.contains(scalar) {
      comparison.unicodeScalars.append(scalar)
      at += 1
    }
    skipSpaces()
    var value: JSONValue?
    if !comparison.isEmpty {
      guard ["==", "!=", "<", "<=", ">", ">="].contains(comparison) else {
        throw SyntaxError(description: "unrecognized filter operator \(comparison)")
      }
      if next == "'" || next == "\"" {
        value = .string(try quoted())
      } else {
        let text = try name()
        value = (try? JSONValue(parsing: Array(text.utf8))) ?? .string(text)
      }
    }
    skipSpaces()
    if !take(")") { throw SyntaxError(description: "unterminated filter") }
    try close()
    return .filter(path, comparison, value)
  }
}
