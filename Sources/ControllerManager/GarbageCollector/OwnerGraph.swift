import API
import APIMachinery

/// Who owns whom, as far as the informers have told; pure.
///
/// An owner that is only known because a dependent names it is *virtual* until an informer shows it; a virtual
/// node is looked up, so that dependents of an owner that never existed are found too.
struct OwnerGraph: Sendable {
  /// An object's identity.
  struct Identity: Sendable, Hashable {
    var apiVersion: String
    var kind: String
    var namespace: String
    var name: String
    var uid: String
  }

  struct Node: Sendable {
    var identity: Identity
    var owners: [OwnerReference]
    var dependents: Set<String> = []
    var isVirtual = false
    var isBeingDeleted = false
    /// Deleted with its dependents first.
    var isDeletingDependents = false
    /// Deleted with its dependents left alone.
    var isOrphaning = false
  }

  /// What must be looked at after a change.
  enum Work: Sendable, Hashable {
    case delete(uid: String)
    case orphan(uid: String)
  }

  private(set) var nodes: [String: Node] = [:]

  static let foreground = "foregroundDeletion"
  static let orphan = "orphan"

  /// An object was added or changed.
  mutating func observe(_ metadata: ObjectMeta, apiVersion: String, kind: String) -> [Work] {
    let uid = metadata.uid
    let identity = Identity(
      apiVersion: apiVersion, kind: kind, namespace: metadata.namespace, name: metadata.name, uid: uid)
    let deleted = metadata.deletionTimestamp != nil
    let deletesDependents = deleted && metadata.finalizers.contains(Self.foreground)
    let orphans = deleted && metadata.finalizers.contains(Self.orphan)
    var work: [Work] = []
    let before = nodes[uid]
    var node = before ?? Node(identity: identity, owners: [])
    node.identity = identity
    node.isVirtual = false
    node.isBeingDeleted = deleted
    node.isDeletingDependents = deletesDependents
    node.isOrphaning = orphans
    let oldOwners = before?.owners ?? []
    node.owners = metadata.ownerReferences
    nodes[uid] = node

    if oldOwners != metadata.ownerReferences {
      work += link(uid, identity, from: oldOwners, to: metadata.ownerReferences)
      // An owner that waits for this object may have waited for nothing.
      for owner in oldOwners + metadata.ownerReferences where nodes[owner.uid]?.isDeletingDependents == true {
        work.append(.delete(uid: owner.uid))
      }
      // An owner may have gone while the reference was on its way.
      if before != nil, !before!.isVirtual { work.append(.delete(uid: uid)) }
    }
    if orphans, before?.isOrphaning != true { work.append(.orphan(uid: uid)) }
    if deletesDependents, before?.isDeletingDependents != true {
      work += nodes[uid]!.dependents.map { .delete(uid: $0) }
      work.append(.delete(uid: uid))
    }
    return work
  }

  /// An object went away, or was found never to have been there.
  mutating func forget(uid: String) -> [Work] {
    guard let node = nodes[uid] else { return [] }
    var work: [Work] = []
    for owner in node.owners {
      guard nodes[owner.uid] != nil else { continue }
      nodes[owner.uid]!.dependents.remove(uid)
      if nodes[owner.uid]!.isDeletingDependents { work.append(.delete(uid: owner.uid)) }
      dropIfUnused(owner.uid)
    }
    nodes[uid] = nil
    work += node.dependents.map { .delete(uid: $0) }
    if !node.dependents.isEmpty {
      // Dependents still name it; it stays as a virtual owner without which they could not be found again.
      var ghost = Node(identity: node.identity, owners: [], dependents: node.dependents)
      ghost.isVirtual = true
      nodes[uid] = ghost
    }
    return work
  }

  private mutating func link(
    _ uid: String, _ identity: Identity, from old: [OwnerReference], to new: [OwnerReference]
  ) -> [Work] {
    var work: [Work] = []
    let kept = Set(new.map(\.uid))
    for owner in old where !kept.contains(owner.uid) {
      nodes[owner.uid]?.dependents.remove(uid)
      dropIfUnused(owner.uid)
    }
    for owner in new {
      if nodes[owner.uid] == nil {
        var node = Node(
          identity: Identity(
            apiVersion: owner.apiVersion, kind: owner.kind, namespace: identity.namespace, name: owner.name,
            uid: owner.uid), owners: [])
        node.isVirtual = true
        nodes[owner.uid] = node
        work.append(.delete(uid: owner.uid))
      }
      nodes[owner.uid]!.dependents.insert(uid)
    }
    return work
  }

  private mutating func dropIfUnused(_ uid: String) {
    if let node = nodes[uid], node.isVirtual, node.dependents.isEmpty { nodes[uid] = nil }
  }

  /// The dependents that keep an owner, deleted in the foreground, from going.
  func blocking(_ uid: String) -> [Node] {
    (nodes[uid]?.dependents ?? []).compactMap { nodes[$0] }.filter { dependent in
      dependent.owners.contains { $0.uid == uid && $0.blockOwnerDeletion == true }
    }
  }
}

/// What is to become of an object whose owners were looked up: pure.
enum CollectionDecision: Equatable {
  /// An owner lives; references to those that do not are removed.
  case keep(removeReferences: [String])
  /// Nothing holds it.
  case delete(policy: String, unblock: Bool)

  enum OwnerState: Equatable {
    /// It is there.
    case solid
    /// It is gone.
    case absent
    /// It waits for its dependents to go.
    case waiting
  }

  /// Decides for an object by the state of each owner's UID. `hasDeletingDependents` means that a dependent of it
  /// is itself waiting for dependents, which might be this one.
  static func decide(
    _ metadata: ObjectMeta, owners: [String: OwnerState], hasDependents: Bool, hasDeletingDependents: Bool
  ) -> CollectionDecision {
    let states = metadata.ownerReferences.map { ($0.uid, owners[$0.uid] ?? .solid) }
    if states.isEmpty || states.contains(where: { $0.1 == .solid }) {
      return .keep(removeReferences: states.filter { $0.1 != .solid }.map(\.0))
    }
    if states.contains(where: { $0.1 == .waiting }), hasDependents {
      return .delete(policy: "Foreground", unblock: hasDeletingDependents)
    }
    if metadata.finalizers.contains(OwnerGraph.orphan) { return .delete(policy: "Orphan", unblock: false) }
    if metadata.finalizers.contains(OwnerGraph.foreground) { return .delete(policy: "Foreground", unblock: false) }
    return .delete(policy: "Background", unblock: false)
  }
}
