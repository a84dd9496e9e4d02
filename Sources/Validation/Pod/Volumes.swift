import API

private let downwardVolumePaths = [
  "metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid",
]

/// Checks a pod's volumes.
func checkVolumes(_ volumes: [Volume], _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  var names: Set<String> = []
  for (i, volume) in volumes.enumerated() {
    let path = path.index(i)
    if volume.name.isEmpty {
      errors.append(.required(path.child("name")))
    } else {
      checkDNS1123Label(volume.name, path.child("name"), &errors)
      if !names.insert(volume.name).inserted { errors.append(.duplicate(path.child("name"), volume.name)) }
    }
    checkVolume(volume, path, context, &errors)
  }
}

private func checkVolume(_ volume: Volume, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  var taken = false
  /// Whether this is the volume's first source.
  func first(_ field: String, _ errors: inout [FieldError]) -> Bool {
    if taken {
      errors.append(.forbidden(path.child(field), "may not specify more than 1 volume type"))
      return false
    }
    taken = true
    return true
  }
  if let source = volume.emptyDir, first("emptyDir", &errors) {
    if let limit = source.sizeLimit, limit.sign < 0 {
      errors.append(
        .forbidden(
          path.child("emptyDir").child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
    }
  }
  if let source = volume.hostPath, first("hostPath", &errors) {
    checkHostPath(source, path.child("hostPath"), &errors)
  }
  if let source = volume.secret, first("secret", &errors) {
    let path = path.child("secret")
    checkRequired(source.secretName, path.child("secretName"), &errors)
    checkFileMode(source.defaultMode, path.child("defaultMode"), &errors)
    checkItems(source.items, path.child("items"), &errors)
  }
  if let source = volume.nfs, first("nfs", &errors) {
    let path = path.child("nfs")
    checkRequired(source.server, path.child("server"), &errors)
    checkRequired(source.path, path.child("path"), &errors)
    if !source.path.hasPrefix("/") {
      errors.append(.invalid(path.child("path"), source.path, "must be an absolute path"))
    }
  }
  if let source = volume.persistentVolumeClaim, first("persistentVolumeClaim", &errors) {
    checkRequired(source.claimName, path.child("persistentVolumeClaim").child("claimName"), &errors)
  }
  if let source = volume.downwardAPI, first("downwardAPI", &errors) {
    let path = path.child("downwardAPI")
    checkFileMode(source.defaultMode, path.child("defaultMode"), &errors)
    for file in source.items { checkDownwardFile(file, path, &errors) }
  }
  if let source = volume.configMap, first("configMap", &errors) {
    let path = path.child("configMap")
    checkRequired(source.name, path.child("name"), &errors)
    checkFileMode(source.defaultMode, path.child("defaultMode"), &errors)
    checkItems(source.items, path.child("items"), &errors)
  }
  if let source = volume.projected, first("projected", &errors) {
    checkProjected(source, path.child("projected"), &errors)
  }
  if let source = volume.csi, first("csi", &errors) {
    checkCSIDriverName(source.driver, path.child("csi").child("driver"), &errors)
    if let secret = source.nodePublishSecretRef, secret.name.isEmpty {
      errors.append(.required(path.child("csi").child("nodePublishSecretRef").child("name")))
    }
  }
  if let source = volume.ephemeral, first("ephemeral", &errors) {
    let path = path.child("ephemeral").child("volumeClaimTemplate")
    if let template = source.volumeClaimTemplate {
      checkLabels(template.metadata.labels, path.child("metadata", "labels"), &errors)
      checkAnnotations(template.metadata.annotations, path.child("metadata", "annotations"), &errors)
      checkClaimSpec(template.spec, path.child("spec"), &errors)
    } else {
      errors.append(.required(path))
    }
  }
  if let source = volume.image, first("image", &errors) {
    let path = path.child("image")
    if !context.isTemplate { checkRequired(source.reference, path.child("reference"), &errors) }
    checkOneOf(source.pullPolicy, ["Always", "IfNotPresent", "Never"], path.child("pullPolicy"), &errors)
  }
  checkNetworkVolumes(volume, path, &errors, first)
  if volume.sourceCount == 0 { errors.append(.required(path, "must specify a volume type")) }
}

private func checkNetworkVolumes(
  _ volume: Volume, _ path: FieldPath, _ errors: inout [FieldError],
  _ first: (String, inout [FieldError]) -> Bool
) {
  if let source = volume.iscsi, first("iscsi", &errors) {
    let path = path.child("iscsi")
    checkRequired(source.targetPortal, path.child("targetPortal"), &errors)
    checkRequired(source.iqn, path.child("iqn"), &errors)
    if source.lun < 0 || source.lun > 255 {
      errors.append(.invalid(path.child("lun"), source.lun, "must be between 0 and 255, inclusive"))
    }
  }
  if let source = volume.rbd, first("rbd", &errors) {
    if source.monitors.isEmpty { errors.append(.required(path.child("rbd").child("monitors"))) }
    checkRequired(source.image, path.child("rbd").child("image"), &errors)
  }
  if let source = volume.cephfs, first("cephfs", &errors), source.monitors.isEmpty {
    errors.append(.required(path.child("cephfs").child("monitors")))
  }
  if let source = volume.fc, first("fc", &errors) {
    if source.targetWWNs.isEmpty && source.wwids.isEmpty {
      errors.append(
        .required(path.child("fc").child("targetWWNs"), "must specify either targetWWNs or wwids, but not both"))
    }
  }
  if let source = volume.flexVolume, first("flexVolume", &errors) {
    checkRequired(source.driver, path.child("flexVolume").child("driver"), &errors)
  }
  if let source = volume.gitRepo, first("gitRepo", &errors) {
    checkRequired(source.repository, path.child("gitRepo").child("repository"), &errors)
  }
  if let source = volume.glusterfs, first("glusterfs", &errors) {
    checkRequired(source.endpoints, path.child("glusterfs").child("endpoints"), &errors)
    checkRequired(source.path, path.child("glusterfs").child("path"), &errors)
  }
  if let source = volume.azureFile, first("azureFile", &errors) {
    checkRequired(source.secretName, path.child("azureFile").child("secretName"), &errors)
    checkRequired(source.shareName, path.child("azureFile").child("shareName"), &errors)
  }
}

private let hostPathTypes = [
  "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
]

/// Checks a path on the node.
func checkHostPath(_ source: HostPathVolumeSource, _ path: FieldPath, _ errors: inout [FieldError]) {
  if source.path.isEmpty {
    errors.append(.required(path.child("path")))
    return
  }
  checkNoBacksteps(source.path, path.child("path"), &errors)
  if let type = source.type { checkOneOf(type, hostPathTypes, path.child("type"), &errors) }
}

private func checkItems(_ items: [KeyToPath], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, item) in items.enumerated() {
    let path = path.index(i)
    checkRequired(item.key, path.child("key"), &errors)
    checkRequired(item.path, path.child("path"), &errors)
    checkNonReservedPath(item.path, path.child("path"), &errors)
    checkFileMode(item.mode, path.child("mode"), &errors)
  }
}

/// Below where it starts, and not among the names that the kubelet uses.
private func checkNonReservedPath(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkDescendingPath(value, path, &errors)
  let parts = value.split(separator: "/", omittingEmptySubsequences: false)
  if value.hasPrefix("..") && parts.first != ".." {
    errors.append(.invalid(path, value, "must not start with '..'"))
  }
}

private func checkDownwardFile(_ file: DownwardAPIVolumeFile, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkRequired(file.path, path.child("path"), &errors)
  checkNonReservedPath(file.path, path.child("path"), &errors)
  if let field = file.fieldRef {
    checkFieldRef(field, path.child("fieldRef"), allowed: downwardVolumePaths, &errors)
    if file.resourceFieldRef != nil {
      errors.append(.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    }
  } else if let resource = file.resourceFieldRef {
    checkResourceFieldRef(resource, path.child("resourceFieldRef"), isVolume: true, &errors)
  } else {
    errors.append(.required(path, "one of fieldRef and resourceFieldRef is required"))
  }
  checkFileMode(file.mode, path.child("mode"), &errors)
}

private func checkProjected(_ source: ProjectedVolumeSource, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkFileMode(source.defaultMode, path.child("defaultMode"), &errors)
  var paths: Set<String> = []
  func take(_ item: String, _ path: FieldPath, _ errors: inout [FieldError]) {
    if item.isEmpty { return }
    if !paths.insert(item).inserted {
      errors.append(.invalid(path, item, "conflicting duplicate paths"))
    }
  }
  for (i, projection) in source.sources.enumerated() {
    let place = path.child("sources").index(i)
    var count = 0
    func first(_ field: String, _ errors: inout [FieldError]) -> Bool {
      count += 1
      if count == 1 { return true }
      errors.append(.forbidden(place.child(field), "may not specify more than 1 volume type per source"))
      return false
    }
    if let secret = projection.secret, first("secret", &errors) {
      checkRequired(secret.name, place.child("secret").child("name"), &errors)
      checkItems(secret.items, place.child("secret").child("items"), &errors)
      for item in secret.items { take(item.path, path, &errors) }
    }
    if let map = projection.configMap, first("configMap", &errors) {
      checkRequired(map.name, place.child("configMap").child("name"), &errors)
      checkItems(map.items, place.child("configMap").child("items"), &errors)
      for item in map.items { take(item.path, path, &errors) }
    }
    if let downward = projection.downwardAPI, first("downwardAPI", &errors) {
      for file in downward.items {
        checkDownwardFile(file, place.child("downwardAPI"), &errors)
        take(file.path, path, &errors)
      }
    }
    if let token = projection.serviceAccountToken, first("serviceAccountToken", &errors) {
      let place = place.child("serviceAccountToken")
      if let seconds = token.expirationSeconds, seconds < 600 {
        errors.append(
          .invalid(place.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"))
      } else if let seconds = token.expirationSeconds, seconds > 1 << 32 {
        errors.append(
          .invalid(place.child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"))
      }
      if token.path.isEmpty {
        errors.append(.required(place.child("path")))
      } else {
        checkNonReservedPath(token.path, place.child("path"), &errors)
        take(token.path, path, &errors)
      }
    }
    if let bundle = projection.clusterTrustBundle, first("clusterTrustBundle", &errors) {
      checkRequired(bundle.path, place.child("clusterTrustBundle").child("path"), &errors)
      take(bundle.path, path, &errors)
    }
    if projection.podCertificate != nil { _ = first("podCertificate", &errors) }
    if count == 0 {
      errors.append(.required(path.child("sources").index(i), "must specify a volume type"))
    }
  }
}

/// Checks the name of a CSI driver.
func checkCSIDriverName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if name.isEmpty { errors.append(.required(path)) }
  if name.utf8.count > 63 { errors.append(.tooLong(path, max: 63)) }
  checkDNS1123Subdomain(name.lowercased(), path, &errors)
}
