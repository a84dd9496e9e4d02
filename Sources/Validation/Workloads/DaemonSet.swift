import API

extension DaemonSet: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkLabelSelector(spec.selector, path.child("selector"), &errors)
    if let matcher = try? spec.selector.selector(), !matcher.matches(spec.template.metadata.labels) {
      errors.append(
        .invalid(
          path.child("template", "metadata", "labels"), spec.template.metadata.labels,
          "`selector` does not match template `labels`"))
    }
    if let selector = spec.selector, selector.matchLabels.isEmpty && selector.matchExpressions.isEmpty {
      errors.append(
        .invalid(path.child("selector"), FieldJSON(selector), "empty selector is invalid for daemonset"))
    }
    checkLastingTemplate(spec.template, owner: "DaemonSet", path.child("template"), &errors)
    checkNonnegative(spec.minReadySeconds, path.child("minReadySeconds"), &errors)
    checkUpdateStrategy(path.child("updateStrategy"), &errors)
    checkNonnegative(spec.revisionHistoryLimit, path.child("revisionHistoryLimit"), &errors)
  }

  private func checkUpdateStrategy(_ path: FieldPath, _ errors: inout [FieldError]) {
    switch spec.updateStrategy.type {
    case "OnDelete": break
    case "RollingUpdate":
      guard let rolling = spec.updateStrategy.rollingUpdate else {
        errors.append(.required(path.child("rollingUpdate")))
        return
      }
      let path = path.child("rollingUpdate")
      checkIntOrPercent(rolling.maxUnavailable, path.child("maxUnavailable"), &errors)
      checkAtMostAll(rolling.maxUnavailable, path.child("maxUnavailable"), &errors)
      checkIntOrPercent(rolling.maxSurge, path.child("maxSurge"), &errors)
      checkAtMostAll(rolling.maxSurge, path.child("maxSurge"), &errors)
      let noneMissing = isZero(rolling.maxUnavailable)
      let noneMore = isZero(rolling.maxSurge)
      if !noneMissing && !noneMore {
        errors.append(
          .invalid(
            path.child("maxSurge"), rolling.maxSurge ?? .int(0), "may not be set when maxUnavailable is non-zero"))
      } else if noneMissing && noneMore {
        errors.append(.required(path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))
      }
    default:
      errors.append(.notSupported(path, FieldJSON(spec.updateStrategy), ["RollingUpdate", "OnDelete"]))
    }
  }

  func validateChange(of old: DaemonSet, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(spec.selector, old.spec.selector, FieldPath("spec").child("selector"), &errors)
  }

  func validateStatusChange(of old: DaemonSet, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    let counts = [
      ("currentNumberScheduled", status.currentNumberScheduled), ("numberMisscheduled", status.numberMisscheduled),
      ("desiredNumberScheduled", status.desiredNumberScheduled), ("numberReady", status.numberReady),
      ("updatedNumberScheduled", status.updatedNumberScheduled), ("numberAvailable", status.numberAvailable),
      ("numberUnavailable", status.numberUnavailable),
    ]
    for (name, count) in counts { checkNonnegative(count, path.child(name), &errors) }
    checkNonnegative(status.observedGeneration, path.child("observedGeneration"), &errors)
  }
}
