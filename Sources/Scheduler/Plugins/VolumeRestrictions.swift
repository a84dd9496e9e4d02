import API

/// Disks that only one node or one pod may use at a time.
struct VolumeRestrictions: Sendable {
  static let name = "VolumeRestrictions"

  /// What the pod's volumes forbid; nil where they forbid nothing. `isExclusive`: the claim is ReadWriteOncePod.
  static func check(
    _ pod: Pod, isExclusive: (ObjectKey) -> Bool
  ) -> (@Sendable (NodeInfo, Snapshot) -> Refusal?)? {
    let disks = pod.spec.volumes.filter(isDisk)
    let exclusive = pod.claimKeys.filter(isExclusive)
    if disks.isEmpty && exclusive.isEmpty { return nil }
    return { node, snapshot in
      for other in node.pods.values {
        for volume in other.pod.spec.volumes where isDisk(volume) {
          if disks.contains(where: { conflict($0, volume) }) {
            return Refusal(plugin: name, reasons: ["node(s) had no available disk"])
          }
        }
      }
      for claim in exclusive {
        // Used anywhere at all; the node may be looked at as if some of its pods were away.
        let here = snapshot.nodes[node.node.metadata.name]?.claims[claim] ?? 0
        if (snapshot.claims[claim] ?? 0) - here + (node.claims[claim] ?? 0) > 0 {
          return Refusal(
            plugin: name,
            reasons: ["node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"])
        }
      }
      return nil
    }
  }

  private static func isDisk(_ volume: Volume) -> Bool {
    volume.gcePersistentDisk != nil || volume.awsElasticBlockStore != nil || volume.iscsi != nil || volume.rbd != nil
  }

  private static func conflict(_ a: Volume, _ b: Volume) -> Bool {
    if let a = a.gcePersistentDisk, let b = b.gcePersistentDisk, a.pdName == b.pdName, !(a.readOnly && b.readOnly) {
      return true
    }
    if let a = a.awsElasticBlockStore, let b = b.awsElasticBlockStore, a.volumeID == b.volumeID { return true }
    if let a = a.iscsi, let b = b.iscsi, a.iqn == b.iqn, !(a.readOnly && b.readOnly) { return true }
    if let a = a.rbd, let b = b.rbd, !Set(a.monitors).isDisjoint(with: b.monitors), a.pool == b.pool,
      a.image == b.image, !(a.readOnly && b.readOnly)
    {
      return true
    }
    return false
  }
}

extension Pod {
  /// The claims that the pod's volumes use, also those made for it.
  var claimKeys: [ObjectKey] {
    spec.volumes.compactMap { volume in
      let name =
        volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral == nil ? nil : "\(metadata.name)-\(volume.name)")
      return name.map { ObjectKey(namespace: metadata.namespace, name: $0) }
    }
  }
}
