import API
import APIMachinery

/// What a volume wants done: pure.
enum VolumeDecision: Sendable, Equatable {
  /// Only its phase may have to be written.
  case phase(String)
  /// Its claim is still on its way to it.
  case waitForClaim(ObjectKey, phase: String)
  /// The claim is gone; what was in it stays, or goes.
  case released(delete: Bool)
  /// Its claim is bound elsewhere, and this binding was made here: undo it.
  case unbind

  static func decide(_ volume: PersistentVolume, claim: PersistentVolumeClaim?) -> VolumeDecision {
    guard let reference = volume.spec.claimRef else { return .phase("Available") }
    // Reserved by its maker for a claim that may not exist yet.
    if reference.uid.isEmpty { return .waitForClaim(key(reference), phase: "Available") }
    guard let claim, claim.metadata.uid == reference.uid else {
      return .released(delete: volume.spec.persistentVolumeReclaimPolicy == "Delete")
    }
    if claim.spec.volumeName.isEmpty { return .waitForClaim(claim.key, phase: volume.status.phase) }
    if claim.spec.volumeName == volume.metadata.name { return .phase("Bound") }
    if volume.metadata.annotations[VolumeMatch.provisionedBy] != nil,
      volume.spec.persistentVolumeReclaimPolicy == "Delete"
    {
      return .released(delete: true)
    }
    return volume.metadata.annotations[VolumeMatch.boundByController] == nil
      ? .phase(volume.status.phase) : .unbind
  }

  private static func key(_ reference: ObjectReference) -> ObjectKey {
    ObjectKey(namespace: reference.namespace, name: reference.name)
  }

  /// The volume as it is when nobody has it.
  static func unbound(_ volume: PersistentVolume) -> PersistentVolume {
    var free = volume
    free.metadata.annotations[VolumeMatch.boundByController] = nil
    free.spec.claimRef = nil
    return free
  }
}
