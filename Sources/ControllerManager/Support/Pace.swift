import API
import Client

extension WorkQueue {
  /// Queues an owner of `size` pods of which one has changed. To look at a large set once for each of its pods would
  /// cost the square of its size: what only moves its counts is looked at together with what comes soon after.
  func add(_ owner: Item, size: Int, urgent: Bool) {
    if urgent || size < 250 { return add(owner) }
    add(owner, after: .milliseconds(min(500, size / 10)))
  }
}

/// What of a pod its owner looks at.
enum OwnersView {
  /// Whether an update of a pod can change anything for the set that it belongs to.
  static func differs(_ old: Pod, _ new: Pod) -> Bool {
    if old.status.phase != new.status.phase || old.metadata.labels != new.metadata.labels { return true }
    if old.metadata.deletionTimestamp != new.metadata.deletionTimestamp { return true }
    if old.metadata.ownerReferences != new.metadata.ownerReferences { return true }
    let before = old.status.conditions.condition("Ready")
    let after = new.status.conditions.condition("Ready")
    return before?.status != after?.status || before?.lastTransitionTime != after?.lastTransitionTime
  }
}
