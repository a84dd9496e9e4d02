import API

/// Whom a StatefulSet's claims belong to, so that they go with it or with the pods that it gives up: pure.
struct ClaimRetention: Sendable {
  private let set: StatefulSet
  private let goesWithSet: Bool
  private let goesWithPod: Bool

  init(_ set: StatefulSet) {
    self.set = set
    let policy = set.spec.persistentVolumeClaimRetentionPolicy
    goesWithSet = policy?.whenDeleted == "Delete"
    goesWithPod = policy?.whenScaled == "Delete"
  }

  /// The claim with the owners it should have; nil when it has them, or somebody else's are not to be touched.
  func corrected(_ claim: PersistentVolumeClaim, pod: Pod) -> PersistentVolumeClaim? {
    let references = claim.metadata.ownerReferences
    // Owners that somebody wrote by hand are left as they are.
    if references.contains(where: { isUs($0, pod) && $0.controller != true }) { return nil }
    let isForeign = hasForeignController(references, pod)
    var wanted = references.filter { !names($0, set) && !names($0, pod) }
    if isForeign {
      guard references.contains(where: { isUs($0, pod) }) else { return nil }
    } else if isCorrect(references, pod) {
      return nil
    } else if goesWithPod, isScaledAway(pod) {
      wanted.append(owner(pod))
    } else if goesWithSet {
      wanted.append(owner(set))
    }
    guard wanted != references else { return nil }
    var changed = claim
    changed.metadata.ownerReferences = wanted
    return changed
  }

  /// Whether a claim is on its way out with an earlier pod of this name: a new pod waits until it is gone.
  func isStale(_ claim: PersistentVolumeClaim, pod name: String, uid: String) -> Bool {
    guard goesWithPod else { return false }
    return claim.metadata.deletionTimestamp != nil
      || claim.metadata.ownerReferences.contains {
        $0.apiVersion == Pod.apiVersion && $0.kind == Pod.kind && $0.name == name && $0.uid != uid
      }
  }

  private func isCorrect(_ references: [OwnerReference], _ pod: Pod) -> Bool {
    let ofSet = references.contains { $0.uid == set.metadata.uid }
    let ofPod = references.contains { $0.uid == pod.metadata.uid }
    let away = goesWithPod && isScaledAway(pod)
    return ofPod == away && ofSet == (goesWithSet && !away)
  }

  private func isScaledAway(_ pod: Pod) -> Bool {
    guard let ordinal = StatefulSetPod.ordinal(pod, of: set) else { return false }
    return !StatefulSetPod.ordinals(set).contains(ordinal)
  }

  private func isUs(_ reference: OwnerReference, _ pod: Pod) -> Bool {
    reference.uid == set.metadata.uid || reference.uid == pod.metadata.uid
  }

  private func names<Owner: APIObject>(_ reference: OwnerReference, _ owner: Owner) -> Bool {
    reference.apiVersion == Owner.apiVersion && reference.kind == Owner.kind && reference.name == owner.metadata.name
  }

  /// A controller that is neither the set nor the pod, be it an earlier one of the same name. Who keeps all claims
  /// does not mind.
  private func hasForeignController(_ references: [OwnerReference], _ pod: Pod) -> Bool {
    guard goesWithSet || goesWithPod else { return false }
    return references.contains { reference in
      if names(reference, set) { return reference.uid != set.metadata.uid }
      if names(reference, pod) { return reference.uid != pod.metadata.uid }
      return reference.controller == true
    }
  }

  private func owner<Owner: APIObject>(_ owner: Owner) -> OwnerReference { .controller(of: owner) }
}
