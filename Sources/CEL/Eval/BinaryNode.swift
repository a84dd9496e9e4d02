/// The operators of two operands.
final class BinaryNode: Node, @unchecked Sendable {
  enum Operation: String {
    case add = "_+_"
    case subtract = "_-_"
    case multiply = "_*_"
    case divide = "_/_"
    case modulo = "_%_"
    case equal = "_==_"
    case unequal = "_!=_"
    case less = "_<_"
    case lessOrEqual = "_<=_"
    case greater = "_>_"
    case greaterOrEqual = "_>=_"
    case isIn = "@in"
  }
  private let operation: Operation
  private let left: Node
  private let right: Node
  init(_ operation: Operation, _ left: Node, _ right: Node) {
    self.operation = operation
    self.left = left
    self.right = right
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let a = try left.eval(f)
    let b = try right.eval(f)
    let result = try apply(a, b)
    try f.charge(RuntimeCost.binary(operation, a, b))
    return result
  }

  private func apply(_ a: CELValue, _ b: CELValue) throws(CELError) -> CELValue {
    switch operation {
    case .equal: return .bool(try a.isEqual(to: b))
    case .unequal: return .bool(try !a.isEqual(to: b))
    case .less: return .bool(try a.order(b).map { $0 < 0 } ?? false)
    case .lessOrEqual: return .bool(try a.order(b).map { $0 <= 0 } ?? false)
    case .greater: return .bool(try a.order(b).map { $0 > 0 } ?? false)
    case .greaterOrEqual: return .bool(try a.order(b).map { $0 >= 0 } ?? false)
    case .isIn:
      switch b {
      case .list(let list): return .bool(try list.contains(a))
      case .map(let map): return .bool(map.contains(a))
      case .object(let object):
        if case .string(let name) = a { return .bool(object.has(name)) }
        return .bool(false)
      default: throw .noSuchOverload
      }
    case .add: return try Self.add(a, b)
    case .subtract: return try Self.subtract(a, b)
    default: return try arithmetic(a, b)
    }
  }

  static func add(_ a: CELValue, _ b: CELValue) throws(CELError) -> CELValue {
    switch (a, b) {
    case (.int(let a), .int(let b)):
      let (sum, overflow) = a.addingReportingOverflow(b)
      if overflow { throw .intOverflow }
      return .int(sum)
    case (.uint(let a), .uint(let b)):
      let (sum, overflow) = a.addingReportingOverflow(b)
      if overflow { throw .uintOverflow }
      return .uint(sum)
    case (.double(let a), .double(let b)): return .double(a + b)
    case (.string(let a), .string(let b)): return .string(a + b)
    case (.bytes(let a), .bytes(let b)): return .bytes(a + b)
    case (.list(let a), .list(let b)): return .list(try a.adding(b))
    case (.duration(let a), .duration(let b)):
      let (sum, overflow) = a.addingReportingOverflow(b)
      if overflow { throw .durationOverflow }
      return .duration(sum)
    case (.timestamp(let a), .duration(let b)), (.duration(let b), .timestamp(let a)):
      return .timestamp(try a.adding(nanoseconds: b))
    default: throw .noSuchOverload
    }
  }

  private static func subtract(_ a: CELValue, _ b: CELValue) throws(CELError) -> CELValue {
    switch (a, b) {
    case (.int(let a), .int(let b)):
      let (out, overflow) = a.subtractingReportingOverflow(b)
      if overflow { throw .intOverflow }
      return .int(out)
    case (.uint(let a), .uint(let b)):
      let (out, overflow) = a.subtractingReportingOverflow(b)
      if overflow { throw .uintOverflow }
      return .uint(out)
    case (.double(let a), .double(let b)): return .double(a - b)
    case (.duration(let a), .duration(let b)):
      let (out, overflow) = a.subtractingReportingOverflow(b)
      if overflow { throw .durationOverflow }
      return .duration(out)
    case (.timestamp(let a), .duration(let b)):
      if b == .min { throw .timestampOverflow }
      return .timestamp(try a.adding(nanoseconds: -b))
    case (.timestamp(let a), .timestamp(let b)): return .duration(try a.nanoseconds(since: b))
    default: throw .noSuchOverload
    }
  }

  private func arithmetic(_ a: CELValue, _ b: CELValue) throws(CELError) -> CELValue {
    switch (a, b) {
    case (.int(let a), .int(let b)):
      guard let out = try integer(a, b) else { throw .intOverflow }
      return .int(out)
    case (.uint(let a), .uint(let b)):
      guard let out = try integer(a, b) else { throw .uintOverflow }
      return .uint(out)
    case (.double(let a), .double(let b)):
      switch operation {
      case .multiply: return .double(a * b)
      case .divide: return .double(a / b)
      default: throw .noSuchOverload
      }
    default: throw .noSuchOverload
    }
  }

  /// Product, quotient or remainder; nil when the type cannot hold it.
  private func integer<T: FixedWidthInteger>(_ a: T, _ b: T) throws(CELError) -> T? {
    if b == 0, operation == .divide { throw .divisionByZero }
    if b == 0, operation == .modulo { throw .modulusByZero }
    let (out, overflow) =
      switch operation {
      case .multiply: a.multipliedReportingOverflow(by: b)
      case .divide: a.dividedReportingOverflow(by: b)
      default: a.remainderReportingOverflow(dividingBy: b)
      }
    return overflow ? nil : out
  }
}
