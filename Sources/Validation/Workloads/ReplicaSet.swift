import API

extension ReplicaSet: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkNonnegative(spec.replicas, path.child("replicas"), &errors)
    checkNonnegative(spec.minReadySeconds, path.child("minReadySeconds"), &errors)
    checkWorkloadSelector(
      spec.selector, template: spec.template.metadata.labels, emptyMessage: "empty selector is invalid for deployment",
      path, &errors)
    checkLastingTemplate(spec.template, owner: "ReplicaSet", path.child("template"), &errors)
  }

  func validateChange(of old: ReplicaSet, _ errors: inout [FieldError]) {
    validate(&errors)
    checkImmutableJSON(spec.selector, old.spec.selector, FieldPath("spec").child("selector"), &errors)
  }

  func validateStatusChange(of old: ReplicaSet, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    checkNonnegative(status.observedGeneration, path.child("observedGeneration"), &errors)
    checkCounts(
      total: status.replicas,
      [
        ("fullyLabeledReplicas", status.fullyLabeledReplicas), ("readyReplicas", status.readyReplicas),
        ("availableReplicas", status.availableReplicas),
      ], path, &errors)
    if status.availableReplicas > status.readyReplicas {
      errors.append(
        .invalid(path.child("availableReplicas"), status.availableReplicas, "cannot be greater than readyReplicas"))
    }
  }
}

extension ReplicationController: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkNonnegative(spec.minReadySeconds, path.child("minReadySeconds"), &errors)
    if spec.selector.isEmpty { errors.append(.required(path.child("selector"))) }
    checkNonnegative(spec.replicas, path.child("replicas"), &errors)
    guard let template = spec.template else {
      errors.append(.required(path.child("template")))
      return
    }
    let fits = spec.selector.allSatisfy { template.metadata.labels[$0.key] == $0.value }
    if !fits {
      errors.append(
        .invalid(
          path.child("template", "metadata", "labels"), template.metadata.labels,
          "`selector` does not match template `labels`"))
    }
    checkLastingTemplate(template, owner: "ReplicationController", path.child("template"), &errors)
  }
}
