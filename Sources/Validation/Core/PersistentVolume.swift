import API

let accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

extension PersistentVolume: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkAccessModes(spec.accessModes, path.child("accessModes"), &errors, hint: "")
    let capacity = path.child("capacity")
    if spec.capacity.isEmpty { errors.append(.required(capacity)) }
    if spec.capacity["storage"] == nil || spec.capacity.count > 1 {
      errors.append(.notSupported(capacity, spec.capacity, ["storage"]))
    }
    for (name, quantity) in spec.capacity.sorted(by: { $0.key < $1.key }) {
      if quantity.sign <= 0 {
        errors.append(.invalid(capacity.key(name), quantity.description, "must be greater than zero"))
      }
      checkQuantity(name, quantity, capacity.key(name), &errors)
    }
    if !spec.persistentVolumeReclaimPolicy.isEmpty {
      checkOneOf(
        spec.persistentVolumeReclaimPolicy, ["Delete", "Recycle", "Retain"],
        path.child("persistentVolumeReclaimPolicy"), &errors)
    }
    if let selector = spec.nodeAffinity?.required {
      checkNodeSelector(selector, path.child("nodeAffinity", "required"), &errors)
    } else if spec.nodeAffinity != nil {
      errors.append(.required(path.child("nodeAffinity", "required"), "must specify required node constraints"))
    }
    checkSources(path, &errors)
    if !spec.storageClassName.isEmpty {
      checkDNS1123Subdomain(spec.storageClassName, path.child("storageClassName"), &errors)
    }
    if let mode = spec.volumeMode { checkOneOf(mode, ["Block", "Filesystem"], path.child("volumeMode"), &errors) }
    if spec.hostPath?.path == "/" && spec.persistentVolumeReclaimPolicy == "Recycle" {
      errors.append(
        .forbidden(
          path.child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"))
    }
  }

  private var sources: [(String, present: Bool)] {
    [
      ("hostPath", spec.hostPath != nil), ("local", spec.local != nil), ("csi", spec.csi != nil),
      ("nfs", spec.nfs != nil), ("iscsi", spec.iscsi != nil), ("fc", spec.fc != nil), ("rbd", spec.rbd != nil),
      ("cephfs", spec.cephfs != nil), ("cinder", spec.cinder != nil), ("glusterfs", spec.glusterfs != nil),
      ("flexVolume", spec.flexVolume != nil), ("flocker", spec.flocker != nil), ("quobyte", spec.quobyte != nil),
      ("storageos", spec.storageos != nil), ("scaleIO", spec.scaleIO != nil),
      ("portworxVolume", spec.portworxVolume != nil), ("photonPersistentDisk", spec.photonPersistentDisk != nil),
      ("vsphereVolume", spec.vsphereVolume != nil), ("azureDisk", spec.azureDisk != nil),
      ("azureFile", spec.azureFile != nil), ("awsElasticBlockStore", spec.awsElasticBlockStore != nil),
      ("gcePersistentDisk", spec.gcePersistentDisk != nil),
    ]
  }

  private func checkSources(_ path: FieldPath, _ errors: inout [FieldError]) {
    let given = sources.filter(\.present)
    if given.isEmpty { errors.append(.required(path, "must specify a volume type")) }
    for source in given.dropFirst() {
      errors.append(.forbidden(path.child(source.0), "may not specify more than 1 volume type"))
    }
    if let source = spec.hostPath { checkHostPath(source, path.child("hostPath"), &errors) }
    if let source = spec.local {
      if source.path.isEmpty {
        errors.append(.required(path.child("local").child("path")))
      } else {
        checkNoBacksteps(source.path, path.child("local").child("path"), &errors)
      }
      if spec.nodeAffinity == nil {
        errors.append(.required(FieldPath("metadata").child("annotations"), "Local volume requires node affinity"))
      }
    }
    if let source = spec.csi {
      checkCSIDriverName(source.driver, path.child("csi").child("driver"), &errors)
      checkRequired(source.volumeHandle, path.child("csi").child("volumeHandle"), &errors)
    }
    if let source = spec.nfs {
      checkRequired(source.server, path.child("nfs").child("server"), &errors)
      checkRequired(source.path, path.child("nfs").child("path"), &errors)
    }
  }

  func validateChange(of old: PersistentVolume, _ errors: inout [FieldError]) {
    validate(&errors)
    let path = FieldPath("spec")
    if sourcesDiffer(old) {
      errors.append(
        .forbidden(path.child("persistentvolumesource"), "spec.persistentvolumesource is immutable after creation"))
    }
    checkImmutable(spec.volumeMode, old.spec.volumeMode, path.child("volumeMode"), &errors)
    if let before = old.spec.nodeAffinity {
      checkImmutableJSON(spec.nodeAffinity, before, path.child("nodeAffinity"), &errors)
    }
  }

  private func sourcesDiffer(_ old: PersistentVolume) -> Bool {
    var level = old.spec
    level.accessModes = spec.accessModes
    level.capacity = spec.capacity
    level.claimRef = spec.claimRef
    level.mountOptions = spec.mountOptions
    level.nodeAffinity = spec.nodeAffinity
    level.persistentVolumeReclaimPolicy = spec.persistentVolumeReclaimPolicy
    level.storageClassName = spec.storageClassName
    level.volumeAttributesClassName = spec.volumeAttributesClassName
    level.volumeMode = spec.volumeMode
    return level != spec
  }
}

/// Checks access modes: known, at least one, and the exclusive one alone.
func checkAccessModes(
  _ modes: [String], _ path: FieldPath, _ errors: inout [FieldError], hint: String
) {
  if modes.isEmpty { errors.append(.required(path, hint)) }
  for mode in modes { checkOneOf(mode, accessModes, path, &errors) }
  if modes.contains("ReadWriteOncePod") && modes.count > 1 {
    errors.append(
      .forbidden(path, "may not use ReadWriteOncePod with other access modes"))
  }
}
