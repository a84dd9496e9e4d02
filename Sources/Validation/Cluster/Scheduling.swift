import API

private let highestUserPriority: Int32 = 1_000_000_000
private let systemPriorities: [String: Int32] = [
  "system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000,
]

extension PriorityClass: Validated {
  func validate(_ errors: inout [FieldError]) {
    if metadata.name.hasPrefix("system-") {
      if systemPriorities[metadata.name] != value {
        errors.append(
          .forbidden(
            FieldPath("metadata").child("name"),
            "priority class names with 'system-' prefix are reserved for system use only. error: "
              + (systemPriorities[metadata.name] == nil
                ? "\(metadata.name) is not a known system priority class"
                : "value of \(metadata.name) PriorityClass must be \(systemPriorities[metadata.name] ?? 0)")))
      }
    } else if value > highestUserPriority {
      errors.append(
        .forbidden(
          FieldPath("value"), "maximum allowed value of a user defined priority is \(highestUserPriority)"))
    }
    if let policy = preemptionPolicy {
      checkRequiredOneOf(policy, ["Never", "PreemptLowerPriority"], FieldPath("preemptionPolicy"), &errors)
    }
  }

  func validateChange(of old: PriorityClass, _ errors: inout [FieldError]) {
    if value != old.value {
      errors.append(.forbidden(FieldPath("value"), "may not be changed in an update."))
    }
    checkImmutable(preemptionPolicy, old.preemptionPolicy, FieldPath("preemptionPolicy"), &errors)
  }
}

extension Lease: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if let seconds = spec.leaseDurationSeconds, seconds <= 0 {
      errors.append(.invalid(path.child("leaseDurationSeconds"), seconds, "must be greater than 0"))
    }
    if let count = spec.leaseTransitions, count < 0 {
      errors.append(.invalid(path.child("leaseTransitions"), count, "must be greater than or equal to 0"))
    }
    if let strategy = spec.strategy { checkLeaseStrategy(strategy, path.child("strategy"), &errors) }
    if let holder = spec.preferredHolder, !holder.isEmpty, (spec.strategy ?? "").isEmpty {
      errors.append(.forbidden(path.child("preferredHolder"), "may only be specified if `strategy` is defined"))
    }
  }
}

extension RuntimeClass: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkProblems(Names.isDNS1123Label(handler), handler, FieldPath("handler"), &errors)
    for (name, quantity) in (overhead?.podFixed ?? [:]).sorted(by: { $0.key < $1.key }) {
      let path = FieldPath("overhead").child("podFixed").key(name)
      checkContainerResourceName(name, path, &errors)
      checkQuantity(name, quantity, path, &errors)
    }
    if let scheduling {
      checkLabels(scheduling.nodeSelector, FieldPath("scheduling").child("nodeSelector"), &errors)
      checkTolerations(scheduling.tolerations, FieldPath("scheduling").child("tolerations"), &errors)
    }
  }

  func validateChange(of old: RuntimeClass, _ errors: inout [FieldError]) {
    checkImmutable(handler, old.handler, FieldPath("handler"), &errors)
  }
}

extension PodDisruptionBudget: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if spec.minAvailable != nil && spec.maxUnavailable != nil {
      errors.append(.invalid(path, FieldJSON(spec), "minAvailable and maxUnavailable cannot be both set"))
    }
    checkIntOrPercent(spec.minAvailable, path.child("minAvailable"), &errors)
    checkAtMostAll(spec.minAvailable, path.child("minAvailable"), &errors)
    checkIntOrPercent(spec.maxUnavailable, path.child("maxUnavailable"), &errors)
    checkAtMostAll(spec.maxUnavailable, path.child("maxUnavailable"), &errors)
    checkLabelSelector(spec.selector, path.child("selector"), &errors)
    if let policy = spec.unhealthyPodEvictionPolicy {
      checkOneOf(policy, ["AlwaysAllow", "IfHealthyBudget"], path.child("unhealthyPodEvictionPolicy"), &errors)
    }
  }

  func validateStatusChange(of old: PodDisruptionBudget, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    checkNonnegative(status.disruptionsAllowed, path.child("disruptionsAllowed"), &errors)
    checkNonnegative(status.currentHealthy, path.child("currentHealthy"), &errors)
    checkNonnegative(status.desiredHealthy, path.child("desiredHealthy"), &errors)
    checkNonnegative(status.expectedPods, path.child("expectedPods"), &errors)
  }
}
