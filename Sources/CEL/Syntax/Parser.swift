/// Parses an expression and expands its macros.
struct Parser {
  static let maxRecursion = 250
  static let maxCodePoints = 100_000
  /// Names the grammar keeps for later.
  static let reserved: Set<String> = [
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
  ]
  private static let expected =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"

  private let source: CELSource
  private let options: ParserOptions
  private var tokens: [Token] = []
  private var at = 0
  private var depth = 0
  var nextID = 1
  private(set) var issues: [CELIssue] = []

  private init(_ source: CELSource, _ options: ParserOptions) {
    self.source = source
    self.options = options
  }

  /// The tree of an expression.
  static func parse(_ text: String, options: ParserOptions = ParserOptions()) throws(CELErrors) -> Expr {
    let source = CELSource(text)
    var parser = Parser(source, options)
    guard source.scalars.count <= maxCodePoints else {
      let message = "expression code point size exceeds limit: size: \(source.scalars.count), limit \(maxCodePoints)"
      throw CELErrors(issues: [CELIssue(message: message, position: 0)], source: source)
    }
    var lexer = Lexer(source)
    parser.tokens = lexer.tokens()
    parser.issues = lexer.issues
    do throws(CELIssue) {
      let expression = try parser.expression()
      if parser.token.kind != .end {
        throw parser.issue("Syntax error: extraneous input '\(parser.text)' expecting <EOF>")
      }
      if parser.issues.isEmpty {
        if expression.depth > maxRecursion {
          throw CELIssue(message: "expression recursion limit exceeded: \(maxRecursion)", position: 0)
        }
        return expression
      }
    } catch {
      parser.issues.append(error)
    }
    throw CELErrors(issues: parser.issues, source: source)
  }

  // MARK: Tokens

  private var token: Token { tokens[at] }

