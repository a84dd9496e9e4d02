/// What each operation counts for while an expression runs.
enum RuntimeCost {
  /// What a value's size counts as: characters, bytes, elements; one for anything else.
  static func size(_ value: CELValue) -> UInt64 {
    switch value {
    case .string(let v): UInt64(v.unicodeScalars.count)
    case .bytes(let v): UInt64(v.count)
    case .list(let v): UInt64(v.count)
    case .map(let v): UInt64(v.count)
    case .opaque(let v): (v as? any CELSized)?.size ?? 1
    default: 1
    }
  }

  static func scaled(_ size: UInt64, _ factor: Double = 0.1) -> UInt64 {
    let out = (Double(size) * factor).rounded(.up)
    return out >= 1.8e19 ? .max : UInt64(out)
  }

  static func binary(_ operation: BinaryNode.Operation, _ a: CELValue, _ b: CELValue) -> UInt64 {
    switch operation {
    case .add:
      switch a {
      case .string, .bytes: return scaled(size(a) + size(b))
      default: return 1
      }
    case .isIn:
      if case .list(let list) = b { return UInt64(list.count) }
      return 1
    case .equal, .unequal: return equality(a, b)
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      switch a {
      case .string, .bytes: return scaled(min(size(a), size(b)))
      default: return 1
      }
    default: return 1
    }
  }

  private static func equality(_ a: CELValue, _ b: CELValue) -> UInt64 {
    switch (a, b) {
    case (.list, .list), (.map, .map), (.string, .string), (.bytes, .bytes): scaled(min(size(a), size(b)))
    default: 1
    }
  }

  static func call(_ name: String, _ args: [CELValue], _ result: CELValue) -> UInt64 {
    func saturating(_ a: UInt64, _ b: UInt64) -> UInt64 {
      let (out, overflow) = a.multipliedReportingOverflow(by: b)
      return overflow ? .max : out
    }
    switch name {
    case "startsWith", "endsWith": return scaled(size(args[1]))
    case "string", "bytes", "quote", "strings.quote":
      switch args[0] {
      case .string where name == "bytes", .bytes where name == "string": return scaled(size(args[0]))
      default: return name.hasSuffix("quote") ? scaled(size(args[0])) : 1
      }
    case "contains":
      if case .string = args[0] { return saturating(scaled(size(args[0])), scaled(size(args[1]))) }
      return 1
    case "matches", "find", "findAll":
      return saturating(scaled(size(args[0]) + 1), scaled(size(args[1]), 0.25))
    case "url", "lowerAscii", "upperAscii", "substring", "trim", "reverse":
      if case .list = args[0] { return size(args[0]) }
      return scaled(size(args[0]))
    case "isURL", "isQuantity", "quantity", "isIP", "ip", "isCIDR", "cidr", "isSemver", "semver", "ip.isCanonical",
      "base64.decode", "base64.encode":
      return scaled(size(args[0]))
    case "replace", "split": return scaled(size(args[0]))
    case "join": return scaled(size(result))
    case "indexOf", "lastIndexOf":
      if case .string = args[0] { return saturating(scaled(size(args[0])), max(1, scaled(size(args[1])))) }
      return traversal(args[0])
    case "isSorted", "sum", "max", "min", "distinct", "flatten", "sort": return traversal(args[0])
    case "sets.contains", "sets.intersects": return saturating(size(args[0]), size(args[1]))
    case "sets.equivalent": return saturating(saturating(size(args[0]), size(args[1])), 2)
    case "check": return 350_000
    case "validate": return scaled(size(args.count > 1 ? args[1] : args[0]))
    case "format": return scaled(size(result))
    case "containsIP", "containsCIDR", "isGreaterThan", "isLessThan", "compareTo": return 1
    default: return 1
    }
  }

  private static func traversal(_ value: CELValue) -> UInt64 {
    guard case .list(let list) = value, list.count > 0 else { return 1 }
    var total: UInt64 = 0
    for i in 0..<list.count {
      switch (try? list.element(i)) ?? .null {
      case .string(let text): total += max(1, scaled(UInt64(text.utf8.count)))
      default: total += 1
      }
    }
    return total
  }
}

/// Values of libraries whose size is not one.
protocol CELSized { var size: UInt64 { get } }
