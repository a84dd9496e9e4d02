import API

extension Deployment: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkNonnegative(spec.replicas, path.child("replicas"), &errors)
    checkWorkloadSelector(
      spec.selector, template: spec.template.metadata.labels, emptyMessage: "empty selector is invalid for deployment",
      path, &errors)
    checkLastingTemplate(spec.template, owner: "ReplicaSet", path.child("template"), &errors)
    checkStrategy(path.child("strategy"), &errors)
    checkNonnegative(spec.minReadySeconds, path.child("minReadySeconds"), &errors)
    checkNonnegative(spec.revisionHistoryLimit, path.child("revisionHistoryLimit"), &errors)
    if let deadline = spec.progressDeadlineSeconds {
      checkNonnegative(deadline, path.child("progressDeadlineSeconds"), &errors)
      if deadline <= spec.minReadySeconds {
        errors.append(
          .invalid(path.child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds"))
      }
    }
  }

  private func checkStrategy(_ path: FieldPath, _ errors: inout [FieldError]) {
    switch spec.strategy.type {
    case "Recreate":
      if spec.strategy.rollingUpdate != nil {
        errors.append(
          .forbidden(path.child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'"))
      }
    case "RollingUpdate":
      guard let rolling = spec.strategy.rollingUpdate else {
        errors.append(.required(path.child("rollingUpdate"), "this should be defaulted and never be nil"))
        return
      }
      let path = path.child("rollingUpdate")
      checkIntOrPercent(rolling.maxUnavailable, path.child("maxUnavailable"), &errors)
      checkIntOrPercent(rolling.maxSurge, path.child("maxSurge"), &errors)
      if isZero(rolling.maxUnavailable) && isZero(rolling.maxSurge) {
        errors.append(
          .invalid(
            path.child("maxUnavailable"), rolling.maxUnavailable ?? .int(0), "may not be 0 when `maxSurge` is 0"))
      }
      checkAtMostAll(rolling.maxUnavailable, path.child("maxUnavailable"), &errors)
    default:
      errors.append(.notSupported(path, FieldJSON(spec.strategy), ["Recreate", "RollingUpdate"]))
    }
  }

  func validateChange(of old: Deployment, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(spec.selector, old.spec.selector, FieldPath("spec").child("selector"), &errors)
  }

  func validateStatusChange(of old: Deployment, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    checkNonnegative(status.observedGeneration, path.child("observedGeneration"), &errors)
    checkCounts(
      total: status.replicas,
      [
        ("updatedReplicas", status.updatedReplicas), ("readyReplicas", status.readyReplicas),
        ("availableReplicas", status.availableReplicas), ("unavailableReplicas", status.unavailableReplicas),
      ], path, &errors)
    if status.availableReplicas > status.readyReplicas {
      errors.append(
        .invalid(path.child("availableReplicas"), status.availableReplicas, "cannot be greater than readyReplicas"))
    }
    if let count = status.collisionCount {
      checkNonnegative(count, path.child("collisionCount"), &errors)
      if let before = old.status.collisionCount, count < before {
        errors.append(.invalid(path.child("collisionCount"), count, "cannot be decremented"))
      }
    }
  }
}

/// Checks numbers of pods: none negative, and none, but those that are missing, above the total.
func checkCounts(
  total: Int32, _ counts: [(String, Int32)], _ path: FieldPath, _ errors: inout [FieldError]
) {
  checkNonnegative(total, path.child("replicas"), &errors)
  for (name, count) in counts { checkNonnegative(count, path.child(name), &errors) }
  for (name, count) in counts where count > total && name != "unavailableReplicas" {
    errors.append(.invalid(path.child(name), count, "cannot be greater than status.replicas"))
  }
}
