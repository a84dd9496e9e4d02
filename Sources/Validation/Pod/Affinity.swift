import API

/// Checks where a pod wants to be.
func checkAffinity(_ affinity: Affinity, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let node = affinity.nodeAffinity {
    let path = path.child("nodeAffinity")
    if let selector = node.requiredDuringSchedulingIgnoredDuringExecution {
      checkNodeSelector(selector, path.child("requiredDuringSchedulingIgnoredDuringExecution"), &errors)
    }
    for (i, term) in node.preferredDuringSchedulingIgnoredDuringExecution.enumerated() {
      let path = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(i)
      checkWeight(term.weight, path.child("weight"), &errors)
      checkNodeSelectorTerm(term.preference, path.child("preference"), &errors)
    }
  }
  if let pod = affinity.podAffinity {
    checkPodTerms(
      pod.requiredDuringSchedulingIgnoredDuringExecution, pod.preferredDuringSchedulingIgnoredDuringExecution,
      path.child("podAffinity"), &errors)
  }
  if let pod = affinity.podAntiAffinity {
    checkPodTerms(
      pod.requiredDuringSchedulingIgnoredDuringExecution, pod.preferredDuringSchedulingIgnoredDuringExecution,
      path.child("podAntiAffinity"), &errors)
  }
}

private func checkWeight(_ weight: Int32, _ path: FieldPath, _ errors: inout [FieldError]) {
  if weight < 1 || weight > 100 { errors.append(.invalid(path, weight, "must be in the range 1-100")) }
}

/// Checks a choice of nodes.
func checkNodeSelector(_ selector: NodeSelector, _ path: FieldPath, _ errors: inout [FieldError]) {
  let path = path.child("nodeSelectorTerms")
  if selector.nodeSelectorTerms.isEmpty {
    errors.append(.required(path, "must have at least one node selector term"))
    return
  }
  for (i, term) in selector.nodeSelectorTerms.enumerated() { checkNodeSelectorTerm(term, path.index(i), &errors) }
}

