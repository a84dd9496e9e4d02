import API
import APIMachinery
import APIMeta

/// Volumes, classes and devices.
func storageCells(_ object: any APIObject, _ context: CellContext) -> TableRowCells? {
  let name = JSONValue.string(object.metadata.name)
  let age = context.age(object.metadata)
  switch object {
  case let volume as PersistentVolume:
    let phase = volume.metadata.deletionTimestamp == nil ? volume.status.phase : "Terminating"
    let claim = volume.spec.claimRef.map { "\($0.namespace)/\($0.name)" } ?? ""
    return TableRowCells([
      name, .string(volume.spec.capacity["storage"]?.description ?? ""), .string(modes(volume.spec.accessModes)),
      .string(volume.spec.persistentVolumeReclaimPolicy), .string(phase), .string(claim),
      .string(volume.metadata.annotations[betaClass] ?? volume.spec.storageClassName),
      cell(volume.spec.volumeAttributesClassName ?? "", none: "<unset>"), .string(volume.status.reason), age,
      cell(volume.spec.volumeMode ?? "", none: "<unset>"),
    ])
  case let claim as PersistentVolumeClaim:
    let phase = claim.metadata.deletionTimestamp == nil ? claim.status.phase : "Terminating"
    var capacity = ""
    var access = ""
    if !claim.spec.volumeName.isEmpty {
      access = modes(claim.status.accessModes)
      capacity = claim.status.capacity["storage"]?.description ?? ""
    }
    return TableRowCells([
      name, .string(phase), .string(claim.spec.volumeName), .string(capacity), .string(access),
      .string(claim.metadata.annotations[betaClass] ?? claim.spec.storageClassName ?? ""),
      cell(claim.spec.volumeAttributesClassName ?? "", none: "<unset>"), age,
      cell(claim.spec.volumeMode ?? "", none: "<unset>"),
    ])
  case let storage as StorageClass:
    let isDefault = DefaultStorageClass.annotations.contains { storage.metadata.annotations[$0] == "true" }
    return TableRowCells([
      .string(storage.metadata.name + (isDefault ? " (default)" : "")), .string(storage.provisioner),
      .string(storage.reclaimPolicy ?? "Delete"), .string(storage.volumeBindingMode ?? "Immediate"),
      .bool(storage.allowVolumeExpansion ?? false), age,
    ])
  case let driver as CSIDriver:
    let tokens = driver.spec.tokenRequests.map { $0.audience.isEmpty ? "" : $0.audience }.joined(separator: ",")
    return TableRowCells([
      name, .bool(driver.spec.attachRequired ?? true), .bool(driver.spec.podInfoOnMount ?? false),
      .bool(driver.spec.storageCapacity ?? false), cell(tokens, none: "<unset>"),
      .bool(driver.spec.requiresRepublish ?? false),
      cell(driver.spec.volumeLifecycleModes.joined(separator: ","), none: "<none>"), age,
    ])
  case let node as CSINode: return TableRowCells([name, .int(Int64(node.spec.drivers.count)), age])
  case let attachment as VolumeAttachment:
    return TableRowCells([
      name, .string(attachment.spec.attacher), .string(attachment.spec.source.persistentVolumeName ?? ""),
      .string(attachment.spec.nodeName), .bool(attachment.status.attached), age,
    ])
  case let attributes as VolumeAttributesClass:
    return TableRowCells([name, .string(attributes.driverName), age])
  case let claim as ResourceResourceClaim:
    var states: [String] = []
    if claim.metadata.deletionTimestamp != nil { states.append("deleted") }
    if claim.status.allocation == nil {
      if states.isEmpty { states.append("pending") }
    } else {
      states.append("allocated")
      if !claim.status.reservedFor.isEmpty { states.append("reserved") }
    }
    return TableRowCells([name, .string(states.joined(separator: ",")), age])
  case is DeviceClass, is ResourceClaimTemplate: return TableRowCells([name, age])
  case let slice as ResourceSlice:
    return TableRowCells([
      name, .string(slice.spec.nodeName ?? ""), .string(slice.spec.driver), .string(slice.spec.pool.name), age,
    ])
  default: return nil
  }
}

private let betaClass = "volume.beta.kubernetes.io/storage-class"

/// `RWO,ROX` and so on, each once.
private func modes(_ modes: [String]) -> String {
  let short = [
    ("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"),
  ]
  return short.filter { modes.contains($0.0) }.map(\.1).joined(separator: ",")
}
