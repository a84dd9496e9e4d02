/// What the checker found out about a tree.
struct Checked {
  enum Reference {
    /// A variable of the environment or of a comprehension.
    case variable(String)
    /// The name of a type.
    case type(CELType)
    /// A function with a namespace, which the tree has as a call on a name.
    case function(String)
  }
  var types: [Int: CELType] = [:]
  var references: [Int: Reference] = [:]
  /// The overloads that a call may resolve to.
  var overloads: [Int: [Overload]] = [:]
}

/// Finds the type of every node, and what is wrong with them.
struct Checker {
  private let environment: CELEnvironment
  private var unifier = Unifier()
  private var scopes: [[String: CELType]] = []
  private var issues: [CELIssue] = []
  private var out = Checked()

  private init(_ environment: CELEnvironment) { self.environment = environment }

  static func check(_ expr: Expr, _ source: CELSource, in environment: CELEnvironment) throws(CELErrors) -> Checked {
    var checker = Checker(environment)
    checker.check(expr)
    guard checker.issues.isEmpty else { throw CELErrors(issues: checker.issues, source: source) }
    for (id, type) in checker.out.types {
      checker.out.types[id] = checker.unifier.substitute(type, freeToDyn: true)
    }
    return checker.out
  }

  private mutating func report(_ message: String, _ expr: Expr) {
    let issue = CELIssue(message: message, position: expr.position)
    if !issues.contains(issue) { issues.append(issue) }
  }

  private func resolved(_ type: CELType) -> CELType { unifier.substitute(type, freeToDyn: false) }

  private func printed(_ type: CELType) -> String { unifier.substitute(type, freeToDyn: false).description }

  @discardableResult
  private mutating func check(_ e: Expr) -> CELType {
    let type = typeOf(e)
    out.types[e.id] = type
    return type
  }

  private mutating func typeOf(_ e: Expr) -> CELType {
    switch e.kind {
    case .literal(let value): return value.type
    case .ident(let name):
      if let type = lookup(name, e) { return type }
      report("undeclared reference to '\(Self.bare(name))' (in container '')", e)
      return .error
    case .select(let operand, let field, let testOnly): return select(e, operand, field, testOnly)
    case .call(let name, let target, let args): return call(e, name, target, args)
    case .list(let elements, let optional): return list(elements, optional)
    case .map(let entries): return map(entries)
    case .message(let name, let entries): return message(e, name, entries)
    case .comprehension(let c): return comprehension(e, c)
    }
  }

  // MARK: Names

  private static func bare(_ name: String) -> String { name.hasPrefix(".") ? String(name.dropFirst()) : name }

  private mutating func lookup(_ name: String, _ e: Expr) -> CELType? {
    if !name.hasPrefix(".") {
      for scope in scopes.reversed() {
        if let type = scope[name] {
          out.references[e.id] = .variable(name)
          return type
        }
      }
    }
    let name = Self.bare(name)
    if let type = environment.variables[name] {
      out.references[e.id] = .variable(name)
      return type
    }
    if let type = environment.typeName(name) {
      out.references[e.id] = .type(type)
      return .type(type)
    }
    return nil
  }

  private func isLocal(_ name: String) -> Bool { scopes.contains { $0[name] != nil } }

  private mutating func select(_ e: Expr, _ operand: Expr, _ field: String, _ testOnly: Bool) -> CELType {
    if !testOnly, let name = e.qualifiedName {
      let root = String(name.prefix { $0 != "." })
      if name.hasPrefix(".") || !isLocal(root), let type = lookup(name, e) { return type }
    }
    let operandType = resolved(check(operand))
    let result = fieldType(e, operandType, field, optional: false)
    return testOnly ? .bool : result
  }

  private mutating func fieldType(_ e: Expr, _ type: CELType, _ field: String, optional: Bool) -> CELType {
    switch type {
    case .map(_, let value): return value
    case .object(let name):
      if let found = environment.objectType(name) {
        if let type = found.fieldCELType(field) { return type }
        report("undefined field '\(field)'", e)
        return .error
      }
      report("unexpected failed resolution of '\(name)'", e)
      return .error
    case .param:
      _ = unifier.assign(type, to: .dyn)
      return .dyn
    case .dyn, .error: return .dyn
    default:
      if let element = type.optionalElement {
        // What is chosen from an optional is optional itself.
        let inner = fieldType(e, resolved(element), field, optional: true)
        return inner.optionalElement != nil ? inner : .optional(inner)
      }
      report("type '\(type)' does not support field selection", e)
      return .error
    }
  }

  // MARK: Calls

  private mutating func call(_ e: Expr, _ name: String, _ target: Expr?, _ args: [Expr]) -> CELType {
    if name == "_?._" {
      let operand = resolved(check(args[0]))
      check(args[1])
      guard case .literal(.string(let field)) = args[1].kind else { return .error }
      let inner = fieldType(e, operand.optionalElement.map(resolved) ?? operand, field, optional: true)
      return inner.optionalElement != nil ? inner : .optional(inner)
    }
    if let target, let prefix = target.qualifiedName {
      let root = String(Self.bare(prefix).prefix { $0 != "." })
      let full = "\(Self.bare(prefix)).\(name)"
      if prefix.hasPrefix(".") || !isLocal(root), let overloads = environment.overloads(full) {
        out.references[e.id] = .function(full)
        return resolve(e, full, overloads, target: nil, args)
      }
    }
    guard let overloads = environment.overloads(Self.bare(name)) else {
      if let target { check(target) }
      for arg in args { check(arg) }
      report("undeclared reference to '\(Self.bare(name))' (in container '')", e)
      return .error
    }
    return resolve(e, Self.bare(name), overloads, target: target, args)
  }

