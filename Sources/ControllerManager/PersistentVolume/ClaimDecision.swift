import API
import APIMachinery

/// What a claim wants done: pure.
enum ClaimDecision: Sendable, Equatable {
  /// Make both ends name each other.
  case bind(PersistentVolume)
  /// Wait; with something to say, or not.
  case pending(Notice?)
  /// Have its class's provisioner make a volume: name him on the claim.
  case provision(provisioner: String)
  /// The volume is gone for good.
  case lost(reason: String, message: String)

  struct Notice: Sendable, Equatable {
    var type = "Normal"
    var reason: String
    var message: String
  }

  static func decide(
    _ claim: PersistentVolumeClaim, volumes: [PersistentVolume], storage: StorageClass?, awaitedBy pods: [Pod]
  ) -> ClaimDecision {
    if claim.metadata.annotations[VolumeMatch.bindCompleted] != nil { return decideBound(claim, volumes) }
    if !claim.spec.volumeName.isEmpty { return decideNamed(claim, volumes) }
    let delayed = VolumeMatch.waitsForConsumer(storage)
    if let volume = VolumeMatch.best(for: claim, of: volumes, delayed: delayed) { return .bind(volume) }
    if delayed, claim.metadata.annotations[VolumeMatch.selectedNode] == nil {
      let names = pods.map(\.metadata.name).sorted()
      if !names.isEmpty {
        return .pending(
          Notice(
            reason: "WaitForPodScheduled",
            message: "waiting for pod \(names.joined(separator: ",")) to be scheduled"))
      }
      return .pending(
        Notice(
          reason: "WaitForFirstConsumer", message: "waiting for first consumer to be created before binding"))
    }
    let name = VolumeMatch.storageClass(claim)
    guard !name.isEmpty else {
      return .pending(
        Notice(
          reason: "FailedBinding",
          message: "no persistent volumes available for this claim and no storage class is set"))
    }
    guard let storage else {
      return .pending(
        Notice(
          type: "Warning", reason: "ProvisioningFailed",
          message: "storageclass.storage.k8s.io \"\(name)\" not found"))
    }
    if storage.provisioner == "kubernetes.io/no-provisioner" { return .pending(nil) }
    return .provision(provisioner: storage.provisioner)
  }

  /// The user asked for one volume by name.
  private static func decideNamed(_ claim: PersistentVolumeClaim, _ volumes: [PersistentVolume]) -> ClaimDecision {
    guard let volume = volumes.first(where: { $0.metadata.name == claim.spec.volumeName }) else {
      return .pending(nil)
    }
    if volume.spec.claimRef == nil {
      if let objection = VolumeMatch.objection(volume, claim) {
        return .pending(
          Notice(
            type: "Warning", reason: "VolumeMismatch",
            message: "Cannot bind to requested volume \"\(volume.metadata.name)\": \(objection)"))
      }
      return .bind(volume)
    }
    if VolumeMatch.isBound(volume, to: claim) { return .bind(volume) }
    return .pending(
      Notice(
        type: "Warning", reason: "FailedBinding",
        message: "volume \"\(volume.metadata.name)\" already bound to a different claim."))
  }

  private static func decideBound(_ claim: PersistentVolumeClaim, _ volumes: [PersistentVolume]) -> ClaimDecision {
    if claim.spec.volumeName.isEmpty {
      return .lost(
        reason: "ClaimLost",
        message: "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    }
    guard let volume = volumes.first(where: { $0.metadata.name == claim.spec.volumeName }) else {
      return .lost(
        reason: "ClaimLost", message: "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    }
    if volume.spec.claimRef == nil || VolumeMatch.isBound(volume, to: claim) { return .bind(volume) }
    return .lost(
      reason: "ClaimMisbound",
      message: "Two claims are bound to the same volume, this one is bound incorrectly")
  }
}

/// The two ends of a binding, as they must read; pure. Only what differs is written.
enum ClaimBinding {
  static func volume(_ volume: PersistentVolume, for claim: PersistentVolumeClaim) -> PersistentVolume {
    var bound = volume
    let wasNamed = volume.spec.claimRef.map { VolumeMatch.isBound(volume, to: claim) && !$0.name.isEmpty } ?? false
    var reference = volume.spec.claimRef ?? ObjectReference()
    if reference.uid != claim.metadata.uid || reference.name != claim.metadata.name {
      reference.kind = PersistentVolumeClaim.kind
      reference.apiVersion = PersistentVolumeClaim.apiVersion
      reference.namespace = claim.metadata.namespace
      reference.name = claim.metadata.name
      reference.uid = claim.metadata.uid
      reference.resourceVersion = claim.metadata.resourceVersion
      bound.spec.claimRef = reference
    }
    // Remembered so that a binding made here can be undone here.
    if !wasNamed { bound.metadata.annotations[VolumeMatch.boundByController] = "yes" }
    return bound
  }

  static func claim(_ claim: PersistentVolumeClaim, for volume: PersistentVolume) -> PersistentVolumeClaim {
    var bound = claim
    if claim.spec.volumeName != volume.metadata.name {
      bound.spec.volumeName = volume.metadata.name
      bound.metadata.annotations[VolumeMatch.boundByController] = "yes"
    }
    bound.metadata.annotations[VolumeMatch.bindCompleted] = "yes"
    return bound
  }

  static func status(_ claim: PersistentVolumeClaim, for volume: PersistentVolume) -> PersistentVolumeClaimStatus {
    var status = claim.status
    status.phase = "Bound"
    status.accessModes = volume.spec.accessModes
    if claim.status.phase != "Bound" || status.capacity["storage"] == nil { status.capacity = volume.spec.capacity }
    return status
  }
}
