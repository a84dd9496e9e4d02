import API

/// Matches node selectors against this node. Pure.
enum NodeMatching {
  /// Whether any of the terms matches.
  static func matches(_ selector: NodeSelector, labels: [String: String], name: String) -> Bool {
    selector.nodeSelectorTerms.contains { term in
      if term.matchExpressions.isEmpty, term.matchFields.isEmpty { return false }
      return term.matchExpressions.allSatisfy { matches($0, labels[$0.key]) }
        && term.matchFields.allSatisfy { $0.key == "metadata.name" && matches($0, name) }
    }
  }

  private static func matches(_ requirement: NodeSelectorRequirement, _ value: String?) -> Bool {
    switch requirement.operator {
    case "In": return value.map { requirement.values.contains($0) } ?? false
    case "NotIn": return value.map { !requirement.values.contains($0) } ?? true
    case "Exists": return value != nil
    case "DoesNotExist": return value == nil
    case "Gt", "Lt":
      guard let value = value.flatMap({ Int64($0) }), let bound = requirement.values.first.flatMap({ Int64($0) }) else {
        return false
      }
      return requirement.operator == "Gt" ? value > bound : value < bound
    default: return false
    }
  }
}
