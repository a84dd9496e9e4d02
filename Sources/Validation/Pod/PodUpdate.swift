import API

private let changeableFields = [
  "`spec.containers[*].image`", "`spec.initContainers[*].image`", "`spec.activeDeadlineSeconds`",
  "`spec.tolerations` (only additions to existing tolerations)",
  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
]

/// Checks a change of a pod: few fields may change, and some only one way.
func checkPodUpdate(_ new: Pod, old: Pod, through subresource: String?, _ errors: inout [FieldError]) {
  switch subresource {
  case "binding": break
  case "ephemeralcontainers": checkEphemeralUpdate(new, old: old, &errors)
  case "resize": checkResize(new, old: old, &errors)
  case nil: checkOrdinaryUpdate(withoutParts(new, old), old: old, &errors)
  default: checkOrdinaryUpdate(new, old: old, &errors)
  }
}

/// The new pod with what only subresources change set back.
private func withoutParts(_ new: Pod, _ old: Pod) -> Pod {
  var new = new
  if old.spec.nodeName.isEmpty { new.spec.nodeName = "" }
  new.spec.ephemeralContainers = old.spec.ephemeralContainers
  for i in new.spec.containers.indices where i < old.spec.containers.count {
    new.spec.containers[i].resources = old.spec.containers[i].resources
    new.spec.containers[i].resizePolicy = old.spec.containers[i].resizePolicy
  }
  return new
}

private func checkOrdinaryUpdate(_ new: Pod, old: Pod, _ errors: inout [FieldError]) {
  let path = FieldPath("spec")
  checkCoreFinalizers(new.metadata.finalizers, FieldPath("metadata").child("finalizers"), &errors)
  checkContainerCounts(new, old, path, &errors)
  checkImages(new.spec.containers, path.child("containers"), &errors)
  checkImages(new.spec.initContainers, path.child("initContainers"), &errors)
  checkDeadline(new, old, path.child("activeDeadlineSeconds"), &errors)
  checkOnlyAdded(new.spec.tolerations, old.spec.tolerations, path.child("tolerations"), &errors)
  checkTolerations(new.spec.tolerations, path.child("tolerations"), &errors)
  checkGates(new, old, path, &errors)
  if new.spec == old.spec || !errors.isEmpty { return }
  let leveled = leveled(new.spec, old: old)
  if leveled != old.spec {
    errors.append(
      .forbidden(
        path,
        "pod updates may not change fields other than " + changeableFields.joined(separator: ",") + "\n"
          + difference(leveled, old.spec)))
  }
}

private func checkContainerCounts(_ new: Pod, _ old: Pod, _ path: FieldPath, _ errors: inout [FieldError]) {
  if new.spec.containers.count != old.spec.containers.count {
    errors.append(.forbidden(path.child("containers"), "pod updates may not add or remove containers"))
  }
  if new.spec.initContainers.count != old.spec.initContainers.count {
    errors.append(.forbidden(path.child("initContainers"), "pod updates may not add or remove containers"))
  }
}

private func checkImages(_ containers: [Container], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, container) in containers.enumerated() {
    if container.image.isEmpty { errors.append(.required(path.index(i).child("image"))) }
    if !isTrimmed(container.image) {
      errors.append(
        .invalid(
          path.index(i).child("image"), container.image, "must not have leading or trailing whitespace"))
    }
  }
}

/// A deadline can be set, and brought forward, but neither put off nor removed.
private func checkDeadline(_ new: Pod, _ old: Pod, _ path: FieldPath, _ errors: inout [FieldError]) {
  guard let deadline = new.spec.activeDeadlineSeconds else {
    if old.spec.activeDeadlineSeconds != nil {
      errors.append(
        .invalid(path, Int64?.none, "must not update from a positive integer to nil value"))
    }
    return
  }
  if deadline < 0 || deadline > Int64(Int32.max) {
    errors.append(.invalid(path, deadline, "must be between 0 and 2147483647, inclusive"))
    return
  }
  if let before = old.spec.activeDeadlineSeconds, deadline > before {
    errors.append(.invalid(path, deadline, "must be less than or equal to previous value"))
  }
}

