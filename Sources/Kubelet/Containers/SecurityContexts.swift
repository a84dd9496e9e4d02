import API
import CRI

/// Turns security contexts into CRI's terms. Pure.
enum SecurityContexts {
  static let maskedPaths = [
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
  ]
  static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

  /// The user and group that apply, the container's word before the pod's.
  static func runAsUser(_ pod: Pod, _ container: Container) -> Int64? {
    container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser
  }

  static func namespaces(_ pod: Pod, target: String? = nil) -> CRINamespaceOption {
    var out = CRINamespaceOption()
    out.network = pod.spec.hostNetwork ? .node : .pod
    out.ipc = pod.spec.hostIPC ? .node : .pod
    if let target {
      out.pid = .target
      out.targetID = target
    } else {
      out.pid = pod.spec.hostPID ? .node : pod.spec.shareProcessNamespace == true ? .pod : .container
    }
    return out
  }

  static func supplementalGroups(_ pod: Pod) -> [Int64] {
    var groups = pod.spec.securityContext?.supplementalGroups ?? []
    if let group = pod.spec.securityContext?.fsGroup, !groups.contains(group) { groups.append(group) }
    return groups
  }

  static func seccomp(_ profile: SeccompProfile?, default runtimeDefault: Bool) -> CRISecurityProfile {
    var out = CRISecurityProfile()
    switch profile?.type {
    case "RuntimeDefault": out.profileType = .runtimeDefault
    case "Localhost":
      out.profileType = .localhost
      out.localhostRef = "/var/lib/kubelet/seccomp/" + (profile?.localhostProfile ?? "")
    case nil: out.profileType = runtimeDefault ? .runtimeDefault : .unconfined
    default: out.profileType = .unconfined
    }
    return out
  }

  static func sandbox(_ pod: Pod, seccompDefault: Bool) -> CRILinuxSandboxSecurityContext {
    var out = CRILinuxSandboxSecurityContext()
    out.namespaceOptions = namespaces(pod)
    out.privileged = pod.allContainers.contains { $0.securityContext?.privileged == true }
    // The sandbox holds only the pause process, for which the runtime's default profile is always right.
    out.seccomp = seccomp(pod.spec.securityContext?.seccompProfile, default: true)
    if let user = pod.spec.securityContext?.runAsUser { out.runAsUser = int(user) }
    if let group = pod.spec.securityContext?.runAsGroup { out.runAsGroup = int(group) }
    if out.hasRunAsGroup, !out.hasRunAsUser { out.clearRunAsGroup() }
    out.supplementalGroups = supplementalGroups(pod)
    if pod.spec.securityContext?.supplementalGroupsPolicy == "Strict" { out.supplementalGroupsPolicy = .strict }
    if let options = pod.spec.securityContext?.seLinuxOptions { out.selinuxOptions = selinux(options) }
    return out
  }

  static func container(
    _ pod: Pod, _ container: Container, imageUser: (uid: Int64?, name: String), seccompDefault: Bool, target: String?
  ) -> CRILinuxContainerSecurityContext {
    let own = container.securityContext
    let shared = pod.spec.securityContext
    var out = CRILinuxContainerSecurityContext()
    out.namespaceOptions = namespaces(pod, target: target)
    out.privileged = own?.privileged ?? false
    out.readonlyRootfs = own?.readOnlyRootFilesystem ?? false
    out.noNewPrivs = own?.allowPrivilegeEscalation == false
    out.supplementalGroups = supplementalGroups(pod)
    if shared?.supplementalGroupsPolicy == "Strict" { out.supplementalGroupsPolicy = .strict }
    if let user = runAsUser(pod, container) {
      out.runAsUser = int(user)
    } else if let uid = imageUser.uid {
      out.runAsUser = int(uid)
    } else {
      out.runAsUsername = imageUser.name
    }
    if let group = own?.runAsGroup ?? shared?.runAsGroup { out.runAsGroup = int(group) }
    if let capabilities = own?.capabilities {
      out.capabilities.addCapabilities = capabilities.add
      out.capabilities.dropCapabilities = capabilities.drop
    }
    if let options = own?.seLinuxOptions ?? shared?.seLinuxOptions { out.selinuxOptions = selinux(options) }
    out.seccomp = seccomp(own?.seccompProfile ?? shared?.seccompProfile, default: seccompDefault)
    if let profile = own?.appArmorProfile ?? shared?.appArmorProfile {
      switch profile.type {
      case "Localhost":
        out.apparmor.profileType = .localhost
        out.apparmor.localhostRef = profile.localhostProfile ?? ""
      case "RuntimeDefault": out.apparmor.profileType = .runtimeDefault
      default: out.apparmor.profileType = .unconfined
      }
    }
    if own?.procMount != "Unmasked" {
      out.maskedPaths = maskedPaths
      out.readonlyPaths = readonlyPaths
    }
    return out
  }

  /// Refuses to run as root what must not.
  static func verifyNonRoot(_ pod: Pod, _ container: Container, imageUser: (uid: Int64?, name: String)) throws {
    guard container.securityContext?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot ?? false else { return }
    let where_ = "(pod: \"\(pod.display)\", container: \(container.name))"
    if let user = runAsUser(pod, container) {
      if user == 0 {
        throw ContainerConfigError(description: "container's runAsUser breaks non-root policy \(where_)")
      }
      return
    }
    if imageUser.uid == nil, !imageUser.name.isEmpty {
      throw ContainerConfigError(
        description:
          "container has runAsNonRoot and image has non-numeric user (\(imageUser.name)), cannot verify user is non-root \(where_)"
      )
    }
    if imageUser.uid ?? 0 == 0 {
      throw ContainerConfigError(description: "container has runAsNonRoot and image will run as root \(where_)")
    }
  }

  private static func int(_ value: Int64) -> CRIInt64Value {
    var out = CRIInt64Value()
    out.value = value
    return out
  }

  private static func selinux(_ options: SELinuxOptions) -> CRISELinuxOption {
    var out = CRISELinuxOption()
    out.user = options.user
    out.role = options.role
    out.type = options.type
    out.level = options.level
    return out
  }
}
