import API

// What a change of status must fulfil, for kinds whose other rules stand elsewhere.

extension ReplicationController {
  func validateStatusChange(of old: ReplicationController, _ errors: inout [FieldError]) {
    checkReplicaCounts(
      status.observedGeneration, total: status.replicas, labeled: status.fullyLabeledReplicas,
      ready: status.readyReplicas, available: status.availableReplicas, &errors)
  }
}

extension HorizontalPodAutoscaler {
  func validateStatusChange(of old: HorizontalPodAutoscaler, _ errors: inout [FieldError]) {
    checkNonnegative(status.currentReplicas, FieldPath("status").child("currentReplicas"), &errors)
    checkNonnegative(status.desiredReplicas, FieldPath("status").child("desiredReplicas"), &errors)
  }
}

extension ValidatingAdmissionPolicy {
  func validateStatusChange(of old: ValidatingAdmissionPolicy, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    for (i, warning) in (status.typeChecking?.expressionWarnings ?? []).enumerated() {
      let path = path.child("typeChecking").child("expressionWarnings").index(i)
      if warning.warning.isEmpty { errors.append(.required(path.child("warning"))) }
      if !warning.fieldRef.contains(where: { !$0.isWhitespace }) { errors.append(.required(path.child("fieldRef"))) }
    }
    checkConditions(status.conditions, path.child("conditions"), &errors)
  }
}

extension ServiceCIDR {
  /// A block of addresses can only get its other family.
  func validateChange(of old: ServiceCIDR, _ errors: inout [FieldError]) {
    validate(&errors)
    let path = FieldPath("spec").child("cidrs")
    if old.spec.cidrs.count == 1, spec.cidrs.count == 2 {
      if spec.cidrs[0] != old.spec.cidrs[0] {
        errors.append(.invalid(path.index(0), spec.cidrs[0], "field is immutable"))
      }
    } else {
      checkImmutable(spec.cidrs, old.spec.cidrs, path, &errors)
    }
  }
}

extension FlowSchema {
  func validateStatusChange(of old: FlowSchema, _ errors: inout [FieldError]) {
    checkTypes(status.conditions.map(\.type), &errors)
  }
}

extension PriorityLevelConfiguration {
  func validateStatusChange(of old: PriorityLevelConfiguration, _ errors: inout [FieldError]) {
    checkTypes(status.conditions.map(\.type), &errors)
  }
}

/// Conditions of flow control: each type once.
private func checkTypes(_ types: [String], _ errors: inout [FieldError]) {
  var seen: Set<String> = []
  for (i, type) in types.enumerated() {
    let path = FieldPath("status").child("conditions").index(i).child("type")
    if !seen.insert(type).inserted { errors.append(.duplicate(path, type)) }
    if type.isEmpty { errors.append(.required(path, "must not be empty")) }
  }
}

extension APIService {
  func validateStatusChange(of old: APIService, _ errors: inout [FieldError]) {
    for (i, condition) in status.conditions.enumerated() {
      checkOneOf(
        condition.status, ["True", "False", "Unknown"],
        FieldPath("status").child("conditions").index(i).child("status"), &errors)
    }
  }
}

extension CustomResourceDefinition {
  func validateStatusChange(of old: CustomResourceDefinition, _ errors: inout [FieldError]) {
    checkStoredVersions(&errors)
  }

  /// Versions in which objects are stored cannot go away, and the one they are stored in now is one of them.
  func checkStoredVersions(_ errors: inout [FieldError]) {
    let path = FieldPath("status").child("storedVersions")
    if status.storedVersions.isEmpty {
      errors.append(.invalid(path, [String](), "must have at least one stored version"))
      return
    }
    for version in spec.versions where version.storage && !status.storedVersions.contains(version.name) {
      errors.append(.invalid(path, FieldJSON(version), "must have the storage version " + version.name))
    }
    for (i, version) in status.storedVersions.enumerated()
    where !spec.versions.contains(where: { $0.name == version }) {
      errors.append(
        .invalid(
          path.index(i), version,
          "missing from spec.versions; \(version) was previously a storage version, and must remain in spec.versions "
            + "until a storage migration ensures no data remains persisted in \(version) and removes \(version) from "
            + "status.storedVersions"))
    }
  }
}

extension VolumeAttachment {
  func validateStatusChange(of old: VolumeAttachment, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    checkVolumeError(status.attachError, path.child("attachError"), &errors)
    checkVolumeError(status.detachError, path.child("detachError"), &errors)
    let size = status.attachmentMetadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    if size > 256 * 1024 { errors.append(.tooLong(path.child("attachmentMetadata"), max: 256 * 1024)) }
  }
}

private func checkVolumeError(_ error: VolumeError?, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let error, error.message.utf8.count > 1024 { errors.append(.tooLong(path.child("message"), max: 1024)) }
}

extension ResourceResourceClaim {
  func validateStatusChange(of old: ResourceResourceClaim, _ errors: inout [FieldError]) {
    checkClaimStatus(self, old: old, &errors)
  }
}
