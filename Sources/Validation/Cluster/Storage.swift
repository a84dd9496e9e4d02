import API

extension StorageClass: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("provisioner")
    if provisioner.isEmpty {
      errors.append(.required(path, provisioner))
    } else {
      checkProblems(Names.isQualifiedName(provisioner.lowercased()), provisioner, path, &errors)
    }
    checkParameters(parameters, FieldPath("parameters"), &errors)
    if let policy = reclaimPolicy, !policy.isEmpty {
      checkOneOf(policy, ["Delete", "Retain"], FieldPath("reclaimPolicy"), &errors)
    }
    if let mode = volumeBindingMode {
      checkOneOf(mode, ["Immediate", "WaitForFirstConsumer"], FieldPath("volumeBindingMode"), &errors)
    } else {
      errors.append(.required(FieldPath("volumeBindingMode")))
    }
    for (i, term) in allowedTopologies.enumerated() {
      let path = FieldPath("allowedTopologies").index(i).child("matchLabelExpressions")
      var seen: Set<String> = []
      for (j, expression) in term.matchLabelExpressions.enumerated() {
        checkLabelName(expression.key, path.index(j).child("key"), &errors)
        if !seen.insert(expression.key).inserted {
          errors.append(.duplicate(path.index(j).child("key"), expression.key))
        }
        if expression.values.isEmpty { errors.append(.required(path.index(j).child("values"))) }
      }
    }
  }

  func validateChange(of old: StorageClass, _ errors: inout [FieldError]) {
    if parameters != old.parameters {
      errors.append(.forbidden(FieldPath("parameters"), "updates to parameters are forbidden."))
    }
    if provisioner != old.provisioner {
      errors.append(.forbidden(FieldPath("provisioner"), "updates to provisioner are forbidden."))
    }
    if reclaimPolicy != old.reclaimPolicy {
      errors.append(.forbidden(FieldPath("reclaimPolicy"), "updates to reclaimPolicy are forbidden."))
    }
    checkImmutable(volumeBindingMode, old.volumeBindingMode, FieldPath("volumeBindingMode"), &errors)
  }
}

/// At most 512 parameters, together at most 256 KiB, none without a name.
private func checkParameters(_ parameters: [String: String], _ path: FieldPath, _ errors: inout [FieldError]) {
  if parameters.count > 512 {
    errors.append(.tooLong(path, max: 512))
    return
  }
  var size = 0
  for (key, value) in parameters {
    if key.isEmpty { errors.append(.invalid(path, key, "field can not be empty.")) }
    size += key.utf8.count + value.utf8.count
  }
  if size > 256 * 1024 { errors.append(.tooLong(path, max: 256 * 1024)) }
}

extension VolumeAttributesClass: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkCSIDriverName(driverName, FieldPath("driverName"), &errors)
    if parameters.isEmpty {
      errors.append(.required(FieldPath("parameters"), "must contain at least one key/value pair"))
    }
    checkParameters(parameters, FieldPath("parameters"), &errors)
  }

  func validateChange(of old: VolumeAttributesClass, _ errors: inout [FieldError]) {
    checkImmutable(driverName, old.driverName, FieldPath("driverName"), &errors)
    checkImmutable(parameters, old.parameters, FieldPath("parameters"), &errors)
  }
}

extension CSIDriver: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkCSIDriverName(metadata.name, FieldPath("metadata").child("name"), &errors)
    let path = FieldPath("spec")
    for (field, value) in [
      ("attachRequired", spec.attachRequired), ("podInfoOnMount", spec.podInfoOnMount),
      ("storageCapacity", spec.storageCapacity),
    ] where value == nil {
      errors.append(.required(path.child(field)))
    }
    if let policy = spec.fsGroupPolicy {
      checkOneOf(policy, ["File", "None", "ReadWriteOnceWithFSType"], path.child("fsGroupPolicy"), &errors)
    }
    for mode in spec.volumeLifecycleModes {
      checkOneOf(mode, ["Ephemeral", "Persistent"], path.child("volumeLifecycleModes"), &errors)
    }
  }

  func validateChange(of old: CSIDriver, _ errors: inout [FieldError]) {
    validate(&errors)
    let path = FieldPath("spec")
    checkImmutable(spec.attachRequired, old.spec.attachRequired, path.child("attachRequired"), &errors)
    checkImmutable(
      spec.volumeLifecycleModes, old.spec.volumeLifecycleModes, path.child("volumeLifecycleModes"), &errors)
  }
}

extension CSINode: Validated {
  func validate(_ errors: inout [FieldError]) {
    var names: Set<String> = []
    for (i, driver) in spec.drivers.enumerated() {
      let path = FieldPath("spec").child("drivers").index(i)
      checkCSIDriverName(driver.name, path.child("name"), &errors)
      checkRequired(driver.nodeID, path.child("nodeID"), &errors)
      if !names.insert(driver.name).inserted { errors.append(.duplicate(path.child("name"), driver.name)) }
    }
  }
}

extension CSIStorageCapacity: Validated {
  func validate(_ errors: inout [FieldError]) {
    if storageClassName.isEmpty {
      errors.append(.required(FieldPath("storageClassName")))
    } else {
      checkDNS1123Subdomain(storageClassName, FieldPath("storageClassName"), &errors)
    }
    checkLabelSelector(nodeTopology, FieldPath("nodeTopology"), &errors)
  }

  func validateChange(of old: CSIStorageCapacity, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(nodeTopology, old.nodeTopology, FieldPath("nodeTopology"), &errors)
    checkImmutable(storageClassName, old.storageClassName, FieldPath("storageClassName"), &errors)
  }
}

extension VolumeAttachment: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkRequired(spec.attacher, path.child("attacher"), &errors)
    if spec.source.inlineVolumeSpec == nil && (spec.source.persistentVolumeName ?? "").isEmpty {
      errors.append(
        .required(path.child("source"), "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    }
    if spec.nodeName.isEmpty {
      errors.append(.required(path.child("nodeName")))
    } else {
      checkDNS1123Subdomain(spec.nodeName, path.child("nodeName"), &errors)
    }
  }

  func validateChange(of old: VolumeAttachment, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(spec, old.spec, FieldPath("spec"), &errors)
  }
}
