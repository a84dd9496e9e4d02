/// Calls that are syntax: each becomes a comprehension or a test for presence.
enum Macros {
  /// What the accumulator is called; no source can write it.
  static let accumulator = "@result"

  static func expand(
    _ name: String, _ target: Expr?, _ args: [Expr], _ position: Int, _ options: ParserOptions, _ p: inout Parser
  ) -> Expr? {
    guard let target else { return name == "has" && args.count == 1 ? has(args[0], position, &p) : nil }
    let builder = Builder(position: position)
    switch (name, args.count) {
    case ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("filter", 2), ("map", 2), ("map", 3):
      guard let variable = builder.variable(args[0], &p) else { return builder.nothing(&p) }
      return builder.fold(name, target, variable, nil, Array(args[1...]), &p)
    case ("all", 3), ("exists", 3), ("existsOne", 3), ("exists_one", 3), ("transformList", 3), ("transformList", 4),
      ("transformMap", 3), ("transformMap", 4), ("transformMapEntry", 3), ("transformMapEntry", 4):
      guard options.twoVariableComprehensions else { return nil }
      guard let first = builder.variable(args[0], &p), let second = builder.variable(args[1], &p) else {
        return builder.nothing(&p)
      }
      if first == second {
        p.report("duplicate variable name: \(first)", args[1].position)
        return builder.nothing(&p)
      }
      return builder.fold(name, target, first, second, Array(args[2...]), &p)
    case ("bind", 3):
      guard case .ident("cel") = target.kind else { return nil }
      guard case .ident(let variable) = args[0].kind else {
        p.report("cel.bind() variable names must be simple identifiers", args[0].position)
        return builder.nothing(&p)
      }
      return bind(variable, args[1], args[2], position, &p)
    case ("greatest", 3...), ("least", 3...):
      // Of many, the greatest of the list.
      guard case .ident("math") = target.kind else { return nil }
      let list = p.node(position, .list(args, optional: []))
      return p.node(position, .call(name, target: target, args: [list]))
    case ("sortBy", 2):
      guard let variable = builder.variable(args[0], &p) else { return builder.nothing(&p) }
      let keys = builder.fold("map", target, variable, nil, [args[1]], &p)
      return p.node(position, .call("@sortBy", target: nil, args: [target, keys]))
    case ("optMap", 2), ("optFlatMap", 2):
      guard options.optionals else { return nil }
      guard case .ident(let variable) = args[0].kind else {
        p.report("\(name)() variable name must be a simple identifier", args[0].position)
        return builder.nothing(&p)
      }
      let copy = target
      let present = p.node(position, .call("hasValue", target: copy, args: []))
      let value = p.node(position, .call("value", target: copy, args: []))
      let bound = bind(variable, value, args[1], position, &p)
      let some = name == "optMap" ? p.node(position, .call("optional.of", target: nil, args: [bound])) : bound
      let none = p.node(position, .call("optional.none", target: nil, args: []))
      return p.node(position, .call("_?_:_", target: nil, args: [present, some, none]))
    default: return nil
    }
  }

  private static func has(_ argument: Expr, _ position: Int, _ p: inout Parser) -> Expr? {
    switch argument.kind {
    case .select(let operand, let field, false):
      return p.node(position, .select(operand, field, testOnly: true))
    default:
      p.report("invalid argument to has() macro", argument.position)
      return p.node(position, .literal(.bool(false)))
    }
  }

  private static func bind(_ variable: String, _ value: Expr, _ body: Expr, _ position: Int, _ p: inout Parser) -> Expr
  {
    let range = p.node(position, .list([], optional: []))
    let condition = p.node(position, .literal(.bool(false)))
    let step = p.node(position, .ident(variable))
    return p.node(
      position,
      .comprehension(
        Expr.Comprehension(
          variable: "#unused", range: range, accumulator: variable, initial: value, condition: condition, step: step,
          result: body)))
  }

  private struct Builder {
    let position: Int

    func nothing(_ p: inout Parser) -> Expr { p.node(position, .literal(.bool(false))) }

    func variable(_ argument: Expr, _ p: inout Parser) -> String? {
      guard case .ident(let name) = argument.kind, !name.hasPrefix(".") else {
        p.report("argument must be a simple name", argument.position)
        return nil
      }
      if name == Macros.accumulator || name == "__result__" {
        p.report("iteration variable overwrites accumulator variable", argument.position)
        return nil
      }
      return name
    }

    private func call(_ name: String, _ args: [Expr], _ p: inout Parser) -> Expr {
      p.node(position, .call(name, target: nil, args: args))
    }

    private func literal(_ value: CELValue, _ p: inout Parser) -> Expr { p.node(position, .literal(value)) }

    private func result(_ p: inout Parser) -> Expr { p.node(position, .ident(Macros.accumulator)) }

    func fold(
      _ name: String, _ range: Expr, _ first: String, _ second: String?, _ args: [Expr], _ p: inout Parser
    ) -> Expr {
      let initial: Expr
      var condition: Expr
      var step: Expr
      var outcome = result(&p)
      condition = literal(.bool(true), &p)
      let filter = args.count == 2 ? args[0] : nil
      let body = args[args.count - 1]
      switch name {
      case "all":
        initial = literal(.bool(true), &p)
        condition = call("@not_strictly_false", [result(&p)], &p)
        step = call("_&&_", [result(&p), body], &p)
      case "exists":
        initial = literal(.bool(false), &p)
        let negated = call("!_", [result(&p)], &p)
        condition = call("@not_strictly_false", [negated], &p)
        step = call("_||_", [result(&p), body], &p)
      case "exists_one", "existsOne":
        initial = literal(.int(0), &p)
        let one = literal(.int(1), &p)
        let more = call("_+_", [result(&p), one], &p)
        step = call("_?_:_", [body, more, result(&p)], &p)
        let wanted = literal(.int(1), &p)
        outcome = call("_==_", [result(&p), wanted], &p)
      case "filter":
        initial = p.node(position, .list([], optional: []))
        let element = p.node(position, .ident(first))
        let list = p.node(position, .list([element], optional: []))
        let more = call("_+_", [result(&p), list], &p)
        step = call("_?_:_", [body, more, result(&p)], &p)
      case "map", "transformList":
        initial = p.node(position, .list([], optional: []))
        let list = p.node(position, .list([body], optional: []))
        step = call("_+_", [result(&p), list], &p)
        if let filter { step = call("_?_:_", [filter, step, result(&p)], &p) }
      default:
        initial = p.node(position, .map([]))
        if name == "transformMap" {
          let key = p.node(position, .ident(first))
          step = call("cel.@mapInsert", [result(&p), key, body], &p)
        } else {
          step = call("cel.@mapInsert", [result(&p), body], &p)
        }
        if let filter { step = call("_?_:_", [filter, step, result(&p)], &p) }
      }
      return p.node(
        position,
        .comprehension(
          Expr.Comprehension(
            variable: first, variable2: second, range: range, accumulator: Macros.accumulator, initial: initial,
            condition: condition, step: step, result: outcome)))
    }
  }
}
