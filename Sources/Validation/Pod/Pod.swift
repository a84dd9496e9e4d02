import API

extension Pod: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkCoreFinalizers(metadata.finalizers, FieldPath("metadata").child("finalizers"), &errors)
    checkPodSpec(spec, path, isTemplate: false, &errors)
    if !spec.schedulingGates.isEmpty && !spec.nodeName.isEmpty {
      errors.append(.forbidden(path.child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
    }
    if !spec.ephemeralContainers.isEmpty && metadata.uid.isEmpty {
      errors.append(
        .forbidden(path.child("ephemeralContainers"), "cannot be set on create"))
    }
    checkHostNameLength(path, &errors)
  }

  /// A pod's node puts its name into the kernel, whose limit is 64.
  private func checkHostNameLength(_ path: FieldPath, _ errors: inout [FieldError]) {
    if let name = spec.hostnameOverride, name.utf8.count > 64 {
      errors.append(.tooLong(path.child("hostnameOverride"), max: 64))
    }
  }

  func validateChange(of old: Pod, _ errors: inout [FieldError]) {
    checkPodUpdate(self, old: old, through: "", &errors)
  }

  func validateStatusChange(of old: Pod, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    if spec.nodeName != old.spec.nodeName {
      errors.append(.forbidden(path.child("nodeName"), "may not be changed directly"))
    }
    if !status.nominatedNodeName.isEmpty {
      checkDNS1123Subdomain(status.nominatedNodeName, path.child("nominatedNodeName"), &errors)
    }
    for (i, condition) in status.conditions.enumerated() where condition.type.contains("/") {
      checkLabelName(condition.type, path.child("conditions").index(i).child("type"), &errors)
    }
    checkTerminated(old, path, &errors)
    checkPodIPs(path, &errors)
  }

  /// A container that will not run again stays as it ended.
  private func checkTerminated(_ old: Pod, _ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.restartPolicy == "Always" { return }
    let after = Dictionary(status.containerStatuses.map { ($0.name, $0) }, uniquingKeysWith: { a, _ in a })
    for (i, before) in old.status.containerStatuses.enumerated() {
      guard let ended = before.state.terminated else { continue }
      if ended.exitCode != 0 && spec.restartPolicy == "OnFailure" { continue }
      if spec.containers.first(where: { $0.name == before.name })?.restartPolicy != nil { continue }
      if let now = after[before.name], now.state.terminated == nil {
        errors.append(
          .forbidden(
            path.child("containerStatuses").index(i).child("state"),
            "may not be transitioned to non-terminated state"))
      }
    }
  }

  private func checkPodIPs(_ path: FieldPath, _ errors: inout [FieldError]) {
    let path = path.child("podIPs")
    for (i, ip) in status.podIPs.enumerated() { checkIP(ip.ip, path.index(i), &errors) }
    if status.podIPs.count > 1 {
      let addresses = status.podIPs.compactMap { IPAddressBytes($0.ip) }
      if status.podIPs.count > 2 || Set(addresses.map(\.isV4)).count != 2 {
        errors.append(
          .invalid(path, status.podIPs, "may specify no more than one IP for each IP family"))
      }
    }
  }
}

extension PodTemplate: Validated {
  func validate(_ errors: inout [FieldError]) { checkPodTemplate(template, FieldPath("template"), &errors) }
}

/// Checks a template of pods.
func checkPodTemplate(_ template: PodTemplateSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkLabels(template.metadata.labels, path.child("labels"), &errors)
  checkAnnotations(template.metadata.annotations, path.child("annotations"), &errors)
  checkPodSpec(template.spec, path.child("spec"), isTemplate: true, &errors)
  if !template.spec.ephemeralContainers.isEmpty {
    errors.append(
      .forbidden(path.child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
  }
}
