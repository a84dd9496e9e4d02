import API
import APIMachinery

/// What a pass over a dying namespace's content found, and how its conditions tell it.
struct NamespaceFindings: Sendable, Equatable {
  /// Group versions that could not be asked.
  var discoveryFailures: [String] = []
  /// Deletions that failed.
  var deletionFailures: [String] = []
  /// How many objects of which resource are still there ("pods." , "deployments.apps").
  var remaining: [String: Int] = [:]
  /// How many objects each finalizer holds.
  var finalizers: [String: Int] = [:]

  var isEmpty: Bool {
    discoveryFailures.isEmpty && deletionFailures.isEmpty && remaining.isEmpty && finalizers.isEmpty
  }

  /// The namespace's conditions after this pass.
  func conditions(from old: [NamespaceCondition], now: Time) -> [NamespaceCondition] {
    var conditions = old
    set(
      &conditions, "NamespaceDeletionDiscoveryFailure", now,
      bad: discoveryFailures.isEmpty
        ? nil : ("DiscoveryFailed", "Discovery failed for some groups, \(discoveryFailures.joined(separator: ", "))"),
      good: ("ResourcesDiscovered", "All resources successfully discovered"))
    set(
      &conditions, "NamespaceDeletionGroupVersionParsingFailure", now, bad: nil,
      good: ("ParsedGroupVersions", "All legacy kube types successfully parsed"))
    set(
      &conditions, "NamespaceDeletionContentFailure", now,
      bad: deletionFailures.isEmpty
        ? nil
        : (
          "ContentDeletionFailed",
          "Failed to delete all resource types, \(deletionFailures.count) remaining: "
            + deletionFailures.sorted().joined(separator: ", ")
        ), good: ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"))
    let left = remaining.sorted { $0.key < $1.key }.map { "\($0.key) has \($0.value) resource instances" }
    set(
      &conditions, "NamespaceContentRemaining", now,
      bad: left.isEmpty
        ? nil : ("SomeResourcesRemain", "Some resources are remaining: \(left.joined(separator: ", "))"),
      good: ("ContentRemoved", "All content successfully removed"))
    let held = finalizers.sorted { $0.key < $1.key }.map { "\($0.key) in \($0.value) resource instances" }
    set(
      &conditions, "NamespaceFinalizersRemaining", now,
      bad: held.isEmpty
        ? nil
        : (
          "SomeFinalizersRemain",
          "Some content in the namespace has finalizers remaining: \(held.joined(separator: ", "))"
        ), good: ("ContentHasNoFinalizers", "All content-preserving finalizers finished"))
    return conditions
  }

  private func set(
    _ conditions: inout [NamespaceCondition], _ type: String, _ now: Time, bad: (String, String)?,
    good: (String, String)
  ) {
    let (reason, message) = bad ?? good
    conditions.set(
      NamespaceCondition {
        $0.type = type
        $0.status = bad == nil ? "False" : "True"
        $0.reason = reason
        $0.message = message
      }, now: now)
  }
}
