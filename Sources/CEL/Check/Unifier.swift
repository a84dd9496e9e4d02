/// Type variables and what they stand for so far.
struct Unifier {
  private var bindings: [String: CELType] = [:]
  private var counter = 0

  mutating func fresh() -> CELType {
    defer { counter += 1 }
    return .param("_var\(counter)")
  }

  /// A copy of a signature with variables of its own.
  mutating func instantiate(_ overload: Overload) -> (parameters: [CELType], result: CELType) {
    var names: [String: CELType] = [:]
    let parameters = overload.parameters.map { rename($0, &names) }
    return (parameters, rename(overload.result, &names))
  }

  private mutating func rename(_ type: CELType, _ names: inout [String: CELType]) -> CELType {
    switch type {
    case .param(let name):
      if let known = names[name] { return known }
      let new = fresh()
      names[name] = new
      return new
    case .list(let element): return .list(rename(element, &names))
    case .map(let key, let value): return .map(rename(key, &names), rename(value, &names))
    case .opaque(let name, let parameters) where !parameters.isEmpty:
      var out: [CELType] = []
      for parameter in parameters { out.append(rename(parameter, &names)) }
      return .opaque(name, out)
    case .type(let inner): return .type(rename(inner, &names))
    case .wrapper(let inner): return .wrapper(rename(inner, &names))
    default: return type
    }
  }

  /// The type with its variables replaced; those still free become dyn if asked.
  func substitute(_ type: CELType, freeToDyn: Bool) -> CELType {
    switch type {
    case .param(let name):
      if let bound = bindings[name] { return substitute(bound, freeToDyn: freeToDyn) }
      return freeToDyn ? .dyn : type
    case .list(let element): return .list(substitute(element, freeToDyn: freeToDyn))
    case .map(let key, let value):
      return .map(substitute(key, freeToDyn: freeToDyn), substitute(value, freeToDyn: freeToDyn))
    case .opaque(let name, let parameters):
      return .opaque(name, parameters.map { substitute($0, freeToDyn: freeToDyn) })
    case .type(let inner): return .type(substitute(inner, freeToDyn: freeToDyn))
    case .wrapper(let inner): return .wrapper(substitute(inner, freeToDyn: freeToDyn))
    default: return type
    }
  }

  /// Whether a value of one type can stand where the other is wanted; binds variables if so.
  mutating func assign(_ from: CELType, to: CELType) -> Bool {
    let before = bindings
    if unify(from, to) { return true }
    bindings = before
    return false
  }

  mutating func assign(_ from: [CELType], to: [CELType]) -> Bool {
    guard from.count == to.count else { return false }
    let before = bindings
    for (a, b) in zip(from, to) where !unify(a, b) {
      bindings = before
      return false
    }
    return true
  }

  private mutating func unify(_ a: CELType, _ b: CELType) -> Bool {
    if a == b { return true }
    if case .param(let name) = b { return bind(name, a, isTarget: true) }
    if case .param(let name) = a { return bind(name, b, isTarget: false) }
    switch (a, b) {
    case (.dyn, _), (_, .dyn), (.error, _), (_, .error): return true
    case (.null, let other), (let other, .null): return other.isNullable
    case (.wrapper(let x), .wrapper(let y)): return unify(x, y)
    case (.wrapper(let x), let y): return unify(x, y)
    case (let x, .wrapper(let y)): return unify(x, y)
    case (.list(let x), .list(let y)): return unify(x, y)
    case (.map(let k1, let v1), .map(let k2, let v2)): return unify(k1, k2) && unify(v1, v2)
    case (.opaque(let n1, let p1), .opaque(let n2, let p2)):
      guard n1 == n2, p1.count == p2.count else { return false }
      for (x, y) in zip(p1, p2) where !unify(x, y) { return false }
      return true
    case (.type, .type): return true
    default: return false
    }
  }

  private mutating func bind(_ name: String, _ type: CELType, isTarget: Bool) -> Bool {
    if let bound = bindings[name] {
      guard isTarget ? unify(type, bound) : unify(bound, type) else { return false }
      // The more general of the two stands for both from here on.
      if Self.isGeneral(type), !Self.isGeneral(bound) { bindings[name] = type }
      if bound == .null, type != .null { bindings[name] = type }
      return true
    }
    if occurs(name, in: type) { return false }
    bindings[name] = type
    return true
  }

  private static func isGeneral(_ type: CELType) -> Bool { type == .dyn || type == .error }

  private func occurs(_ name: String, in type: CELType) -> Bool {
    switch type {
    case .param(let other): other == name || bindings[other].map { occurs(name, in: $0) } ?? false
    case .list(let element): occurs(name, in: element)
    case .map(let key, let value): occurs(name, in: key) || occurs(name, in: value)
    case .opaque(_, let parameters): parameters.contains { occurs(name, in: $0) }
    case .type(let inner), .wrapper(let inner): occurs(name, in: inner)
    default: false
    }
  }
}

extension CELType {
  fileprivate var isNullable: Bool {
    switch self {
    case .null, .wrapper, .timestamp, .duration, .object, .opaque: true
    default: false
    }
  }
}