/// Tolerations only become more; how long they last may change.
private func checkOnlyAdded(
  _ new: [Toleration], _ old: [Toleration], _ path: FieldPath, _ errors: inout [FieldError]
) {
  for before in old {
    let kept = new.contains {
      var toleration = $0
      if before.effect == "NoExecute" { toleration.tolerationSeconds = before.tolerationSeconds }
      return toleration == before
    }
    if !kept {
      errors.append(.forbidden(path, "existing toleration can not be modified except its tolerationSeconds"))
      return
    }
  }
}

private func checkGates(_ new: Pod, _ old: Pod, _ path: FieldPath, _ errors: inout [FieldError]) {
  let added = Set(new.spec.schedulingGates.map(\.name)).subtracting(old.spec.schedulingGates.map(\.name))
  if !added.isEmpty {
    errors.append(
      .forbidden(
        path.child("schedulingGates"),
        "only deletion is allowed, but found new scheduling gates "
          + added.sorted().joined(separator: ", ")))
  }
}

/// The new specification with everything that may change set back to what it was.
private func leveled(_ spec: PodSpec, old: Pod) -> PodSpec {
  var spec = spec
  for i in spec.containers.indices { spec.containers[i].image = old.spec.containers[i].image }
  for i in spec.initContainers.indices { spec.initContainers[i].image = old.spec.initContainers[i].image }
  spec.activeDeadlineSeconds = old.spec.activeDeadlineSeconds
  spec.tolerations = old.spec.tolerations
  if let grace = old.spec.terminationGracePeriodSeconds, grace < 0, spec.terminationGracePeriodSeconds == 1 {
    spec.terminationGracePeriodSeconds = grace
  }
  // A pod that waits at a gate may narrow its choice of nodes.
  if !old.spec.schedulingGates.isEmpty {
    spec.schedulingGates = old.spec.schedulingGates
    let kept = old.spec.nodeSelector.allSatisfy { spec.nodeSelector[$0.key] == $0.value }
    if kept { spec.nodeSelector = old.spec.nodeSelector }
    if narrows(spec.affinity?.nodeAffinity, old.spec.affinity?.nodeAffinity) {
      if old.spec.affinity == nil {
        if spec.affinity?.podAffinity == nil && spec.affinity?.podAntiAffinity == nil { spec.affinity = nil }
      } else {
        spec.affinity?.nodeAffinity = old.spec.affinity?.nodeAffinity
      }
    }
  }
  return spec
}

/// Every node that fits now fitted before: terms keep their number and their requirements.
private func narrows(_ new: NodeAffinity?, _ old: NodeAffinity?) -> Bool {
  guard let before = old?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms, !before.isEmpty else {
    return true
  }
  guard let after = new?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    after.count == before.count
  else { return false }
  return zip(after, before).allSatisfy { new, old in
    new.matchExpressions.starts(with: old.matchExpressions) && new.matchFields.starts(with: old.matchFields)
  }
}

/// The fields that differ, one a line: what was and what is asked for.
private func difference(_ new: PodSpec, _ old: PodSpec) -> String {
  guard let after = try? JSONValue(parsing: new.encoded()).objectValue,
    let before = try? JSONValue(parsing: old.encoded()).objectValue
  else { return "" }
  var lines = ["  core.PodSpec{"]
  for name in Set(after.keys).union(before.keys).sorted() where after[name] != before[name] {
    if let value = before[name] { lines.append("- \t\(name): \(String(decoding: value.encoded(), as: UTF8.self))") }
    if let value = after[name] { lines.append("+ \t\(name): \(String(decoding: value.encoded(), as: UTF8.self))") }
  }
  lines.append("  }")
  return lines.joined(separator: "\n") + "\n"
}
