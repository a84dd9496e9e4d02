import API
import APIMachinery

/// A DaemonSet's ControllerRevisions, sorted by whether they are of its present template: pure.
struct DaemonSetHistory: Sendable, Equatable {
  /// What to do about the present template's revision.
  var present: Revisions.Plan
  /// The revisions of other templates.
  var past: [ControllerRevision]
  /// Other revisions of the present template, to be deleted.
  var duplicates: [ControllerRevision] = []
  /// Pods that carry a duplicate's hash, with the one that is kept.
  var relabel: [Pod] = []

  static func plan(_ set: DaemonSet, _ existing: [ControllerRevision], pods: [Pod]) throws -> DaemonSetHistory {
    let matching = existing.filter { Revisions.template($0) == set.spec.template }
    let past = existing.filter { Revisions.template($0) != set.spec.template }
    let next = (past.map(\.revision).max() ?? 0) + 1
    guard var kept = matching.max(by: { ($0.revision, $0.metadata.name) < ($1.revision, $1.metadata.name) }) else {
      var revision = try Revisions.make(set.spec.template, for: set, collisions: set.status.collisionCount)
      revision.revision = next
      return DaemonSetHistory(
        present: .init(update: revision, isNew: true, isRenumbered: false), past: past)
    }
    let duplicates = matching.filter { $0.metadata.name != kept.metadata.name }
    var changed = false
    if kept.metadata.labels[Revisions.hashLabel] == nil {
      // Names are unique where hashes may not be.
      kept.metadata.labels[Revisions.hashLabel] = kept.metadata.name
      changed = true
    }
    if kept.revision < next {
      // Rolled back: the pods that are of it still need no restart.
      kept.revision = next
      changed = true
    }
    let stale = Set(duplicates.map(Revisions.hash))
    let relabel = pods.filter { stale.contains($0.metadata.labels[Revisions.hashLabel] ?? "") }
      .map { pod in
        var pod = pod
        pod.metadata.labels[Revisions.hashLabel] = Revisions.hash(kept)
        return pod
      }
    return DaemonSetHistory(
      present: .init(update: kept, isNew: false, isRenumbered: changed), past: past, duplicates: duplicates,
      relabel: relabel)
  }

  /// The oldest revisions beyond the limit; those that pods are of stay, and count.
  static func surplus(_ past: [ControllerRevision], pods: [Pod], limit: Int32?) -> [ControllerRevision] {
    let excess = past.count - Int(limit ?? 10)
    guard excess > 0 else { return [] }
    let inUse = Set(pods.compactMap { $0.metadata.labels[Revisions.hashLabel] })
    return Array(
      past.filter { !inUse.contains(Revisions.hash($0)) }.sorted { $0.revision < $1.revision }.prefix(excess))
  }
}
