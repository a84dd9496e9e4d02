/// Turns a checked tree into nodes: names become places, calls become functions.
struct Planner {
  private let environment: CELEnvironment
  private let checked: Checked
  private(set) var globals: [String] = []
  private(set) var slots = 0
  private var scopes: [(name: String, slot: Int)] = []

  init(_ environment: CELEnvironment, _ checked: Checked) {
    self.environment = environment
    self.checked = checked
  }

  mutating func plan(_ e: Expr) throws(CELIssue) -> Node {
    switch e.kind {
    case .literal(let value): return ConstantNode(value)
    case .ident: return try name(e)
    case .select(let operand, let field, let testOnly):
      if checked.references[e.id] != nil { return try name(e) }
      let operand = try plan(operand)
      return testOnly ? HasNode(operand, field) : SelectNode(operand, field)
    case .call(let function, let target, let args): return try call(e, function, target, args)
    case .list(let elements, let optional): return ListNode(try plan(elements), optional: optional)
    case .map(let entries):
      var out: [(key: Node, value: Node, isOptional: Bool)] = []
      for entry in entries {
        guard let key = entry.key else { continue }
        out.append((try plan(key), try plan(entry.value), entry.isOptional))
      }
      return MapNode(out)
    case .message(let name, let entries):
      var out: [(name: String, value: Node, isOptional: Bool)] = []
      for entry in entries { out.append((entry.field ?? "", try plan(entry.value), entry.isOptional)) }
      return MessageNode(name.hasPrefix(".") ? String(name.dropFirst()) : name, out)
    case .comprehension(let c): return try comprehension(c)
    }
  }

  private mutating func plan(_ list: [Expr]) throws(CELIssue) -> [Node] {
    var out: [Node] = []
    for e in list { out.append(try plan(e)) }
    return out
  }

  private mutating func name(_ e: Expr) throws(CELIssue) -> Node {
    switch checked.references[e.id] {
    case .type(let type): return ConstantNode(.type(type))
    case .variable(let name):
      if case .ident(let written) = e.kind, written == name, let local = scopes.last(where: { $0.name == name }) {
        return LocalNode(local.slot)
      }
      if let index = globals.firstIndex(of: name) { return GlobalNode(index) }
      globals.append(name)
      return GlobalNode(globals.count - 1)
    default: throw CELIssue(message: "undeclared reference to '\(e.qualifiedName ?? "")'", position: e.position)
    }
  }

  // MARK: Calls

  private mutating func call(_ e: Expr, _ function: String, _ target: Expr?, _ args: [Expr]) throws(CELIssue) -> Node {
    var name = function.hasPrefix(".") ? String(function.dropFirst()) : function
    var nodes: [Node] = []
    if case .function(let full) = checked.references[e.id] {
      name = full
    } else if let target {
      nodes.append(try plan(target))
    }
    if name == "_?._", case .literal(.string(let field)) = args[1].kind {
      return OptionalSelectNode(try plan(args[0]), field)
    }
    nodes += try plan(args)
    switch name {
    case "_&&_": return LogicNode(nodes[0], nodes[1], deciding: false)
    case "_||_": return LogicNode(nodes[0], nodes[1], deciding: true)
    case "_?_:_": return TernaryNode(nodes[0], nodes[1], nodes[2])
    case "_[_]": return IndexNode(nodes[0], nodes[1], isOptional: false)
    case "_[?_]": return IndexNode(nodes[0], nodes[1], isOptional: true)
    case "@not_strictly_false": return NotFalseNode(nodes[0])
    case "or" where target != nil, "orValue" where target != nil:
      return OrNode(nodes[0], nodes[1], unwraps: name == "orValue")
    case "matches":
      if let pattern = nodes[1] as? ConstantNode, case .string(let text) = pattern.value {
        do throws(RE2.SyntaxError) {
          return MatchNode(nodes[0], try RE2(text), text)
        } catch {
          throw CELIssue(message: "error parsing regexp: \(error.message)", position: args[args.count - 1].position)
        }
      }
    default: break
    }
    if let operation = BinaryNode.Operation(rawValue: name), nodes.count == 2 {
      return BinaryNode(operation, nodes[0], nodes[1])
    }
    guard let body = environment.implementation(name) else {
      throw CELIssue(message: "no such overload: \(name)", position: e.position)
    }
    if name == "sum", let type = checked.types[e.id], type != .int {
      // The sum of nothing is of the type that the list was declared with.
      let zero: CELValue =
        type == .double ? .double(0) : type == .uint ? .uint(0) : type == .duration ? .duration(0) : .int(0)
      return CallNode(name, nodes) { (args) throws(CELError) in
        if case .list(let list) = args[0], list.count == 0 { return zero }
        return try body(args)
      }
    }
    return CallNode(name, nodes, body)
  }

  // MARK: Comprehensions

  private mutating func slot() -> Int {
    slots += 1
    return slots - 1
  }

  private mutating func comprehension(_ c: Expr.Comprehension) throws(CELIssue) -> Node {
    let range = try plan(c.range)
    let initial = try plan(c.initial)
    let depth = scopes.count
    defer { scopes.removeLast(scopes.count - depth) }
    let accumulator = slot()
    scopes.append((c.accumulator, accumulator))
    let variable = slot()
    scopes.append((c.variable, variable))
    var variable2: Int?
    if let name = c.variable2 {
      let second = slot()
      variable2 = second
      scopes.append((name, second))
    }
    if let node = try shortcut(c, range, variable, variable2) { return node }
    let condition = try plan(c.condition)
    let step = try plan(c.step)
    scopes.removeLast(scopes.count - depth - 1)
    return FoldNode(
      range: range, initial: initial, condition: condition, step: step, result: try plan(c.result),
      variable: variable, variable2: variable2, accumulator: accumulator)
  }

  /// The macros' own shapes, which need no accumulator that is copied at each step.
  private mutating func shortcut(
    _ c: Expr.Comprehension, _ range: Node, _ variable: Int, _ variable2: Int?
  ) throws(CELIssue) -> Node? {
    guard c.accumulator == Macros.accumulator else { return nil }
    var step = c.step
    var filter: Expr?
    if case .call("_?_:_", _, let parts) = step.kind, case .ident(Macros.accumulator) = parts[2].kind {
      filter = parts[0]
      step = parts[1]
    }
    guard case .call(let function, _, let parts) = step.kind, case .ident(Macros.accumulator) = parts[0].kind else {
      return nil
    }
    switch function {
    case "_&&_", "_||_":
      return QuantifierNode(
        range: range, body: try plan(parts[1]), variable: variable, variable2: variable2, deciding: function == "_||_")
    case "_+_":
      guard case .list(let elements, _) = parts[1].kind, elements.count == 1 else { return nil }
      let kept = try filter.map { (e) throws(CELIssue) in try plan(e) }
      return CollectNode(
        range: range, filter: kept, element: try plan(elements[0]), variable: variable, variable2: variable2)
    case "cel.@mapInsert":
      let kept = try filter.map { (e) throws(CELIssue) in try plan(e) }
      return CollectMapNode(
        range: range, filter: kept, element: try plan(parts[parts.count - 1]), variable: variable,
        variable2: variable2, isEntry: parts.count == 2)
    default: return nil
    }
  }
}
