import API

/// Checks where a container sees its volumes.
func checkVolumeMounts(
  _ container: Container, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  var points: Set<String> = []
  let devices = Set(container.volumeDevices.map(\.name))
  let devicePaths = Set(container.volumeDevices.map(\.devicePath))
  for (i, mount) in container.volumeMounts.enumerated() {
    let path = path.index(i)
    checkRequired(mount.name, path.child("name"), &errors)
    if context.volumes[mount.name] == nil { errors.append(.notFound(path.child("name"), mount.name)) }
    checkRequired(mount.mountPath, path.child("mountPath"), &errors)
    if !points.insert(mount.mountPath).inserted {
      errors.append(.invalid(path.child("mountPath"), mount.mountPath, "must be unique"))
    }
    if devices.contains(mount.name) {
      errors.append(.invalid(path.child("name"), mount.name, "must not already exist in volumeDevices"))
    }
    if devicePaths.contains(mount.mountPath) {
      errors.append(
        .invalid(path.child("mountPath"), mount.mountPath, "must not already exist as a path in volumeDevices"))
    }
    if !mount.subPath.isEmpty { checkDescendingPath(mount.subPath, path.child("subPath"), &errors) }
    if !mount.subPathExpr.isEmpty {
      if !mount.subPath.isEmpty {
        errors.append(
          .invalid(path.child("subPathExpr"), mount.subPathExpr, "subPathExpr and subPath are mutually exclusive"))
      }
      checkDescendingPath(mount.subPathExpr, path.child("subPathExpr"), &errors)
    }
    if let propagation = mount.mountPropagation {
      checkOneOf(
        propagation, ["Bidirectional", "HostToContainer", "None"], path.child("mountPropagation"), &errors)
      if propagation == "Bidirectional" && container.securityContext?.privileged != true {
        errors.append(
          .forbidden(
            path.child("mountPropagation"),
            "Bidirectional mount propagation is available only to privileged containers"))
      }
    }
    if let mode = mount.recursiveReadOnly { checkRecursive(mode, mount, path.child("recursiveReadOnly"), &errors) }
  }
}

private func checkRecursive(
  _ mode: String, _ mount: VolumeMount, _ path: FieldPath, _ errors: inout [FieldError]
) {
  switch mode {
  case "Disabled": break
  case "Enabled", "IfPossible":
    if !mount.readOnly {
      errors.append(.forbidden(path, "may only be specified when readOnly is true"))
    }
    if let propagation = mount.mountPropagation, propagation != "None" {
      errors.append(
        .forbidden(path, "may only be specified when mountPropagation is None or not specified"))
    }
  default: errors.append(.notSupported(path, mode, ["Disabled", "Enabled", "IfPossible"]))
  }
}

/// Checks which volumes a container sees as block devices.
func checkVolumeDevices(
  _ container: Container, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  var names: Set<String> = []
  var paths: Set<String> = []
  for (i, device) in container.volumeDevices.enumerated() {
    let path = path.index(i)
    checkRequired(device.name, path.child("name"), &errors)
    checkRequired(device.devicePath, path.child("devicePath"), &errors)
    if let volume = context.volumes[device.name] {
      if volume.persistentVolumeClaim == nil && volume.ephemeral == nil {
        errors.append(
          .invalid(
            path.child("name"), device.name,
            "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
      }
    } else {
      errors.append(.notFound(path.child("name"), device.name))
    }
    if !names.insert(device.name).inserted {
      errors.append(.invalid(path.child("name"), device.name, "must be unique"))
    }
    if !paths.insert(device.devicePath).inserted {
      errors.append(.invalid(path.child("devicePath"), device.devicePath, "must be unique"))
    }
    if !device.devicePath.isEmpty { checkNoBacksteps(device.devicePath, path.child("devicePath"), &errors) }
  }
}
