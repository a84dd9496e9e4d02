/// The values that an expression is evaluated with.
public struct CELActivation: Sendable {
  /// Values by the variables' names.
  public var values: [String: CELValue]

  public init(_ values: [String: CELValue] = [:]) { self.values = values }
}

/// The state of one evaluation.
final class Frame {
  let activation: CELActivation
  let globals: [String]
  private var loaded: [CELValue?]
  var slots: [CELValue]
  private(set) var cost: UInt64 = 0
  private let limit: UInt64

  init(_ activation: CELActivation, globals: [String], slots: Int, limit: UInt64) {
    self.activation = activation
    self.globals = globals
    self.limit = limit
    loaded = Array(repeating: nil, count: globals.count)
    self.slots = Array(repeating: .null, count: slots)
  }

  func global(_ index: Int) throws(CELError) -> CELValue {
    if let value = loaded[index] { return value }
    guard let value = activation.values[globals[index]] else { throw .noSuchAttribute(globals[index]) }
    loaded[index] = value
    return value
  }

  func charge(_ amount: UInt64) throws(CELError) {
    let (sum, overflow) = cost.addingReportingOverflow(amount)
    cost = overflow ? .max : sum
    if cost > limit { throw CELError("operation cancelled: actual cost limit exceeded", kind: .costLimit) }
  }
}

/// A step of the plan. Unchecked, as each of its subclasses has to say again: a class that can be inherited from cannot
/// be proved immutable, but every stored property here is a `let` that is set by the planner.
class Node: @unchecked Sendable {
  func eval(_ f: Frame) throws(CELError) -> CELValue { throw .noSuchOverload }
}

final class ConstantNode: Node, @unchecked Sendable {
  let value: CELValue
  init(_ value: CELValue) { self.value = value }
  override func eval(_ f: Frame) throws(CELError) -> CELValue { value }
}

final class GlobalNode: Node, @unchecked Sendable {
  private let index: Int
  init(_ index: Int) { self.index = index }
  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    try f.charge(1)
    return try f.global(index)
  }
}

final class LocalNode: Node, @unchecked Sendable {
  private let slot: Int
  init(_ slot: Int) { self.slot = slot }
  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    try f.charge(1)
    return f.slots[slot]
  }
}

final class SelectNode: Node, @unchecked Sendable {
  private let operand: Node
  private let field: String
  init(_ operand: Node, _ field: String) {
    self.operand = operand
    self.field = field
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let value = try operand.eval(f)
    try f.charge(1)
    return try Self.select(value, field)
  }

  static func select(_ value: CELValue, _ field: String) throws(CELError) -> CELValue {
    switch value {
    case .map(let map):
      guard let found = try map.value(.string(field)) else { throw .noSuchKey(.string(field)) }
      return found
    case .object(let object):
      guard let found = try object.field(field) else { throw .noSuchKey(.string(field)) }
      return found
    case .optional(let inner):
      guard let inner else { return .optional(nil) }
      return .optional(try find(inner, field))
    default: throw .noSuchOverload
    }
  }

  static func find(_ value: CELValue, _ field: String) throws(CELError) -> CELValue? {
    switch value {
    case .map(let map): return try map.value(.string(field))
    case .object(let object): return try object.field(field)
    case .optional(let inner): return try inner.flatMap { (v) throws(CELError) in try find(v, field) }
    default: throw .noSuchOverload
    }
  }
}

final class HasNode: Node, @unchecked Sendable {
  private let operand: Node
  private let field: String
  init(_ operand: Node, _ field: String) {
    self.operand = operand
    self.field = field
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    // Kubernetes counts nothing for the test itself.
    .bool(try Self.test(try operand.eval(f), field))
  }

  static func test(_ value: CELValue, _ field: String) throws(CELError) -> Bool {
    switch value {
    case .map(let map): return map.contains(.string(field))
    case .object(let object): return object.has(field)
    case .optional(let inner): return try inner.map { (v) throws(CELError) in try test(v, field) } ?? false
    default: throw .noSuchOverload
    }
  }
}

final class OptionalSelectNode: Node, @unchecked Sendable {
  private let operand: Node
  private let field: String
  init(_ operand: Node, _ field: String) {
    self.operand = operand
    self.field = field
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let value = try operand.eval(f)
    try f.charge(1)
    return .optional(try SelectNode.find(value, field))
  }
}