  private var text: String {
    if token.kind == .end { return "<EOF>" }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source.scalars[token.start..<token.end])
    return String(view)
  }

  private func issue(_ message: String) -> CELIssue { CELIssue(message: message, position: token.start) }

  private func unexpected() -> CELIssue {
    issue("Syntax error: mismatched input '\(text)' expecting \(Self.expected)")
  }

  private func isSymbol(_ symbol: String) -> Bool { token.kind == .symbol(symbol) }

  private mutating func take(_ symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    at += 1
    return true
  }

  private mutating func expect(_ symbol: String, or others: String = "") throws(CELIssue) {
    if take(symbol) { return }
    if others.isEmpty { throw issue("Syntax error: missing '\(symbol)' at '\(text)'") }
    throw issue("Syntax error: mismatched input '\(text)' expecting {\(others)}")
  }

  mutating func node(_ position: Int, _ kind: Expr.Kind) -> Expr {
    defer { nextID += 1 }
    return Expr(id: nextID, position: position, kind)
  }

  private mutating func call(_ position: Int, _ function: String, _ args: [Expr]) -> Expr {
    node(position, .call(function, target: nil, args: args))
  }

  mutating func report(_ message: String, _ position: Int) {
    issues.append(CELIssue(message: message, position: position))
  }

  // MARK: Operators

  private mutating func expression() throws(CELIssue) -> Expr {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.maxRecursion {
      throw CELIssue(message: "expression recursion limit exceeded: \(Self.maxRecursion)", position: 0)
    }
    let condition = try logical("||")
    let position = token.start
    guard take("?") else { return condition }
    let yes = try logical("||")
    try expect(":", or: "'&&', '||', ':'")
    let no = try expression()
    return call(position, "_?_:_", [condition, yes, no])
  }

  /// A chain of && or ||, balanced so that long ones are not deep.
  private mutating func logical(_ symbol: String) throws(CELIssue) -> Expr {
    func term(_ parser: inout Parser) throws(CELIssue) -> Expr {
      symbol == "||" ? try parser.logical("&&") : try parser.relation()
    }
    var terms = [try term(&self)]
    var positions: [Int] = []
    while isSymbol(symbol) {
      positions.append(token.start)
      at += 1
      terms.append(try term(&self))
    }
    return balance(symbol == "||" ? "_||_" : "_&&_", terms[...], positions[...])
  }

  private mutating func balance(_ function: String, _ terms: ArraySlice<Expr>, _ positions: ArraySlice<Int>) -> Expr {
    if terms.count == 1 { return terms[terms.startIndex] }
    let middle = terms.startIndex + (terms.count + 1) / 2
    let split = positions.startIndex + (terms.count + 1) / 2 - 1
    let left = balance(function, terms[..<middle], positions[..<split])
    let right = balance(function, terms[middle...], positions[(split + 1)...])
    return call(positions[split], function, [left, right])
  }

  private mutating func relation() throws(CELIssue) -> Expr {
    var left = try sum()
    while case .symbol(let symbol) = token.kind, ["<", "<=", ">", ">=", "==", "!=", "in"].contains(symbol) {
      let position = token.start
      at += 1
      left = try limited(call(position, symbol == "in" ? "@in" : "_\(symbol)_", [left, try sum()]))
    }
    return left
  }

  private mutating func sum() throws(CELIssue) -> Expr {
    var left = try product()
    while case .symbol(let symbol) = token.kind, symbol == "+" || symbol == "-" {
      let position = token.start
      at += 1
      left = try limited(call(position, "_\(symbol)_", [left, try product()]))
    }
    return left
  }

  private mutating func product() throws(CELIssue) -> Expr {
    var left = try unary()
    while case .symbol(let symbol) = token.kind, symbol == "*" || symbol == "/" || symbol == "%" {
      let position = token.start
      at += 1
      left = try limited(call(position, "_\(symbol)_", [left, try unary()]))
    }
    return left
  }

  private mutating func unary() throws(CELIssue) -> Expr {
    let position = token.start
    for (symbol, function) in [("!", "!_"), ("-", "-_")] where isSymbol(symbol) {
      if symbol == "-", at + 1 < tokens.count {
        switch tokens[at + 1].kind {
        case .int, .double: return try member()
        default: break
        }
      }
      var count = 0
      while isSymbol(symbol) {
        count += 1
        at += 1
      }
      // Two of them undo each other, whatever the operand.
      let operand = try member()
      return count % 2 == 0 ? operand : call(position, function, [operand])
    }
    return try member()
  }

  // MARK: Members

  private mutating func member() throws(CELIssue) -> Expr {
    var left = try primary()
    while true {
      let position = token.start
      if take(".") {
        let isOptional = isSymbol("?")
        if isOptional {
          guard options.optionals else { throw issue("unsupported syntax '.?'") }
          at += 1
        }
        let name: String
        var escaped = false
        switch token.kind {
        case .ident(let text): name = text
        case .escapedIdent(let text):
          name = text
          escaped = true
        default: throw issue("Syntax error: no viable alternative at input '.\(token.kind == .end ? "" : text)'")
        }
        let namePosition = token.start
        at += 1
        if !isOptional, !escaped, isSymbol("(") {
          let open = token.start
          at += 1
          let args = try arguments()
          left = expand(name, target: left, args: args, position: open)
          continue
        }
        if isOptional {
          let literal = node(namePosition, .literal(.string(name)))
          left = call(position, "_?._", [left, literal])
        } else {
          left = node(position, .select(left, name, testOnly: false))
        }
      } else if take("[") {
        let isOptional = isSymbol("?")
        if isOptional {
          guard options.optionals else { throw issue("unsupported syntax '[?'") }
          at += 1
        }
        let index = try expression()
        try expect("]")
        left = call(position, isOptional ? "_[?_]" : "_[_]", [left, index])
      } else if isSymbol("{"), let name = left.qualifiedName {
        left = try message(name)
      } else {
        return left
      }
      left = try limited(left)
    }
  }

  /// A tree that grows to the left takes no recursion here, but it would in all that come after.
  private func limited(_ e: Expr) throws(CELIssue) -> Expr {
    if e.depth > Self.maxRecursion {
      throw CELIssue(message: "expression recursion limit exceeded: \(Self.maxRecursion)", position: 0)
    }
    return e
  }

  /// After the opening parenthesis.
  private mutating func arguments() throws(CELIssue) -> [Expr] {
    var out: [Expr] = []
    if take(")") { return out }
    repeat { out.append(try expression()) } while take(",")
    try expect(")")
    return out
  }

  private mutating func primary() throws(CELIssue) -> Expr {
    let position = token.start
    switch token.kind {
    case .symbol("("):
      at += 1
      let inner = try expression()
      try expect(")")
      return inner
    case .symbol("["): return try list()
    case .symbol("{"): return try map()
    case .symbol("."):
      at += 1
      guard case .ident(let name) = token.kind else {
        throw issue("Syntax error: no viable alternative at input '.\(token.kind == .end ? "" : text)'")
      }
      at += 1
      return try named("." + name, position)
    case .ident(let name):
      if Self.reserved.contains(name) { report("reserved identifier: \(name)", position) }
      at += 1
      return try named(name, position)
    default: return try literal()
    }
  }

  private mutating func named(_ name: String, _ position: Int) throws(CELIssue) -> Expr {
    guard isSymbol("(") else { return node(position, .ident(name)) }
    let open = token.start
    at += 1
    let args = try arguments()
    return expand(name, target: nil, args: args, position: open)
  }

  private mutating func literal() throws(CELIssue) -> Expr {
    let position = token.start
    let negative = take("-")
    func number(_ text: String) -> (digits: String, radix: Int) {
      text.hasPrefix("0x") ? ((negative ? "-" : "") + text.dropFirst(2), 16) : ((negative ? "-" : "") + text, 10)
    }
    let value: CELValue
    switch token.kind {
    case .int(let text):
      let (digits, radix) = number(text)
      if let int = Int64(digits, radix: radix) {
        value = .int(int)
      } else {
        report("invalid int literal", position)
        value = .int(0)
      }
    case .double(let text):
      let double = Double((negative ? "-" : "") + text) ?? .infinity
      if !double.isFinite { report("invalid double literal", position) }
      value = .double(double)
    case .uint(let text) where !negative:
      let (digits, radix) = number(text)
      if let uint = UInt64(digits, radix: radix) {
        value = .uint(uint)
      } else {
        report("invalid uint literal", position)
        value = .uint(0)
      }
    case .string(let text) where !negative: value = .string(text)
    case .bytes(let bytes) where !negative: value = .bytes(bytes)
    case .symbol("true") where !negative: value = .bool(true)
    case .symbol("false") where !negative: value = .bool(false)
    case .symbol("null") where !negative: value = .null
    default: throw unexpected()
    }
    at += 1
    return node(position, .literal(value))
  }

  // MARK: Aggregates

  private mutating func optionalMark() throws(CELIssue) -> Bool {
    guard isSymbol("?") else { return false }
    if !options.optionals { throw issue("unsupported syntax '?'") }
    at += 1
    return true
  }

  private mutating func list() throws(CELIssue) -> Expr {
    let position = token.start
    at += 1
    var elements: [Expr] = []
    var optional: Set<Int> = []
    while !isSymbol("]") {
      if try optionalMark() { optional.insert(elements.count) }
      elements.append(try expression())
      if !take(",") { break }
    }
    try expect(
      "]", or: "'==', '!=', 'in', '<', '<=', '>=', '>', '&&', '||', '[', ']', '.', ',', '-', '?', '+', '*', '/', '%'")
    return node(position, .list(elements, optional: optional))
  }

  private mutating func map() throws(CELIssue) -> Expr {
    let position = token.start
    at += 1
    var entries: [Expr.Entry] = []
    while !isSymbol("}") {
      let isOptional = try optionalMark()
      let key = try expression()
      try expect(":")
      nextID += 1
      entries.append(Expr.Entry(id: nextID, field: nil, key: key, value: try expression(), isOptional: isOptional))
      if !take(",") { break }
    }
    try expect("}")
    return node(position, .map(entries))
  }

  private mutating func message(_ name: String) throws(CELIssue) -> Expr {
    let position = token.start
    at += 1
    var entries: [Expr.Entry] = []
    while !isSymbol("}") {
      let isOptional = try optionalMark()
      let field: String
      switch token.kind {
      case .ident(let name), .escapedIdent(let name): field = name
      default: throw issue("Syntax error: mismatched input '\(text)' expecting {'}', ',', '?', IDENTIFIER}")
      }
      at += 1
      try expect(":")
      nextID += 1
      entries.append(Expr.Entry(id: nextID, field: field, key: nil, value: try expression(), isOptional: isOptional))
      if !take(",") { break }
    }
    try expect("}")
    return node(position, .message(name, entries))
  }

  // MARK: Macros

  private mutating func expand(_ name: String, target: Expr?, args: [Expr], position: Int) -> Expr {
    if let expanded = Macros.expand(name, target, args, position, options, &self) { return expanded }
    return node(position, .call(name, target: target, args: args))
  }
}

/// What the parser takes besides the plain language.
struct ParserOptions: Sendable {
  var optionals = true
  var twoVariableComprehensions = true
}
