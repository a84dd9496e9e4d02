import API
import APIMachinery

/// The checks of the Pod Security Standards. Pure.
struct PodSecurityChecks {
  /// What a pod does that a level forbids: in a word, and in detail.
  struct Violation: Equatable {
    var reason: String
    var detail: String
  }

  private let level: PodSecurityLevel
  private let annotations: [String: String]
  private let spec: PodSpec
  private let context: PodSecurityContext?
  private let parts: [Part]
  private var violations: [Violation] = []

  /// A container of any sort.
  private struct Part {
    var name: String
    var security: SecurityContext?
    var ports: [ContainerPort]
    var hosts: [String]

    init(
      _ name: String, _ security: SecurityContext?, _ ports: [ContainerPort], _ probes: [Probe?],
      _ lifecycle: Lifecycle?
    ) {
      self.name = name
      self.security = security
      self.ports = ports
      let handlers = [lifecycle?.postStart, lifecycle?.preStop]
      hosts =
        (probes.flatMap { [$0?.httpGet?.host, $0?.tcpSocket?.host] }
        + handlers.flatMap { [$0?.httpGet?.host, $0?.tcpSocket?.host] }).compactMap { $0 }.filter { !$0.isEmpty }
    }
  }

  /// What a pod of that shape does against a level, in upstream's order.
  static func violations(_ level: PodSecurityLevel, _ metadata: ObjectMeta, _ spec: PodSpec) -> [Violation] {
    if level.level == .privileged { return [] }
    var checks = PodSecurityChecks(level, metadata, spec)
    checks.checkBaseline()
    if level.level == .restricted { checks.checkRestricted() }
    return checks.violations
  }

  /// `privileged (container "a" must not set …), hostPort (…)`.
  static func details(_ violations: [Violation]) -> String {
    violations.map { $0.detail.isEmpty ? $0.reason : "\($0.reason) (\($0.detail))" }.joined(separator: ", ")
  }

  private init(_ level: PodSecurityLevel, _ metadata: ObjectMeta, _ spec: PodSpec) {
    self.level = level
    self.spec = spec
    annotations = metadata.annotations
    context = spec.securityContext
    parts =
      (spec.initContainers + spec.containers).map {
        Part(
          $0.name, $0.securityContext, $0.ports, [$0.livenessProbe, $0.readinessProbe, $0.startupProbe], $0.lifecycle)
      }
      + spec.ephemeralContainers.map {
        Part(
          $0.name, $0.securityContext, $0.ports, [$0.livenessProbe, $0.readinessProbe, $0.startupProbe], $0.lifecycle)
      }
  }

  // MARK: Words

  private mutating func forbid(_ reason: String, _ detail: String) {
    violations.append(Violation(reason: reason, detail: detail))
  }

  private static func quoted(_ names: [String]) -> String { names.map { "\"\($0)\"" }.joined(separator: ", ") }

  private static func plural(_ word: String, _ count: Int) -> String { count == 1 ? word : word + "s" }

  private static func containers(_ names: [String]) -> String {
    "\(plural("container", names.count)) \(quoted(names))"
  }

  private func names(_ isBad: (Part) -> Bool) -> [String] { parts.filter(isBad).map(\.name) }

  /// `pod and containers "a", "b"`; nil if nobody is to blame.
  private static func setters(pod: Bool, _ containers: [String]) -> String? {
    var parts: [String] = []
    if pod { parts.append("pod") }
    if !containers.isEmpty { parts.append(Self.containers(containers)) }
    return parts.isEmpty ? nil : parts.joined(separator: " and ")
  }

  /// The pod has a user namespace of its own, so that root inside is nobody outside (KEP-127).
  private var isRelaxed: Bool { level.isAtLeast(35) && spec.hostUsers == false }

  private var isWindows: Bool { spec.os?.name == "windows" }

  // MARK: Baseline