final class IndexNode: Node, @unchecked Sendable {
  private let operand: Node
  private let key: Node
  private let isOptional: Bool
  init(_ operand: Node, _ key: Node, isOptional: Bool) {
    self.operand = operand
    self.key = key
    self.isOptional = isOptional
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let value = try operand.eval(f)
    let key = try key.eval(f)
    try f.charge(1)
    if isOptional { return .optional(try Self.find(value, key)) }
    if case .optional(let inner) = value {
      return .optional(try inner.flatMap { (v) throws(CELError) in try Self.find(v, key) })
    }
    switch value {
    case .list(let list):
      guard let index = Self.position(key) else {
        if case .double = key { throw CELError("unsupported index value \(key.plainText) in list") }
        throw CELError("unsupported index type '\(key.type.runtimeName)' in list")
      }
      guard index >= 0, index < list.count else { throw CELError("index out of bounds: \(index)") }
      return try list.element(index)
    default:
      guard let found = try Self.find(value, key) else { throw .noSuchKey(key) }
      return found
    }
  }

  private static func position(_ key: CELValue) -> Int? {
    switch key {
    case .int(let v): Int(v)
    case .uint(let v): Int(clamping: v)
    case .double(let v): Int(exactly: v)
    default: nil
    }
  }

  static func find(_ value: CELValue, _ key: CELValue) throws(CELError) -> CELValue? {
    switch value {
    case .list(let list):
      guard let index = position(key) else { throw .noSuchOverload }
      return index >= 0 && index < list.count ? try list.element(index) : nil
    case .map(let map):
      switch key {
      case .bool, .int, .uint, .double, .string: return try map.value(key)
      default: throw CELError("unsupported key type: \(key.type.runtimeName)")
      }
    case .object(let object):
      guard case .string(let name) = key else { throw .noSuchOverload }
      return try object.field(name)
    case .optional(let inner): return try inner.flatMap { (v) throws(CELError) in try find(v, key) }
    default: throw .noSuchOverload
    }
  }
}

/// `&&` and `||`: one side that decides absorbs whatever the other does.
final class LogicNode: Node, @unchecked Sendable {
  private let left: Node
  private let right: Node
  private let deciding: Bool
  init(_ left: Node, _ right: Node, deciding: Bool) {
    self.left = left
    self.right = right
    self.deciding = deciding
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    var failure: CELError?
    do throws(CELError) {
      if case .bool(let value) = try left.eval(f) {
        if value == deciding { return .bool(value) }
      } else {
        failure = .noSuchOverload
      }
    } catch {
      if error.kind == .costLimit { throw error }
      failure = error
    }
    guard case .bool(let value) = try rightValue(f, failure) else { throw failure ?? .noSuchOverload }
    if value == deciding { return .bool(value) }
    if let failure { throw failure }
    return .bool(value)
  }

  private func rightValue(_ f: Frame, _ failure: CELError?) throws(CELError) -> CELValue {
    do throws(CELError) { return try right.eval(f) } catch {
      // The left side's error is the one that is told.
      throw error.kind == .costLimit ? error : failure ?? error
    }
  }
}

final class TernaryNode: Node, @unchecked Sendable {
  private let condition: Node
  private let yes: Node
  private let no: Node
  init(_ condition: Node, _ yes: Node, _ no: Node) {
    self.condition = condition
    self.yes = yes
    self.no = no
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    guard case .bool(let value) = try condition.eval(f) else { throw .noSuchOverload }
    return try value ? yes.eval(f) : no.eval(f)
  }
}

final class ListNode: Node, @unchecked Sendable {
  private let elements: [Node]
  private let optional: Set<Int>
  init(_ elements: [Node], optional: Set<Int>) {
    self.elements = elements
    self.optional = optional
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    var out: [CELValue] = []
    out.reserveCapacity(elements.count)
    for (i, node) in elements.enumerated() {
      let value = try node.eval(f)
      if optional.contains(i) {
        guard case .optional(let inner) = value else {
          throw CELError("cannot initialize optional list element from non-optional value \(value.plainText)")
        }
        if let inner { out.append(inner) }
      } else {
        out.append(value)
      }
    }
    try f.charge(10)
    return .list(out)
  }
}

