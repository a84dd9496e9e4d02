public import APICore
import APIMachinery

extension NodeSelector {
  /// Whether any of its terms fits a node with these labels and name.
  public func matches(labels: [String: String], nodeName: String) -> Bool {
    nodeSelectorTerms.contains { $0.matches(labels: labels, nodeName: nodeName) }
  }
}

extension NodeSelectorTerm {
  /// Whether all of its requirements fit; a term without any fits no node.
  public func matches(labels: [String: String], nodeName: String) -> Bool {
    if matchExpressions.isEmpty && matchFields.isEmpty { return false }
    return matchExpressions.allSatisfy { $0.matches(labels[$0.key]) }
      && matchFields.allSatisfy { $0.matches($0.key == "metadata.name" ? nodeName : nil) }
  }
}

extension NodeSelectorRequirement {
  /// Whether a value, or its absence, fits.
  public func matches(_ value: String?) -> Bool {
    switch `operator` {
    case "In": return value.map(values.contains) ?? false
    case "NotIn": return value.map { !values.contains($0) } ?? true
    case "Exists": return value != nil
    case "DoesNotExist": return value == nil
    case "Gt", "Lt":
      guard let value, let actual = Int64(value), let bound = values.first.flatMap({ Int64($0) }) else { return false }
      return `operator` == "Gt" ? actual > bound : actual < bound
    default: return false
    }
  }
}
