import API

/// Checks a change of a pod's ephemeral containers: they are added, and stay as they are.
func checkEphemeralUpdate(_ new: Pod, old: Pod, _ errors: inout [FieldError]) {
  let path = FieldPath("spec").child("ephemeralContainers")
  checkContainers(new.spec, FieldPath("spec"), PodContext(new.spec, isTemplate: false), &errors)
  errors.removeAll { !$0.field.hasPrefix(path.description) && $0.field.hasPrefix("spec.") }
  let after = Dictionary(new.spec.ephemeralContainers.map { ($0.name, $0) }, uniquingKeysWith: { a, _ in a })
  for container in old.spec.ephemeralContainers {
    guard let now = after[container.name] else {
      errors.append(
        .forbidden(path, "existing ephemeral containers \(goQuoted(container.name)) may not be removed\n"))
      continue
    }
    if now != container {
      errors.append(
        .forbidden(path, "existing ephemeral containers \(goQuoted(container.name)) may not be changed\n"))
    }
  }
  if old.isMirror { errors.append(.forbidden(FieldPath("spec"), "static pods do not support ephemeral containers")) }
}

/// Checks a change of what running containers get: CPU and memory only, and never the quality-of-service class.
func checkResize(_ new: Pod, old: Pod, _ errors: inout [FieldError]) {
  let path = FieldPath("spec")
  if old.isMirror { errors.append(.forbidden(path, "static pods cannot be resized")) }
  if old.status.qosClass.isEmpty == false && new.computedQOSClass != old.computedQOSClass {
    errors.append(.invalid(path, old.status.qosClass, "Pod QOS Class may not change as a result of resizing"))
  }
  let claims = Set(new.spec.resourceClaims.map(\.name))
  for (field, list, before) in [
    ("containers", new.spec.containers, old.spec.containers),
    ("initContainers", new.spec.initContainers, old.spec.initContainers),
  ] {
    let path = path.child(field)
    if list.count != before.count {
      errors.append(.forbidden(path, "pod resize may not add or remove containers"))
      continue
    }
    for (i, container) in list.enumerated() {
      let place = path.index(i).child("resources")
      checkResources(container.resources, place, claims: claims, &errors)
      if others(container.resources) != others(before[i].resources) {
        errors.append(.forbidden(FieldPath("spec"), "only cpu and memory resources are mutable"))
      }
      for (part, now, was) in [
        ("requests", container.resources.requests, before[i].resources.requests),
        ("limits", container.resources.limits, before[i].resources.limits),
      ] where !was.isEmpty {
        for name in ["cpu", "memory"] where was[name] != nil && now[name] == nil {
          errors.append(.forbidden(place.child(part), "resource \(part) cannot be removed"))
        }
      }
    }
  }
}

/// Everything but CPU and memory.
private func others(_ resources: ResourceRequirements) -> ResourceRequirements {
  var rest = resources
  for name in ["cpu", "memory"] {
    rest.requests[name] = nil
    rest.limits[name] = nil
  }
  return rest
}
