/// A range of what something may cost.
public struct CostEstimate: Sendable, Hashable {
  public var min: UInt64
  public var max: UInt64

  public init(min: UInt64, max: UInt64) {
    self.min = min
    self.max = max
  }

  static let zero = CostEstimate(min: 0, max: 0)
  static let one = CostEstimate(min: 1, max: 1)

  static func + (a: CostEstimate, b: CostEstimate) -> CostEstimate {
    CostEstimate(min: sum(a.min, b.min), max: sum(a.max, b.max))
  }

  static func * (a: CostEstimate, b: CostEstimate) -> CostEstimate {
    CostEstimate(min: product(a.min, b.min), max: product(a.max, b.max))
  }

  func scaled(_ factor: Double) -> CostEstimate {
    CostEstimate(min: RuntimeCost.scaled(min, factor), max: RuntimeCost.scaled(max, factor))
  }

  func union(_ other: CostEstimate) -> CostEstimate {
    CostEstimate(min: Swift.min(min, other.min), max: Swift.max(max, other.max))
  }

  private static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let (out, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : out
  }

  private static func product(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let (out, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? .max : out
  }
}

/// Estimates a checked tree, from the bounds that schemas give to sizes.
struct CostEstimator {
  /// What is known of a node's value: the range of its size, and its schema.
  private struct Known {
    var size: CostEstimate?
    var schema: CELSchemaType?
    /// Of the elements, where a literal or a macro made them.
    var element: CostEstimate?
  }
  private let environment: CELEnvironment
  private let checked: Checked
  private var known: [Int: Known] = [:]
  private var scopes: [[String: Known]] = []

  init(_ environment: CELEnvironment, _ checked: Checked) {
    self.environment = environment
    self.checked = checked
  }

  private func type(_ e: Expr) -> CELType { checked.types[e.id] ?? .dyn }

  private static func known(_ schema: CELSchemaType?) -> Known {
    Known(size: schema?.maxSize.map { CostEstimate(min: 0, max: $0) }, schema: schema)
  }

  /// The size of a value: one for scalars, anything where nothing is known.
  private func size(_ e: Expr) -> CostEstimate {
    if let size = known[e.id]?.size { return size }
    switch type(e) {
    case .bool, .int, .uint, .double, .timestamp, .duration, .null, .type: return .one
    default: return CostEstimate(min: 0, max: .max)
    }
  }

  mutating func cost(_ e: Expr) -> CostEstimate {
    switch e.kind {
    case .literal(let value):
      known[e.id] = Known(size: CostEstimate(min: RuntimeCost.size(value), max: RuntimeCost.size(value)))
      return .zero
    case .ident(let name):
      if let local = scopes.last(where: { $0[name] != nil })?[name] {
        known[e.id] = local
      } else if let schema = environment.sizes[name] {
        known[e.id] = Self.known(schema)
      }
      return .one
    case .select(let operand, let field, let testOnly):
      var total = cost(operand)
      if testOnly { return total }
      switch type(operand) {
      case .map, .object, .param: total = total + .one
      default: break
      }
      let schema = known[operand.id]?.schema
      known[e.id] = Self.known(schema?.field(field)?.type ?? (schema?.kind == .map ? schema?.element : nil))
      return total
    case .call(let name, let target, let args): return call(e, name, target, args)
    case .list(let elements, _):
      var total = CostEstimate.zero
      var element: CostEstimate?
      for item in elements {
        total = total + cost(item)
        element = element.map { $0.union(size(item)) } ?? size(item)
      }
      let count = UInt64(elements.count)
      known[e.id] = Known(size: CostEstimate(min: count, max: count), element: element)
      return total + CostEstimate(min: 10, max: 10)
    case .map(let entries):
      var total = CostEstimate.zero
      for entry in entries {
        if let key = entry.key { total = total + cost(key) }
        total = total + cost(entry.value)
      }
      let count = UInt64(entries.count)
      known[e.id] = Known(size: CostEstimate(min: count, max: count))
      return total + CostEstimate(min: 30, max: 30)
    case .message(_, let entries):
      return entries.reduce(CostEstimate(min: 40, max: 40)) { $0 + cost($1.value) }
    case .comprehension(let c): return comprehension(e, c)
    }
  }

  private mutating func comprehension(_ e: Expr, _ c: Expr.Comprehension) -> CostEstimate {
    var total = cost(c.range) + cost(c.initial)
    let range = known[c.range.id]
    var element = Self.known(range?.schema?.element)
    if element.size == nil { element.size = range?.element }
    var variables: [String: Known] = [:]
    let isMap = if case .map = type(c.range) { true } else { false }
    if let second = c.variable2 {
      variables[c.variable] = isMap ? Known(size: CostEstimate(min: 0, max: 3_145_726)) : Known(size: .one)
      variables[second] = element
    } else {
      variables[c.variable] = isMap ? Known(size: CostEstimate(min: 0, max: 3_145_726)) : element
    }
    let count = size(c.range)
    scopes.append([c.accumulator: known[c.initial.id] ?? Known()])
    scopes.append(variables)
    let condition = cost(c.condition)
    let step = cost(c.step)
    scopes.removeLast()
    total = total + count * (condition + step)
    total = total + cost(c.result)
    scopes.removeLast()
    switch type(e) {
    case .list, .map:
      // At most one element for each of the range.
      known[e.id] = Known(size: CostEstimate(min: 0, max: count.max))
    case .bool, .int: known[e.id] = Known(size: .one)
    default: if case .ident = c.step.kind { known[e.id] = known[c.result.id] }
    }
    return total
  }

