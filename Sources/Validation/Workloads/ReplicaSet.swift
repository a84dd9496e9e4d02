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
    checkReplicaCounts(
      status.observedGeneration, total: status.replicas, labeled: status.fullyLabeledReplicas,
      ready: status.readyReplicas, available: status.availableReplicas, &errors)
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

/// The status of what keeps a number of pods.
func checkReplicaCounts(
  _ observed: Int64, total: Int32, labeled: Int32, ready: Int32, available: Int32, _ errors: inout [FieldError]
) {
  let path = FieldPath("status")
  checkNonnegative(observed, path.child("observedGeneration"), &errors)
  checkCounts(
    total: total,
    [("fullyLabeledReplicas", labeled), ("readyReplicas", ready), ("availableReplicas", available)], path, &errors)
  if available > ready {
    errors.append(.invalid(path.child("availableReplicas"), available, "cannot be greater than readyReplicas"))
  }
}