final class MapNode: Node, @unchecked Sendable {
  private let entries: [(key: Node, value: Node, isOptional: Bool)]
  init(_ entries: [(key: Node, value: Node, isOptional: Bool)]) { self.entries = entries }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    var keys: [CELValue] = []
    var values: [CELValue] = []
    var seen: Set<CELKey> = []
    for entry in entries {
      let key = try entry.key.eval(f)
      var value = try entry.value.eval(f)
      if entry.isOptional {
        guard case .optional(let inner) = value else {
          throw CELError(
            "cannot initialize optional entry '\(key.plainText)' from non-optional value \(value.plainText)")
        }
        guard let inner else { continue }
        value = inner
      }
      switch key {
      case .bool, .int, .uint, .string: break
      default: throw CELError("unsupported key type: \(key.type.runtimeName)")
      }
      if let hashable = CELKey(key), !seen.insert(hashable).inserted {
        throw CELError("Failed with repeated key \(key.plainText)")
      }
      keys.append(key)
      values.append(value)
    }
    try f.charge(30)
    return .map(CELMap(keys: keys, values: values))
  }
}

final class MessageNode: Node, @unchecked Sendable {
  private let name: String
  private let fields: [(name: String, value: Node, isOptional: Bool)]
  init(_ name: String, _ fields: [(name: String, value: Node, isOptional: Bool)]) {
    self.name = name
    self.fields = fields
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    var out: [String: CELValue] = [:]
    for field in fields {
      var value = try field.value.eval(f)
      if field.isOptional {
        guard case .optional(let inner) = value else { throw .noSuchOverload }
        guard let inner else { continue }
        value = inner
      }
      if name == "Object" { try Self.checkPath(value, "Object.\(field.name)") }
      out[field.name] = value
    }
    try f.charge(40)
    return .object(CELObject(typeName: name, fields: out))
  }
}

extension MessageNode {
  /// Under the root, an object's type is named after the fields that lead to it.
  private static func checkPath(_ value: CELValue, _ path: String) throws(CELError) {
    switch value {
    case .object(let object):
      guard object.typeName == path else {
        throw CELError(
          "unexpected type name \"\(object.typeName)\", expected \"\(path)\", which matches field name path from root "
            + "Object type")
      }
      guard case .fields(let fields) = object.content else { return }
      for (name, inner) in fields { try checkPath(inner, "\(path).\(name)") }
    case .list(let list): for element in try list.elements() { try checkPath(element, path) }
    default: return
    }
  }
}

final class CallNode: Node, @unchecked Sendable {
  private let name: String
  private let args: [Node]
  private let body: CELFunction
  init(_ name: String, _ args: [Node], _ body: @escaping CELFunction) {
    self.name = name
    self.args = args
    self.body = body
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    var values: [CELValue] = []
    values.reserveCapacity(args.count)
    for arg in args { values.append(try arg.eval(f)) }
    let result = try body(values)
    try f.charge(RuntimeCost.call(name, values, result))
    return result
  }
}

/// `matches` and the like with a pattern known at planning: compiled once.
final class MatchNode: Node, @unchecked Sendable {
  private let text: Node
  private let pattern: RE2
  private let patternText: String
  init(_ text: Node, _ pattern: RE2, _ patternText: String) {
    self.text = text
    self.pattern = pattern
    self.patternText = patternText
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let value = try text.eval(f)
    guard case .string(let string) = value else { throw .noSuchOverload }
    let result = pattern.matches(string)
    try f.charge(RuntimeCost.call("matches", [value, .string(patternText)], .bool(result)))
    return .bool(result)
  }
}

/// `@not_strictly_false`: an error goes on, like true.
final class NotFalseNode: Node, @unchecked Sendable {
  private let operand: Node
  init(_ operand: Node) { self.operand = operand }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    do throws(CELError) {
      let value = try operand.eval(f)
      try f.charge(1)
      if case .bool(false) = value { return value }
      return .bool(true)
    } catch {
      if error.kind == .costLimit { throw error }
      try f.charge(1)
      return .bool(true)
    }
  }
}

/// `or` and `orValue` of optionals look at their argument only if they need it.
final class OrNode: Node, @unchecked Sendable {
  private let operand: Node
  private let other: Node
  private let unwraps: Bool
  init(_ operand: Node, _ other: Node, unwraps: Bool) {
    self.operand = operand
    self.other = other
    self.unwraps = unwraps
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    guard case .optional(let inner) = try operand.eval(f) else { throw .noSuchOverload }
    try f.charge(1)
    if let inner { return unwraps ? inner : .optional(inner) }
    return try other.eval(f)
  }
}