  private static let defaultCapabilities: Set<String> = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
  ]

  private mutating func checkBaseline() {
    let isRestricted = level.level == .restricted
    checkAppArmor()
    if !isRestricted || !level.isAtLeast(22) { checkAddedCapabilities() }
    let shared = [("hostNetwork", spec.hostNetwork), ("hostPID", spec.hostPID), ("hostIPC", spec.hostIPC)].filter(\.1)
    if !shared.isEmpty { forbid("host namespaces", shared.map { "\($0.0)=true" }.joined(separator: ", ")) }
    if !isRestricted {
      let volumes = spec.volumes.filter { $0.hostPath != nil }.map(\.name)
      if !volumes.isEmpty {
        forbid("hostPath volumes", "\(Self.plural("volume", volumes.count)) \(Self.quoted(volumes))")
      }
    }
    checkHostPorts()
    checkProbeHosts()
    let privileged = names { $0.security?.privileged == true }
    if !privileged.isEmpty {
      forbid("privileged", "\(Self.containers(privileged)) must not set securityContext.privileged=true")
    }
    checkProcMount()
    checkSELinux()
    if !isRestricted || !level.isAtLeast(19) { checkSeccomp(isRequired: false) }
    checkSysctls()
    let hostProcesses = names { $0.security?.windowsOptions?.hostProcess == true }
    if let setters = Self.setters(pod: context?.windowsOptions?.hostProcess == true, hostProcesses) {
      forbid("hostProcess", "\(setters) must not set securityContext.windowsOptions.hostProcess=true")
    }
  }

  private mutating func checkAppArmor() {
    func isBad(_ profile: AppArmorProfile?) -> Bool { profile.map { $0.type == "Unconfined" } ?? false }
    let prefix = "container.apparmor.security.beta.kubernetes.io/"
    var found: [String] = []
    let bad = names { isBad($0.security?.appArmorProfile) }
    if let setters = Self.setters(pod: isBad(context?.appArmorProfile), bad) {
      found.append("\(setters) must not set AppArmor profile type to \"Unconfined\"")
    }
    let marks = annotations.filter { key, value in
      key.hasPrefix(prefix) && !value.isEmpty && value != "runtime/default" && !value.hasPrefix("localhost/")
    }
    let shown = marks.map { "\($0.key)=\(goQuoted($0.value))" }.sorted()
    if !shown.isEmpty {
      found.append("\(Self.plural("annotation", shown.count)) \(shown.joined(separator: ", "))")
    }
    if found.isEmpty { return }
    forbid(Self.plural("forbidden AppArmor profile", found.count), found.joined(separator: "; "))
  }

  private mutating func checkAddedCapabilities() {
    var capabilities: Set<String> = []
    let bad = names { part in
      let added = Set(part.security?.capabilities?.add ?? []).subtracting(Self.defaultCapabilities)
      capabilities.formUnion(added)
      return !added.isEmpty
    }
    if bad.isEmpty { return }
    forbid(
      "non-default capabilities",
      "\(Self.containers(bad)) must not include \(Self.quoted(capabilities.sorted())) in securityContext.capabilities.add"
    )
  }

  private mutating func checkHostPorts() {
    var ports: Set<String> = []
    let bad = names { part in
      let own = part.ports.filter { $0.hostPort != 0 }.map { String($0.hostPort) }
      ports.formUnion(own)
      return !own.isEmpty
    }
    if bad.isEmpty { return }
    forbid(
      "hostPort",
      "\(Self.containers(bad)) \(bad.count == 1 ? "uses" : "use") \(Self.plural("hostPort", ports.count)) "
        + ports.sorted().joined(separator: ", "))
  }

  private mutating func checkProbeHosts() {
    guard level.isAtLeast(34) else { return }
    let bad = Set(names { !$0.hosts.isEmpty }).sorted()
    if bad.isEmpty { return }
    let hosts = Set(parts.flatMap(\.hosts)).sorted()
    forbid(
      "probe or lifecycle host",
      "\(Self.containers(bad)) \(bad.count == 1 ? "uses" : "use") \(Self.plural("probe or lifecycle host", hosts.count)) "
        + Self.quoted(hosts))
  }

  private mutating func checkProcMount() {
    if isRelaxed { return }
    func isBad(_ mount: String?) -> Bool { mount.map { $0 != "Default" } ?? false }
    let bad = names { isBad($0.security?.procMount) }
    if bad.isEmpty { return }
    let types = Set(parts.compactMap(\.security?.procMount).filter(isBad)).sorted()
    forbid(
      "procMount", "\(Self.containers(bad)) must not set securityContext.procMount to \(Self.quoted(types))")
  }

  private mutating func checkSELinux() {
    var allowed: Set<String> = ["", "container_t", "container_init_t", "container_kvm_t"]
    if level.isAtLeast(31) { allowed.insert("container_engine_t") }
    var types: Set<String> = []
    var setsUser = false
    var setsRole = false
    func isBad(_ options: SELinuxOptions?) -> Bool {
      guard let options else { return false }
      let badType = !allowed.contains(options.type)
      if badType { types.insert(options.type) }
      if !options.user.isEmpty { setsUser = true }
      if !options.role.isEmpty { setsRole = true }
      return badType || !options.user.isEmpty || !options.role.isEmpty
    }
    let pod = isBad(context?.seLinuxOptions)
    guard let setters = Self.setters(pod: pod, names { isBad($0.security?.seLinuxOptions) }) else { return }
    var what: [String] = []
    if !types.isEmpty { what.append("\(Self.plural("type", types.count)) \(Self.quoted(types.sorted()))") }
    if setsUser { what.append("user may not be set") }
    if setsRole { what.append("role may not be set") }
    forbid(
      "seLinuxOptions",
      "\(setters) set forbidden securityContext.seLinuxOptions: \(what.joined(separator: "; "))")
  }

  private mutating func checkSysctls() {
    var allowed: Set<String> = [
      "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
      "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
    ]
    if level.isAtLeast(27) { allowed.insert("net.ipv4.ip_local_reserved_ports") }
    if level.isAtLeast(29) {
      allowed.formUnion([
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
      ])
    }
    if level.isAtLeast(32) { allowed.formUnion(["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]) }
    let bad = (context?.sysctls ?? []).map(\.name).filter { !allowed.contains($0) }
    if !bad.isEmpty { forbid("forbidden sysctls", bad.joined(separator: ", ")) }
  }

  // MARK: Seccomp, for both levels

  private mutating func checkSeccomp(isRequired: Bool) {
    guard level.isAtLeast(19) else { return checkSeccompAnnotations() }
    if isRequired, level.isAtLeast(25), isWindows { return }
    func isBad(_ profile: SeccompProfile?) -> Bool {
      profile.map { $0.type != "RuntimeDefault" && $0.type != "Localhost" } ?? false
    }
    let pod = context?.seccompProfile
    let bad = names { isBad($0.security?.seccompProfile) }
    if let setters = Self.setters(pod: isBad(pod), bad) {
      let values = Set(([pod] + parts.map(\.security?.seccompProfile)).filter(isBad).compactMap(\.?.type))
      return forbid(
        "seccompProfile",
        "\(setters) must not set securityContext.seccompProfile.type to \(Self.quoted(values.sorted()))")
    }
    guard isRequired, pod == nil else { return }
    let unset = names { $0.security?.seccompProfile == nil }
    if unset.isEmpty { return }
    forbid(
      "seccompProfile",
      "pod or \(Self.containers(unset)) must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
        + "\"Localhost\"")
  }

  private mutating func checkSeccompAnnotations() {
    let pod = "seccomp.security.alpha.kubernetes.io/pod"
    let keys = [pod] + parts.map { "container.seccomp.security.alpha.kubernetes.io/\($0.name)" }
    let bad = Set(keys).compactMap { key -> String? in
      guard let value = annotations[key], value != "runtime/default", value != "docker/default",
        !value.hasPrefix("localhost/")
      else { return nil }
      return "\(key)=\(goQuoted(value))"
    }.sorted()
    if bad.isEmpty { return }
    forbid("seccompProfile", "forbidden \(Self.plural("annotation", bad.count)) \(bad.joined(separator: ", "))")
  }

  // MARK: Restricted

  private mutating func checkRestricted() {
    if level.isAtLeast(8), !(level.isAtLeast(25) && isWindows) {
      let bad = names { $0.security?.allowPrivilegeEscalation != false }
      if !bad.isEmpty {
        forbid(
          "allowPrivilegeEscalation != false",
          "\(Self.containers(bad)) must set securityContext.allowPrivilegeEscalation=false")
      }
    }
    if level.isAtLeast(22), !(level.isAtLeast(25) && isWindows) { checkDroppedCapabilities() }
    checkVolumes()
    if !isRelaxed {
      checkNonRoot()
      if level.isAtLeast(23) {
        let bad = names { $0.security?.runAsUser == 0 }
        if let setters = Self.setters(pod: context?.runAsUser == 0, bad) {
          forbid("runAsUser=0", "\(setters) must not set runAsUser=0")
        }
      }
    }
    if level.isAtLeast(19) { checkSeccomp(isRequired: true) }
  }

  private mutating func checkDroppedCapabilities() {
    var added: Set<String> = []
    let keeping = names { $0.security?.capabilities?.drop.contains("ALL") != true }
    let adding = names { part in
      let own = Set(part.security?.capabilities?.add ?? []).subtracting(["NET_BIND_SERVICE"])
      added.formUnion(own)
      return !own.isEmpty
    }
    var details: [String] = []
    if !keeping.isEmpty {
      details.append("\(Self.containers(keeping)) must set securityContext.capabilities.drop=[\"ALL\"]")
    }
    if !adding.isEmpty {
      details.append(
        "\(Self.containers(adding)) must not include \(Self.quoted(added.sorted())) in securityContext.capabilities.add"
      )
    }
    if !details.isEmpty { forbid("unrestricted capabilities", details.joined(separator: "; ")) }
  }

  private mutating func checkVolumes() {
    let allowed: Set = [
      "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
      "secret",
    ]
    var names: [String] = []
    var types: Set<String> = []
    for volume in spec.volumes {
      let sources = (try? JSONValue(parsing: volume.encoded()))?.objectValue?.keys.filter { $0 != "name" } ?? []
      let bad = sources.filter { !allowed.contains($0) }
      if bad.isEmpty, !sources.isEmpty { continue }
      names.append(volume.name)
      types.formUnion(bad.isEmpty ? ["unknown"] : bad)
    }
    if names.isEmpty { return }
    forbid(
      "restricted volume types",
      "\(Self.plural("volume", names.count)) \(Self.quoted(names)) \(names.count == 1 ? "uses" : "use") "
        + "\(Self.plural("restricted volume type", types.count)) \(Self.quoted(types.sorted()))")
  }

  private mutating func checkNonRoot() {
    let pod = context?.runAsNonRoot
    let bad = names { $0.security?.runAsNonRoot == false }
    if let setters = Self.setters(pod: pod == false, bad) {
      return forbid("runAsNonRoot != true", "\(setters) must not set securityContext.runAsNonRoot=false")
    }
    if pod == true { return }
    let unset = names { $0.security?.runAsNonRoot == nil }
    if unset.isEmpty { return }
    forbid(
      "runAsNonRoot != true", "pod or \(Self.containers(unset)) must set securityContext.runAsNonRoot=true")
  }
}
