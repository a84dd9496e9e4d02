/// A node of the syntax tree, macros already expanded.
final class Expr: @unchecked Sendable {  // changed only while it is parsed
  struct Entry {
    var id: Int
    /// A field's name in a message, nil in a map.
    var field: String?
    var key: Expr?
    var value: Expr
    var isOptional: Bool
  }

  final class Comprehension {
    var variable: String
    var variable2: String?
    let range: Expr
    let accumulator: String
    let initial: Expr
    let condition: Expr
    let step: Expr
    let result: Expr
    init(
      variable: String, variable2: String? = nil, range: Expr, accumulator: String, initial: Expr, condition: Expr,
      step: Expr, result: Expr
    ) {
      self.variable = variable
      self.variable2 = variable2
      self.range = range
      self.accumulator = accumulator
      self.initial = initial
      self.condition = condition
      self.step = step
      self.result = result
    }
  }

  enum Kind {
    case literal(CELValue)
    case ident(String)
    case select(Expr, String, testOnly: Bool)
    case call(String, target: Expr?, args: [Expr])
    case list([Expr], optional: Set<Int>)
    case map([Entry])
    case message(String, [Entry])
    case comprehension(Comprehension)
  }

  let id: Int
  /// Code points from the start.
  let position: Int
  let kind: Kind
  /// How deep the tree is under this node.
  let depth: Int

  init(id: Int, position: Int, _ kind: Kind) {
    self.id = id
    self.position = position
    self.kind = kind
    func deepest(_ list: [Expr]) -> Int { list.reduce(0) { max($0, $1.depth) } }
    depth =
      1
      + {
        switch kind {
        case .literal, .ident: 0
        case .select(let operand, _, _): operand.depth
        case .call(_, let target, let args): max(target?.depth ?? 0, deepest(args))
        case .list(let elements, _): deepest(elements)
        case .map(let entries), .message(_, let entries):
          entries.reduce(0) { max($0, max($1.key?.depth ?? 0, $1.value.depth)) }
        case .comprehension(let c): max(c.range.depth, deepest([c.initial, c.condition, c.step, c.result]))
        }
      }()
  }

  /// "a.b.c", if the node is a chain of names.
  var qualifiedName: String? {
    switch kind {
    case .ident(let name): name
    case .select(let operand, let field, false): operand.qualifiedName.map { "\($0).\(field)" }
    default: nil
    }
  }
}

/// One thing wrong with a source, and where.
public struct CELIssue: Error, Sendable, Hashable {
  public var message: String
  /// Code points from the start.
  public var position: Int
}

/// Everything that is wrong with a source, printed with the lines it stands in.
public struct CELErrors: Error, Sendable, CustomStringConvertible {
  public let issues: [CELIssue]
  let source: CELSource

  public var description: String {
    issues.sorted { $0.position < $1.position }.map(source.describe).joined(separator: "\n")
  }
}

/// The text of an expression, by code points and lines.
struct CELSource: Sendable {
  let scalars: [Unicode.Scalar]
  private let lineStarts: [Int]

  init(_ text: String) {
    scalars = Array(text.unicodeScalars)
    var starts = [0]
    for (i, scalar) in scalars.enumerated() where scalar == "\n" { starts.append(i + 1) }
    lineStarts = starts
  }

  func location(_ position: Int) -> (line: Int, column: Int) {
    let line = (lineStarts.lastIndex { $0 <= position } ?? 0)
    return (line + 1, position - lineStarts[line])
  }

  func describe(_ issue: CELIssue) -> String {
    let (line, column) = location(issue.position)
    var out = "ERROR: <input>:\(line):\(column + 1): \(issue.message)"
    let start = lineStarts[line - 1]
    let end = scalars[start...].firstIndex(of: "\n") ?? scalars.count
    if end < start { return out }
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars[start..<end].lazy.map { $0 == "\t" ? " " : $0 })
    out += "\n | \(String(text))\n | "
    for i in 0..<column {
      let wide = start + i < end && scalars[start + i].value > 127
      out += wide ? "．" : "."
    }
    return out + (start + column < end && scalars[start + column].value > 127 ? "＾" : "^")
  }
}
