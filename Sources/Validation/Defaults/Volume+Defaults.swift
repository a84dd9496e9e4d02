import API

private let defaultFileMode: Int32 = 0o644

extension Volume {
  mutating func setDefaults() {
    if sourceCount == 0 { emptyDir = EmptyDirVolumeSource() }
    if secret != nil && secret?.defaultMode == nil { secret?.defaultMode = defaultFileMode }
    if configMap != nil && configMap?.defaultMode == nil { configMap?.defaultMode = defaultFileMode }
    if downwardAPI != nil {
      if downwardAPI?.defaultMode == nil { downwardAPI?.defaultMode = defaultFileMode }
      downwardAPI?.items.setDefaults()
    }
    projected?.setDefaults()
    if hostPath != nil && hostPath?.type == nil { hostPath?.type = "" }
    if iscsi?.iscsiInterface.isEmpty == true { iscsi?.iscsiInterface = "default" }
    if var source = rbd {
      if source.pool.isEmpty { source.pool = "rbd" }
      if source.user.isEmpty { source.user = "admin" }
      if source.keyring.isEmpty { source.keyring = "/etc/ceph/keyring" }
      rbd = source
    }
    if var source = azureDisk {
      if source.cachingMode == nil { source.cachingMode = "ReadWrite" }
      if source.kind == nil { source.kind = "Shared" }
      if source.fsType == nil { source.fsType = "ext4" }
      if source.readOnly == nil { source.readOnly = false }
      azureDisk = source
    }
    if var source = scaleIO {
      if source.storageMode.isEmpty { source.storageMode = "ThinProvisioned" }
      if source.fsType.isEmpty { source.fsType = "xfs" }
      scaleIO = source
    }
    if ephemeral?.volumeClaimTemplate != nil && ephemeral?.volumeClaimTemplate?.spec.volumeMode == nil {
      ephemeral?.volumeClaimTemplate?.spec.volumeMode = "Filesystem"
    }
    if let source = image, source.pullPolicy.isEmpty {
      image?.pullPolicy = defaultPullPolicy(source.reference)
    }
  }

  /// How many sources are given; one is right.
  var sourceCount: Int {
    var count = 0
    func take(_ present: Bool) { if present { count += 1 } }
    take(emptyDir != nil)
    take(hostPath != nil)
    take(secret != nil)
    take(configMap != nil)
    take(projected != nil)
    take(downwardAPI != nil)
    take(persistentVolumeClaim != nil)
    take(ephemeral != nil)
    take(image != nil)
    take(csi != nil)
    take(nfs != nil)
    take(iscsi != nil)
    take(fc != nil)
    take(rbd != nil)
    take(cephfs != nil)
    take(cinder != nil)
    take(glusterfs != nil)
    take(gitRepo != nil)
    take(flexVolume != nil)
    take(flocker != nil)
    take(quobyte != nil)
    take(storageos != nil)
    take(scaleIO != nil)
    take(portworxVolume != nil)
    take(photonPersistentDisk != nil)
    take(vsphereVolume != nil)
    take(azureDisk != nil)
    take(azureFile != nil)
    take(awsElasticBlockStore != nil)
    take(gcePersistentDisk != nil)
    return count
  }
}

extension ProjectedVolumeSource {
  mutating func setDefaults() {
    if defaultMode == nil { defaultMode = defaultFileMode }
    for i in sources.indices {
      sources[i].downwardAPI?.items.setDefaults()
      if sources[i].serviceAccountToken != nil && sources[i].serviceAccountToken?.expirationSeconds == nil {
        sources[i].serviceAccountToken?.expirationSeconds = 3600
      }
    }
  }
}

extension Array<DownwardAPIVolumeFile> {
  mutating func setDefaults() {
    for i in indices where self[i].fieldRef?.apiVersion.isEmpty == true { self[i].fieldRef?.apiVersion = "v1" }
  }
}
