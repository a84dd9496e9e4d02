import API

extension StatefulSet: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkRequiredManagement(path.child("podManagementPolicy"), &errors)
    checkUpdateStrategy(path.child("updateStrategy"), &errors)
    if let retention = spec.persistentVolumeClaimRetentionPolicy {
      let path = path.child("persistentVolumeClaimRetentionPolicy")
      checkOneOf(retention.whenDeleted, ["Retain", "Delete"], path.child("whenDeleted"), &errors)
      checkOneOf(retention.whenScaled, ["Retain", "Delete"], path.child("whenScaled"), &errors)
    }
    checkNonnegative(spec.replicas, path.child("replicas"), &errors)
    checkNonnegative(spec.minReadySeconds, path.child("minReadySeconds"), &errors)
    checkNonnegative(spec.ordinals?.start, path.child("ordinals.start"), &errors)
    if !spec.serviceName.isEmpty {
      checkDNS1123Label(spec.serviceName, path.child("serviceName"), &errors)
    }
    checkWorkloadSelector(
      spec.selector, template: spec.template.metadata.labels, emptyMessage: "empty selector is invalid for statefulset",
      path, &errors)
    var template = spec.template
    // The claims of the set become volumes of its pods, so mounts may name them.
    for claim in spec.volumeClaimTemplates {
      template.spec.volumes.removeAll { $0.name == claim.metadata.name }
      template.spec.volumes.append(
        Volume { volume in
          volume.name = claim.metadata.name
          volume.persistentVolumeClaim = PersistentVolumeClaimVolumeSource { $0.claimName = claim.metadata.name }
        })
    }
    checkLastingTemplate(template, owner: "StatefulSet", path.child("template"), &errors)
    checkNonnegative(spec.revisionHistoryLimit, path.child("revisionHistoryLimit"), &errors)
  }

  private func checkRequiredManagement(_ path: FieldPath, _ errors: inout [FieldError]) {
    switch spec.podManagementPolicy {
    case "": errors.append(.required(path))
    case "OrderedReady", "Parallel": break
    default:
      errors.append(.invalid(path, spec.podManagementPolicy, "must be 'OrderedReady' or 'Parallel'"))
    }
  }

  private func checkUpdateStrategy(_ path: FieldPath, _ errors: inout [FieldError]) {
    switch spec.updateStrategy.type {
    case "": errors.append(.required(path))
    case "OnDelete":
      if let rolling = spec.updateStrategy.rollingUpdate {
        errors.append(
          .invalid(
            path.child("rollingUpdate"), FieldJSON(rolling),
            "only allowed for updateStrategy 'RollingUpdate'"))
      }
    case "RollingUpdate":
      guard let rolling = spec.updateStrategy.rollingUpdate else { return }
      let path = path.child("rollingUpdate")
      checkNonnegative(rolling.partition, path.child("partition"), &errors)
      if let most = rolling.maxUnavailable {
        checkIntOrPercent(most, path.child("maxUnavailable"), &errors)
        if isZero(most) { errors.append(.invalid(path.child("maxUnavailable"), most, "cannot be 0")) }
        checkAtMostAll(most, path.child("maxUnavailable"), &errors)
      }
    default:
      errors.append(
        .invalid(path, FieldJSON(spec.updateStrategy), "must be 'RollingUpdate' or 'OnDelete'"))
    }
  }

  func validateChange(of old: StatefulSet, _ errors: inout [FieldError]) {
    validate(&errors)
    var level = spec
    level.replicas = old.spec.replicas
    level.ordinals = old.spec.ordinals
    level.template = old.spec.template
    level.updateStrategy = old.spec.updateStrategy
    level.minReadySeconds = old.spec.minReadySeconds
    level.persistentVolumeClaimRetentionPolicy = old.spec.persistentVolumeClaimRetentionPolicy
    level.revisionHistoryLimit = old.spec.revisionHistoryLimit
    if level != old.spec {
      errors.append(
        .forbidden(
          FieldPath("spec"),
          "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            + "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
    }
  }

  func validateStatusChange(of old: StatefulSet, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    checkNonnegative(status.observedGeneration, path.child("observedGeneration"), &errors)
    checkCounts(
      total: status.replicas,
      [
        ("readyReplicas", status.readyReplicas), ("currentReplicas", status.currentReplicas),
        ("updatedReplicas", status.updatedReplicas), ("availableReplicas", status.availableReplicas),
      ], path, &errors)
    if status.availableReplicas > status.readyReplicas {
      errors.append(
        .invalid(
          path.child("availableReplicas"), status.availableReplicas, "cannot be greater than status.readyReplicas"))
    }
  }
}

extension ControllerRevision: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkNonnegative(revision, FieldPath("revision"), &errors)
    if data == .null { errors.append(.required(FieldPath("data"), "data is mandatory")) }
  }

  func validateChange(of old: ControllerRevision, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(data, old.data, FieldPath("data"), &errors)
  }
}
