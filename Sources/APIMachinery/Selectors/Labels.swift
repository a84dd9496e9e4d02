/// Label selectors, as queries and specs write them.
public enum Labels {
  /// How a requirement looks at a label.
  public enum Operator: String, Sendable {
    case doesNotExist = "!"
    case equals = "="
    case doubleEquals = "=="
    case `in` = "in"
    case notEquals = "!="
    case notIn = "notin"
    case exists = "exists"
    case greaterThan = "gt"
    case lessThan = "lt"
  }

  /// A condition on one label.
  public struct Requirement: Sendable, Hashable, CustomStringConvertible {
    public let key: String
    public let op: Operator
    /// Sorted.
    public let values: [String]

    /// A requirement, checked as upstream checks it.
    public init(key: String, op: Operator, values: [String] = []) throws(SelectorError) {
      func wrong(_ field: String, _ value: String?, _ detail: String) -> SelectorError {
        SelectorError("\(field): Invalid value\(value.map { ": " + $0 } ?? ""): \(detail)")
      }
      let keyFaults = Names.isQualifiedName(key)
      if !keyFaults.isEmpty { throw wrong("key", goQuoted(key), keyFaults.joined(separator: "; ")) }
      let list = values.fieldErrorText
      switch op {
      case .in, .notIn:
        if values.isEmpty { throw wrong("values", list, "for 'in', 'notin' operators, values set can't be empty") }
      case .equals, .doubleEquals, .notEquals:
        if values.count != 1 { throw wrong("values", list, "exact-match compatibility requires one single value") }
      case .exists, .doesNotExist:
        if !values.isEmpty {
          throw wrong("values", list, "values set must be empty for exists and does not exist")
        }
      case .greaterThan, .lessThan:
        if values.count != 1 {
          throw wrong("values", list, "for 'Gt', 'Lt' operators, exactly one value is required")
        }
        if Int64(values[0]) == nil {
          throw wrong("values[0]", goQuoted(values[0]), "for 'Gt', 'Lt' operators, the value must be an integer")
        }
      }
      for (i, value) in values.enumerated() {
        let faults = Names.isLabelValue(value)
        if !faults.isEmpty { throw wrong("values[\(i)][\(key)]", goQuoted(value), faults.joined(separator: "; ")) }
      }
      self.key = key
      self.op = op
      self.values = values.sortedByBytes()
    }

    /// Whether the labels meet the condition.
    public func matches(_ labels: [String: String]) -> Bool {
      switch op {
      case .in, .equals, .doubleEquals:
        guard let value = labels[key] else { return false }
        return values.contains(value)
      case .notIn, .notEquals:
        guard let value = labels[key] else { return true }
        return !values.contains(value)
      case .exists: return labels[key] != nil
      case .doesNotExist: return labels[key] == nil
      case .greaterThan, .lessThan:
        guard let text = labels[key], let value = Int64(text), let bound = values.first.flatMap({ Int64($0) }) else {
          return false
        }
        return op == .greaterThan ? value > bound : value < bound
      }
    }

    public var description: String {
      switch op {
      case .doesNotExist: "!" + key
      case .exists: key
      case .in, .notIn: "\(key) \(op.rawValue) (\(values.joined(separator: ",")))"
      case .equals, .doubleEquals, .notEquals: key + op.rawValue + (values.first ?? "")
      case .greaterThan: key + ">" + (values.first ?? "")
      case .lessThan: key + "<" + (values.first ?? "")
      }
    }
  }

  /// Requirements that must all hold.
  public struct Selector: Sendable, Hashable, CustomStringConvertible {
    public let requirements: [Requirement]
    private let never: Bool

    /// A selector of some requirements; none selects everything.
    public init(_ requirements: [Requirement]) {
      self.init(requirements: requirements, never: false)
    }

    private init(requirements: [Requirement], never: Bool) {
      self.requirements = requirements.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      self.never = never
    }

    /// A selector of exact values.
    public init(matchLabels: [String: String]) throws(SelectorError) {
      var requirements: [Requirement] = []
      for (key, value) in matchLabels { requirements.append(try Requirement(key: key, op: .equals, values: [value])) }
      self.init(requirements)
    }

    /// Selects everything.
    public static let everything = Selector(requirements: [], never: false)
    /// Selects nothing.
    public static let nothing = Selector(requirements: [], never: true)

    /// Whether it selects everything.
    public var isEmpty: Bool { requirements.isEmpty && !never }
    /// Whether it can select nothing.
    public var isNothing: Bool { never }

    /// Whether an object with these labels is selected.
    public func matches(_ labels: [String: String]) -> Bool {
      if never { return false }
      for requirement in requirements where !requirement.matches(labels) { return false }
      return true
    }

    /// The value that this selector asks `key` to have exactly, for indexes.
    public func exactValue(of key: String) -> String? {
      for r in requirements where r.key == key {
        switch r.op {
        case .equals, .doubleEquals: return r.values.first
        case .in: if r.values.count == 1 { return r.values.first }
        default: break
        }
      }
      return nil
    }

    /// With more requirements.
    public func adding(_ more: [Requirement]) -> Selector {
      Selector(requirements: requirements + more, never: never)
    }

    public var description: String { requirements.map(\.description).joined(separator: ",") }

    /// Parses "a=b,c in (d,e),!f".
    public static func parse(_ text: String) throws(SelectorError) -> Selector {
      var parser = LabelParser(text)
      return Selector(try parser.requirements())
    }
  }
}

/// Why a selector cannot be parsed.
public struct SelectorError: Error, Sendable, Hashable, CustomStringConvertible {
  public var message: String
  init(_ message: String) { self.message = message }
  public var description: String { message }
}