  private mutating func resolve(
    _ e: Expr, _ name: String, _ overloads: [Overload], target: Expr?, _ args: [Expr]
  ) -> CELType {
    var types: [CELType] = []
    if let target { types.append(resolved(check(target))) }
    for arg in args { types.append(resolved(check(arg))) }
    var result: CELType?
    var matched: [Overload] = []
    for overload in overloads where overload.isMember == (target != nil) && overload.parameters.count == types.count {
      let (parameters, outcome) = unifier.instantiate(overload)
      guard unifier.assign(types, to: parameters) else { continue }
      matched.append(overload)
      let type = unifier.substitute(outcome, freeToDyn: false)
      if let known = result {
        if known != .dyn, known != type { result = .dyn }
      } else {
        result = type
      }
    }
    guard let result else {
      let printed = types.map { self.printed($0) }
      let shown =
        target == nil
        ? "(\(printed.joined(separator: ", ")))"
        : "\(printed[0]).(\(printed.dropFirst().joined(separator: ", ")))"
      report("found no matching overload for '\(name)' applied to '\(shown)'", e)
      return .error
    }
    out.overloads[e.id] = matched
    return result
  }

  // MARK: Aggregates

  /// The type that holds both; dyn where literals may mix types.
  private mutating func join(_ e: Expr, _ known: CELType?, _ type: CELType) -> CELType {
    guard let known else { return type }
    if unifier.assign(type, to: known) { return Self.moreGeneral(resolved(known), resolved(type)) }
    if environment.options.homogeneousLiterals {
      report("expected type '\(printed(known))' but found '\(printed(type))'", e)
      return known
    }
    return .dyn
  }

  private static func moreGeneral(_ a: CELType, _ b: CELType) -> CELType {
    if a == .dyn || b == .dyn { return .dyn }
    if case .wrapper(let inner) = b, inner == a { return b }
    return a == .null ? b : a
  }

  private mutating func unwrapOptional(_ type: CELType, _ e: Expr) -> CELType {
    let type = resolved(type)
    if let element = type.optionalElement { return element }
    if type != .dyn, type != .error { report("expected type 'optional_type(\(type))' but found '\(type)'", e) }
    return type == .error ? .error : .dyn
  }

  private mutating func list(_ elements: [Expr], _ optional: Set<Int>) -> CELType {
    var element: CELType?
    for (i, e) in elements.enumerated() {
      var type = check(e)
      if optional.contains(i) { type = unwrapOptional(type, e) }
      element = join(e, element, type)
    }
    return .list(element ?? unifier.fresh())
  }

  private mutating func map(_ entries: [Expr.Entry]) -> CELType {
    var key: CELType?
    var value: CELType?
    for entry in entries {
      if let expr = entry.key { key = join(expr, key, check(expr)) }
      var type = check(entry.value)
      if entry.isOptional { type = unwrapOptional(type, entry.value) }
      value = join(entry.value, value, type)
    }
    guard let key, let value else { return .map(unifier.fresh(), unifier.fresh()) }
    return .map(key, value)
  }

  private mutating func message(_ e: Expr, _ name: String, _ entries: [Expr.Entry]) -> CELType {
    let name = Self.bare(name)
    guard let object = environment.constructible(name) else {
      for entry in entries { check(entry.value) }
      report("undeclared reference to '\(name)' (in container '')", e)
      return .error
    }
    for entry in entries {
      var type = check(entry.value)
      if entry.isOptional { type = unwrapOptional(type, entry.value) }
      let field = entry.field ?? ""
      guard let wanted = object.fieldCELType(field) else {
        report("undefined field '\(field)'", entry.value)
        continue
      }
      if !unifier.assign(type, to: wanted) {
        report(
          "expected type of field '\(field)' is '\(printed(wanted))' but provided type is '\(printed(type))'",
          entry.value)
      }
    }
    return .object(name)
  }

  // MARK: Comprehensions

  private mutating func comprehension(_ e: Expr, _ c: Expr.Comprehension) -> CELType {
    let range = resolved(check(c.range))
    let accumulator = check(c.initial)
    var first: CELType
    var second: CELType = .dyn
    switch range {
    case .list(let element):
      first = c.variable2 == nil ? element : .int
      second = element
    case .map(let key, let value):
      first = key
      second = value
    case .dyn, .error: first = .dyn
    case .param:
      _ = unifier.assign(range, to: .dyn)
      first = .dyn
    default:
      report(
        "expression of type '\(range)' cannot be range of a comprehension (must be list, map, or dynamic)", c.range)
      first = .error
      second = .error
    }
    scopes.append([c.accumulator: accumulator])
    var variables = [c.variable: first]
    if let name = c.variable2 { variables[name] = second }
    scopes.append(variables)
    let condition = check(c.condition)
    if !unifier.assign(condition, to: .bool) { mismatch(.bool, condition, c.condition) }
    let step = check(c.step)
    scopes.removeLast()
    let before = resolved(accumulator)
    if !unifier.assign(step, to: accumulator), !unifier.assign(accumulator, to: step) {
      mismatch(before, step, c.step)
    }
    let result = check(c.result)
    scopes.removeLast()
    return resolved(result)
  }

  private mutating func mismatch(_ wanted: CELType, _ found: CELType, _ e: Expr) {
    report("expected type '\(printed(wanted))' but found '\(printed(found))'", e)
  }
}