  private mutating func call(_ e: Expr, _ name: String, _ target: Expr?, _ args: [Expr]) -> CostEstimate {
    var operands: [Expr] = []
    var name = name
    if case .function(let full)? = checked.references[e.id] {
      name = full
    } else if let target {
      operands.append(target)
    }
    operands += args
    var costs: [CostEstimate] = []
    for operand in operands { costs.append(cost(operand)) }
    let sum = costs.reduce(.zero, +)
    switch name {
    case "_&&_", "_||_": return CostEstimate(min: costs[0].min, max: sum.max)
    case "_?_:_":
      let (yes, no) = (known[operands[1].id] ?? Known(), known[operands[2].id] ?? Known())
      known[e.id] = Known(size: size(operands[1]).union(size(operands[2])), schema: yes.schema ?? no.schema)
      return costs[0] + costs[1].union(costs[2])
    case "_[_]", "_[?_]":
      known[e.id] = Self.known(known[operands[0].id]?.schema?.element)
      return sum + .one
    case "_?._":
      if case .literal(.string(let field)) = args[1].kind, let schema = known[operands[0].id]?.schema {
        known[e.id] = Self.known(schema.field(field)?.type ?? schema.element)
      }
      return sum + .one
    default: return sum + own(e, name, operands)
    }
  }

  /// The call itself, with what is known of its result.
  private mutating func own(_ e: Expr, _ name: String, _ args: [Expr]) -> CostEstimate {
    let sizes = args.map(size)
    func result(_ size: CostEstimate) { known[e.id] = Known(size: size) }
    switch name {
    case "_+_":
      switch type(e) {
      case .string, .bytes:
        result(sizes[0] + sizes[1])
        return (sizes[0] + sizes[1]).scaled(0.1)
      case .list:
        result(sizes[0] + sizes[1])
        return .one
      default: return .one
      }
    case "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_":
      let most = min(sizes[0].max, sizes[1].max)
      return CostEstimate(min: most > 0 ? 1 : 0, max: most).scaled(0.1)
    case "@in": if case .list = type(args[1]) { return sizes[1] } else { return .one }
    case "contains": return sizes[0].scaled(0.1) * sizes[1].scaled(0.1)
    case "startsWith", "endsWith": return sizes[1].scaled(0.1)
    case "matches", "find", "findAll":
      if name != "matches" { result(sizes[0]) }
      return (sizes[0] + .one).scaled(0.1) * sizes[1].scaled(0.25)
    case "string", "bytes":
      switch type(args[0]) {
      case .string, .bytes, .dyn:
        result(sizes[0])
        return sizes[0].scaled(0.1)
      default:
        result(CostEstimate(min: 1, max: 32))
        return .one
      }
    case "url", "lowerAscii", "upperAscii", "substring", "trim", "isURL", "quantity", "isQuantity", "ip", "isIP",
      "cidr", "isCIDR", "semver", "isSemver", "base64.encode", "base64.decode", "strings.quote":
      result(CostEstimate(min: 0, max: sizes[0].max))
      return sizes[0].scaled(0.1)
    case "replace":
      let growth = args.count > 2 ? sizes[2].max : 1
      let (most, overflow) = sizes[0].max.multipliedReportingOverflow(by: max(1, growth))
      result(CostEstimate(min: 0, max: overflow ? .max : most))
      return sizes[0].scaled(0.1)
    case "split":
      result(CostEstimate(min: 0, max: sizes[0].max))
      return sizes[0].scaled(0.1)
    case "join":
      let element = known[args[0].id]?.element?.max ?? known[args[0].id]?.schema?.element?.maxSize ?? .max
      var size = CostEstimate(min: 0, max: sizes[0].max) * CostEstimate(min: 0, max: element)
      if args.count > 1 { size = size + sizes[0] * CostEstimate(min: 0, max: sizes[1].max) }
      result(size)
      return size.scaled(0.1)
    case "reverse", "isSorted", "sum", "max", "min", "distinct", "flatten", "sort", "indexOf", "lastIndexOf":
      if case .list = type(args[0]) {
        var each = CostEstimate.one
        let element = known[args[0].id]?.schema?.element
        if element?.celType == .string || element?.celType == .bytes, let most = element?.maxSize {
          each = CostEstimate(min: 0, max: most).scaled(0.1)
        }
        if name == "reverse" || name == "distinct" || name == "sort" { known[e.id] = known[args[0].id] }
        return sizes[0] * each
      }
      return name == "reverse" ? sizes[0].scaled(0.1) : sizes[0].scaled(0.1) * sizes[1].scaled(0.1)
    case "sets.contains", "sets.intersects": return sizes[0] * sizes[1]
    case "sets.equivalent": return sizes[0] * sizes[1] * CostEstimate(min: 2, max: 2)
    case "check": return CostEstimate(min: 350_000, max: 350_000)
    case "format": return sizes[0].scaled(0.1)
    case "validate": return (sizes.last ?? .one).scaled(0.1)
    case "value", "orValue", "optional.of", "optional.ofNonZeroValue", "dyn":
      known[e.id] = args.first.flatMap { known[$0.id] }
      return .one
    default: return .one
    }
  }
}