private func checkNodeSelectorTerm(_ term: NodeSelectorTerm, _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, requirement) in term.matchExpressions.enumerated() {
    let path = path.child("matchExpressions").index(i)
    checkNodeRequirement(requirement, path, &errors)
  }
  for (i, requirement) in term.matchFields.enumerated() {
    let path = path.child("matchFields").index(i)
    switch requirement.`operator` {
    case "In", "NotIn":
      if requirement.values.count != 1 {
        errors.append(
          .required(
            path.child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
      }
    default:
      errors.append(.invalid(path.child("operator"), requirement.`operator`, "not a valid selector operator"))
    }
    if requirement.key == "metadata.name" {
      for (j, value) in requirement.values.enumerated() {
        checkDNS1123Subdomain(value, path.child("values").index(j), &errors)
      }
    } else {
      errors.append(.invalid(path.child("key"), requirement.key, "not a valid field selector key"))
    }
  }
}

private func checkNodeRequirement(
  _ requirement: NodeSelectorRequirement, _ path: FieldPath, _ errors: inout [FieldError]
) {
  switch requirement.`operator` {
  case "In", "NotIn":
    if requirement.values.isEmpty {
      errors.append(.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
    }
  case "Exists", "DoesNotExist":
    if !requirement.values.isEmpty {
      errors.append(
        .forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    }
  case "Gt", "Lt":
    if requirement.values.count != 1 {
      errors.append(
        .required(path.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    }
  default:
    errors.append(.invalid(path.child("operator"), requirement.`operator`, "not a valid selector operator"))
  }
  checkLabelName(requirement.key, path.child("key"), &errors)
  for (i, value) in requirement.values.enumerated() {
    checkProblems(Names.isLabelValue(value), value, path.child("values").index(i), &errors)
  }
}

private func checkPodTerms(
  _ required: [PodAffinityTerm], _ preferred: [WeightedPodAffinityTerm], _ path: FieldPath,
  _ errors: inout [FieldError]
) {
  for (i, term) in required.enumerated() {
    checkPodTerm(term, path.child("requiredDuringSchedulingIgnoredDuringExecution").index(i), &errors)
  }
  for (i, term) in preferred.enumerated() {
    let path = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(i)
    checkWeight(term.weight, path.child("weight"), &errors)
    checkPodTerm(term.podAffinityTerm, path.child("podAffinityTerm"), &errors)
  }
}

private func checkPodTerm(_ term: PodAffinityTerm, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkLabelSelector(term.labelSelector, path.child("labelSelector"), &errors)
  checkLabelSelector(term.namespaceSelector, path.child("namespaceSelector"), &errors)
  for name in term.namespaces {
    checkProblems(Names.isDNS1123Label(name), name, path.child("namespace"), &errors)
  }
  for (field, keys) in [("matchLabelKeys", term.matchLabelKeys), ("mismatchLabelKeys", term.mismatchLabelKeys)] {
    for (i, key) in keys.enumerated() {
      checkLabelName(key, path.child(field).index(i), &errors)
      if term.labelSelector == nil {
        errors.append(.forbidden(path.child(field), "must not be specified when labelSelector is not set"))
      }
    }
  }
  if term.topologyKey.isEmpty {
    errors.append(.required(path.child("topologyKey"), "can not be empty"))
  }
  checkLabelName(term.topologyKey, path.child("topologyKey"), &errors)
}

/// Checks how pods are to be spread.
func checkTopologySpread(
  _ constraints: [TopologySpreadConstraint], _ path: FieldPath, _ errors: inout [FieldError]
) {
  let pair = "{topologyKey, whenUnsatisfiable}"
  for (i, constraint) in constraints.enumerated() {
    let path = path.index(i)
    if constraint.maxSkew <= 0 {
      errors.append(.invalid(path.child("maxSkew"), constraint.maxSkew, "must be greater than zero"))
    }
    if constraint.topologyKey.isEmpty {
      errors.append(.required(path.child("topologyKey"), "can not be empty"))
    } else {
      checkLabelName(constraint.topologyKey, path.child("topologyKey"), &errors)
    }
    checkOneOf(
      constraint.whenUnsatisfiable, ["DoNotSchedule", "ScheduleAnyway"], path.child("whenUnsatisfiable"), &errors)
    let twin = constraints[..<i].contains {
      $0.topologyKey == constraint.topologyKey && $0.whenUnsatisfiable == constraint.whenUnsatisfiable
    }
    if twin {
      errors.append(
        .duplicate(path.child(pair), "{\(constraint.topologyKey), \(constraint.whenUnsatisfiable)}"))
    }
    if let domains = constraint.minDomains {
      if domains <= 0 {
        errors.append(.invalid(path.child("minDomains"), domains, "must be greater than zero"))
      }
      if constraint.whenUnsatisfiable != "DoNotSchedule" {
        errors.append(
          .invalid(
            path.child("minDomains"), domains,
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(constraint.whenUnsatisfiable)"))
      }
    }
    if let policy = constraint.nodeAffinityPolicy {
      checkOneOf(policy, ["Honor", "Ignore"], path.child("nodeAffinityPolicy"), &errors)
    }
    if let policy = constraint.nodeTaintsPolicy {
      checkOneOf(policy, ["Honor", "Ignore"], path.child("nodeTaintsPolicy"), &errors)
    }
    checkLabelSelector(constraint.labelSelector, path.child("labelSelector"), &errors)
    for (j, key) in constraint.matchLabelKeys.enumerated() {
      checkLabelName(key, path.child("matchLabelKeys").index(j), &errors)
    }
    if !constraint.matchLabelKeys.isEmpty && constraint.labelSelector == nil {
      errors.append(
        .forbidden(path.child("matchLabelKeys"), "must not be specified when labelSelector is not set"))
    }
  }
}

/// Checks which taints a pod tolerates.
func checkTolerations(_ tolerations: [Toleration], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, toleration) in tolerations.enumerated() {
    let path = path.index(i)
    let op = toleration.`operator`
    if !toleration.key.isEmpty { checkLabelName(toleration.key, path.child("key"), &errors) }
    if toleration.key.isEmpty && op != "Exists" {
      errors.append(
        .invalid(
          path.child("operator"), op,
          "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
    }
    if toleration.tolerationSeconds != nil && toleration.effect != "NoExecute" {
      errors.append(
        .invalid(
          path.child("effect"), toleration.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    }
    switch op {
    case "Equal", "":
      let problems = Names.isLabelValue(toleration.value)
      if !problems.isEmpty {
        errors.append(.invalid(path.child("operator"), toleration.value, problems.joined(separator: ";")))
      }
    case "Exists":
      if !toleration.value.isEmpty {
        errors.append(
          .invalid(
            path.child("operator"), FieldJSON(toleration), "value must be empty when `operator` is 'Exists'"))
      }
    default: errors.append(.notSupported(path.child("operator"), op, ["Equal", "Exists"]))
    }
    if !toleration.effect.isEmpty { checkTaintEffect(toleration.effect, path.child("effect"), &errors) }
  }
}

/// Checks the effect of a taint.
func checkTaintEffect(_ effect: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkOneOf(effect, ["NoExecute", "NoSchedule", "PreferNoSchedule"], path, &errors)
}
