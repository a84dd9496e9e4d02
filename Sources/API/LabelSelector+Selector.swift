public import APIMachinery
public import APIMeta

/// A label selector that says something no selector can.
public struct LabelSelectorError: Error, Hashable, CustomStringConvertible {
  /// The operator that is none.
  public var unknownOperator: String

  /// What is wrong.
  public var description: String { "\(goQuoted(unknownOperator)) is not a valid label selector operator" }
}

extension LabelSelector {
  /// The selector to match with. An empty label selector selects everything.
  public func selector() throws -> Labels.Selector {
    if matchLabels.isEmpty && matchExpressions.isEmpty { return .everything }
    var requirements: [Labels.Requirement] = []
    for (key, value) in matchLabels.sorted(by: { $0.key < $1.key }) {
      requirements.append(try Labels.Requirement(key: key, op: .equals, values: [value]))
    }
    for expression in matchExpressions {
      let op: Labels.Operator
      switch expression.`operator` {
      case "In": op = .in
      case "NotIn": op = .notIn
      case "Exists": op = .exists
      case "DoesNotExist": op = .doesNotExist
      default: throw LabelSelectorError(unknownOperator: expression.`operator`)
      }
      requirements.append(try Labels.Requirement(key: expression.key, op: op, values: expression.values))
    }
    return Labels.Selector(requirements)
  }

  /// A selector for exactly these labels.
  public init(matchLabels: [String: String]) {
    self.init()
    self.matchLabels = matchLabels
  }
}

extension Optional<LabelSelector> {
  /// The selector to match with. No label selector selects nothing.
  public func selector() throws -> Labels.Selector { try self?.selector() ?? .nothing }
}
