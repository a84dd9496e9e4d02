import API

private let idMessage = "must be between 0 and 2147483647, inclusive"

private func checkID(_ id: Int64?, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let id, id < 0 || id > Int64(Int32.max) { errors.append(.invalid(path, id, idMessage)) }
}

/// Checks a pod's security settings and its use of the node's namespaces.
func checkPodSecurity(_ spec: PodSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  let securityPath = path.child("securityContext")
  if spec.shareProcessNamespace == true && spec.hostPID {
    errors.append(
      .invalid(path.child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
  }
  if spec.hostUsers == false {
    let message = "when `hostUsers` is false"
    if spec.hostNetwork {
      errors.append(.forbidden(path.child("hostNetwork"), "when `hostUsers` is false"))
    }
    if spec.hostPID { errors.append(.forbidden(path.child("HostPID"), message)) }
    if spec.hostIPC { errors.append(.forbidden(path.child("HostIPC"), message)) }
  }
  guard let security = spec.securityContext else { return }
  for (i, group) in security.supplementalGroups.enumerated() {
    checkID(group, securityPath.child("supplementalGroups").index(i), &errors)
  }
  checkID(security.fsGroup, securityPath.child("fsGroup"), &errors)
  checkID(security.runAsUser, securityPath.child("runAsUser"), &errors)
  checkID(security.runAsGroup, securityPath.child("runAsGroup"), &errors)
  checkSysctls(security.sysctls, spec, securityPath.child("sysctls"), &errors)
  if let policy = security.fsGroupChangePolicy {
    checkOneOf(policy, ["Always", "OnRootMismatch"], securityPath.child("fsGroupChangePolicy"), &errors)
  }
  if let policy = security.supplementalGroupsPolicy {
    checkOneOf(policy, ["Merge", "Strict"], securityPath.child("supplementalGroupsPolicy"), &errors)
  }
  checkSeccomp(security.seccompProfile, securityPath.child("seccompProfile"), &errors)
  checkAppArmor(security.appArmorProfile, securityPath.child("appArmorProfile"), &errors)
}

private func checkSysctls(_ sysctls: [Sysctl], _ spec: PodSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  var names: Set<String> = []
  for (i, sysctl) in sysctls.enumerated() {
    let path = path.index(i).child("name")
    if sysctl.name.isEmpty {
      errors.append(.required(path))
      continue
    }
    if !isSysctlName(sysctl.name) {
      errors.append(
        .invalid(
          path, sysctl.name,
          "must have at most 253 characters and match regex "
            + #"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9][-_a-z0-9]*(?:[\./][a-z0-9][-_a-z0-9]*)*$"#))
    } else if !names.insert(sysctl.name.replacingSlashes).inserted {
      errors.append(.duplicate(path, sysctl.name))
    }
    let name = sysctl.name.replacingSlashes
    if spec.hostNetwork && name.hasPrefix("net.") {
      errors.append(.invalid(path, sysctl.name, "may not be specified when 'hostNetwork' is true"))
    }
    if spec.hostIPC
      && (name.hasPrefix("kernel.shm") || name.hasPrefix("kernel.msg") || name == "kernel.sem"
        || name.hasPrefix("fs.mqueue."))
    {
      errors.append(.invalid(path, sysctl.name, "may not be specified when 'hostIPC' is true"))
    }
  }
}

private func isSysctlName(_ name: String) -> Bool {
  guard name.utf8.count <= 253 else { return false }
  return name.replacingSlashes.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
    guard let first = part.utf8.first, first != 0x2D, first != 0x5F else { return false }
    return part.utf8.allSatisfy {
      ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x7A) || $0 == 0x2D || $0 == 0x5F
    }
  }
}

extension String {
  fileprivate var replacingSlashes: String { String(map { $0 == "/" ? "." : $0 }) }
}

private func checkSeccomp(_ profile: SeccompProfile?, _ path: FieldPath, _ errors: inout [FieldError]) {
  guard let profile else { return }
  if profile.type == "Localhost" {
    if let local = profile.localhostProfile {
      checkDescendingPath(local, path.child("localhostProfile"), &errors)
    } else {
      errors.append(.required(path.child("localhostProfile"), "must be set when seccomp type is Localhost"))
    }
  } else if profile.localhostProfile != nil {
    errors.append(
      .invalid(
        path.child("localhostProfile"), FieldJSON(profile), "can only be set when seccomp type is Localhost"))
  }
  checkRequiredOneOf(
    profile.type, ["Localhost", "RuntimeDefault", "Unconfined"], path.child("type"), &errors,
    hint: "type is required when seccompProfile is set")
}

private func checkAppArmor(_ profile: AppArmorProfile?, _ path: FieldPath, _ errors: inout [FieldError]) {
  guard let profile else { return }
  switch profile.type {
  case "Localhost":
    if let local = profile.localhostProfile, local.contains(where: { !$0.isWhitespace }) {
      if !isTrimmed(local) {
        errors.append(.invalid(path.child("localhostProfile"), local, "must not be padded with whitespace"))
      }
      if local.utf8.count > 4095 { errors.append(.tooLong(path.child("localhostProfile"), max: 4095)) }
    } else {
      errors.append(
        .required(path.child("localhostProfile"), "must be set when AppArmor type is Localhost"))
    }
  case "RuntimeDefault", "Unconfined":
    if let local = profile.localhostProfile {
      errors.append(
        .invalid(path.child("localhostProfile"), local, "can only be set when AppArmor type is Localhost"))
    }
  case "":
    errors.append(.required(path.child("type"), "type is required when appArmorProfile is set"))
  default:
    errors.append(.notSupported(path.child("type"), profile.type, ["Localhost", "RuntimeDefault", "Unconfined"]))
  }
}

/// Checks a container's security settings.
func checkSecurityContext(
  _ security: SecurityContext, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  checkID(security.runAsUser, path.child("runAsUser"), &errors)
  checkID(security.runAsGroup, path.child("runAsGroup"), &errors)
  if let mount = security.procMount {
    checkOneOf(mount, ["Default", "Unmasked"], path.child("procMount"), &errors)
    if context.hostUsers && mount == "Unmasked" {
      errors.append(.invalid(path.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`"))
    }
  }
  if security.allowPrivilegeEscalation == false {
    if security.privileged == true {
      errors.append(
        .invalid(
          path, FieldJSON(security), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
    }
    if security.capabilities?.add.contains("CAP_SYS_ADMIN") == true {
      errors.append(
        .invalid(
          path, FieldJSON(security),
          "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
    }
  }
  checkSeccomp(security.seccompProfile, path.child("seccompProfile"), &errors)
  checkAppArmor(security.appArmorProfile, path.child("appArmorProfile"), &errors)
}
