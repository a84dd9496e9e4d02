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
  if old.isMirror { errors = [.forbidden(FieldPath(), "static pods do not support ephemeral containers")] }
}

/// Checks a change of what running containers get: CPU and memory only, and never the quality-of-service class.
func checkResize(_ new: Pod, old: Pod, _ errors: inout [FieldError]) {
  if old.isMirror {
    errors = [.forbidden(FieldPath(), "static pods cannot be resized")]
    return
  }
  if old.spec.os?.name == "windows" {
    errors = [.forbidden(FieldPath(), "windows pods cannot be resized")]
    return
  }
  let path = FieldPath("spec")
  let before = old.status.qosClass.isEmpty ? old.computedQOSClass : old.status.qosClass
  if new.computedQOSClass != before {
    errors.append(.invalid(path, new.status.qosClass, "Pod QOS Class may not change as a result of resizing"))
  }
  // A node that can resize tells what running containers have.
  if old.status.containerStatuses.first(where: { $0.state.running != nil })?.resources == nil,
    old.status.containerStatuses.contains(where: { $0.state.running != nil })
  {
    errors.append(.forbidden(path, "Pod running on node without support for resize"))
  }
  let claims = Set(new.spec.resourceClaims.map(\.name))
  for (field, list, earlier) in [
    ("initContainers", new.spec.initContainers, old.spec.initContainers),
    ("containers", new.spec.containers, old.spec.containers),
  ] {
    let path = path.child(field)
    if list.count != earlier.count {
      errors.append(.forbidden(path, "pod resize may not add or remove containers"))
      continue
    }
    for (i, container) in list.enumerated() where field == "containers" || container.isSidecar {
      let place = path.index(i).child("resources")
      checkResources(container.resources, place, claims: claims, &errors)
      checkResizePolicy(container.resizePolicy, path.index(i).child("resizePolicy"), &errors)
      let (now, was) = (container.resources, earlier[i].resources)
      if !Set(was.requests.keys).isSubset(of: now.requests.keys) {
        errors.append(.forbidden(place.child("requests"), "resource requests cannot be removed"))
      }
      if !Set(was.limits.keys).isSubset(of: now.limits.keys) {
        errors.append(.forbidden(place.child("limits"), "resource limits cannot be removed"))
      }
    }
    for (container, was) in zip(list, earlier) {
      if field == "containers" {
        if others(container.resources) != others(was.resources) {
          errors.append(.forbidden(FieldPath("spec"), "only cpu and memory resources are mutable"))
        }
      } else if container.isSidecar {
        if others(container.resources) != others(was.resources) {
          errors.append(
            .forbidden(FieldPath("spec"), "only cpu and memory resources for sidecar containers are mutable"))
        }
      } else if container != was {
        errors.append(.forbidden(FieldPath("spec"), "resources for non-sidecar init containers are immutable"))
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
