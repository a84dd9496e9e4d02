import API
import APIMachinery

/// Which volume suits a claim: pure.
enum VolumeMatch {
  static let bindCompleted = "pv.kubernetes.io/bind-completed"
  static let boundByController = "pv.kubernetes.io/bound-by-controller"
  static let provisionedBy = "pv.kubernetes.io/provisioned-by"
  static let selectedNode = "volume.kubernetes.io/selected-node"
  static let storageProvisioner = "volume.kubernetes.io/storage-provisioner"
  static let betaStorageProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
  static let betaStorageClass = "volume.beta.kubernetes.io/storage-class"

  static func storageClass(_ claim: PersistentVolumeClaim) -> String {
    claim.metadata.annotations[betaStorageClass] ?? claim.spec.storageClassName ?? ""
  }

  static func storageClass(_ volume: PersistentVolume) -> String {
    volume.metadata.annotations[betaStorageClass] ?? volume.spec.storageClassName
  }

  static func waitsForConsumer(_ storage: StorageClass?) -> Bool {
    storage?.volumeBindingMode == "WaitForFirstConsumer"
  }

  /// Whether a volume's reference names a claim, this one and no other that had its name.
  static func isBound(_ volume: PersistentVolume, to claim: PersistentVolumeClaim) -> Bool {
    guard let reference = volume.spec.claimRef, reference.name == claim.metadata.name,
      reference.namespace == claim.metadata.namespace
    else { return false }
    return reference.uid.isEmpty || reference.uid == claim.metadata.uid
  }

  /// Why a volume cannot serve a claim; nil when it can.
  static func objection(_ volume: PersistentVolume, _ claim: PersistentVolumeClaim) -> String? {
    if (volume.spec.volumeMode ?? "Filesystem") != (claim.spec.volumeMode ?? "Filesystem") {
      return "incompatible volumeMode"
    }
    if capacity(volume) < request(claim) { return "requested PV is too small" }
    if storageClass(volume) != storageClass(claim) { return "storageClassName does not match" }
    if !Set(volume.spec.accessModes).isSuperset(of: claim.spec.accessModes) { return "incompatible accessMode" }
    return nil
  }

  static func request(_ claim: PersistentVolumeClaim) -> Quantity {
    claim.spec.resources.requests["storage"] ?? Quantity()
  }

  static func capacity(_ volume: PersistentVolume) -> Quantity { volume.spec.capacity["storage"] ?? Quantity() }

  /// The volume a claim should get: the one that names it, else the smallest that suits. While a claim waits for
  /// its first consumer only a volume that names it will do: the scheduler chooses among the others.
  static func best(
    for claim: PersistentVolumeClaim, of volumes: [PersistentVolume], delayed: Bool
  ) -> PersistentVolume? {
    let named = volumes.first { $0.metadata.deletionTimestamp == nil && isBound($0, to: claim) }
    if let named { return objection(named, claim) == nil ? named : nil }
    if delayed { return nil }
    guard let selector = try? (claim.spec.selector ?? LabelSelector()).selector() else { return nil }
    return volumes.filter { volume in
      volume.spec.claimRef == nil && volume.metadata.deletionTimestamp == nil
        && (volume.status.phase == "Available" || volume.status.phase.isEmpty || volume.status.phase == "Pending")
        && objection(volume, claim) == nil && selector.matches(volume.metadata.labels)
    }.min { a, b in
      capacity(a) == capacity(b) ? a.metadata.name < b.metadata.name : capacity(a) < capacity(b)
    }
  }
}
