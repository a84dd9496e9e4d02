import API

/// Why a container is killed; decides about hooks and grace.
enum KillReason: Sendable, Equatable { case unknown, startupProbe, livenessProbe, failedHook, restartAll, podDeleted }

/// A container to kill.
struct ContainerKill: Sendable, Equatable {
  var container: RuntimeContainer
  /// What the event says.
  var message: String
  var reason: KillReason
}

/// What has to be done so that the runtime has what the pod's spec asks for.
struct PodActions: Sendable, Equatable {
  /// Kill everything of the pod, sandbox included.
  var killPod = false
  /// Then make a sandbox.
  var createSandbox = false
  /// The sandbox to use, when none is to be made.
  var sandboxID = ""
  /// The attempt number of a sandbox to be made.
  var attempt: UInt32 = 0
  var kills: [ContainerKill] = []
  /// Indexes into `spec.initContainers`.
  var startInit: [Int] = []
  /// Indexes into `spec.ephemeralContainers`.
  var startEphemeral: [Int] = []
  /// Indexes into `spec.containers`.
  var start: [Int] = []

  /// Whether there is nothing to do.
  var isEmpty: Bool {
    !killPod && !createSandbox && kills.isEmpty && startInit.isEmpty && startEphemeral.isEmpty && start.isEmpty
  }
}

/// What probes found out, by container id.
struct ProbeResults: Sendable, Equatable {
  var liveness: [String: Bool] = [:]
  var readiness: [String: Bool] = [:]
  var startup: [String: Bool] = [:]
}

/// Compares a pod's spec with what runs. Pure.
enum PodActionComputer {
  static func compute(pod: Pod, runtime: RuntimePod, probes: ProbeResults) -> PodActions {
    var actions = PodActions()
    let change = sandboxChange(pod, runtime)
    actions.killPod = change.changed
    actions.createSandbox = change.changed
    actions.attempt = change.attempt
    actions.sandboxID = change.sandboxID
    if change.changed { return fromScratch(pod, runtime, actions) }

    for (index, container) in pod.spec.ephemeralContainers.enumerated()
    where runtime.container(container.name) == nil {
      actions.startEphemeral.append(index)
    }
    let initialized = initContainers(pod, runtime, probes, &actions)
    if actions.killPod || !initialized { return actions }

    var kept = 0
    for (index, container) in pod.spec.containers.enumerated() {
      guard let status = runtime.container(container.name), status.state == .running else {
        let status = runtime.container(container.name)
        if shouldRestart(container, pod, status) {
          actions.start.append(index)
          if let status, status.state == .unknown {
            actions.kills.append(
              ContainerKill(
                container: status,
                message: "Container is in \"unknown\" state, try killing it before restart", reason: .unknown))
          }
        }
        continue
      }
      var restart = restartsOnFailure(container, pod)
      var message: String
      var reason = KillReason.unknown
      if let hash = status.hash, hash != containerHash(container) {
        message = "Container \(container.name) definition changed"
        restart = true
      } else if probes.liveness[status.id] == false {
        message = "Container \(container.name) failed liveness probe"
        reason = .livenessProbe
      } else if probes.startup[status.id] == false {
        message = "Container \(container.name) failed startup probe"
        reason = .startupProbe
      } else {
        kept += 1
        continue
      }
      if restart {
        message += ", will be restarted"
        actions.start.append(index)
      }
      actions.kills.append(ContainerKill(container: status, message: message, reason: reason))
    }
    if kept == 0, actions.start.isEmpty {
      actions.killPod = true
      // Sidecars serve the containers; without those they have nothing to do.
      actions.startInit = []
    }
    return actions
  }

  // MARK: Sandbox

  /// Whether the pod needs a new sandbox, and the number it would get.
  static func sandboxChange(_ pod: Pod, _ runtime: RuntimePod) -> (changed: Bool, attempt: UInt32, sandboxID: String) {
    guard let newest = runtime.sandboxes.first else { return (true, 0, "") }
    let ready = runtime.sandboxes.filter(\.ready)
    if ready.count > 1 || !newest.ready { return (true, newest.attempt + 1, newest.id) }
    if newest.hostNetwork != pod.spec.hostNetwork { return (true, newest.attempt + 1, "") }
    if !newest.hostNetwork, newest.ips.isEmpty { return (true, newest.attempt + 1, newest.id) }
    return (false, newest.attempt, newest.id)
  }

  private static func fromScratch(_ pod: Pod, _ runtime: RuntimePod, _ base: PodActions) -> PodActions {
    var actions = base
    if pod.spec.restartPolicy == "Never", actions.attempt != 0, !runtime.containers.isEmpty {
      // A pod that must not restart has had its chance.
      actions.createSandbox = false
      return actions
    }
    let wanted = pod.spec.containers.indices.filter { index in
      let container = pod.spec.containers[index]
      guard policy(of: container, pod) == "OnFailure", let status = runtime.container(container.name) else {
        return true
      }
      return !(status.state == .exited && status.exitCode == 0)
    }
    if wanted.isEmpty, pod.spec.containers.contains(where: { runtime.container($0.name) != nil }) {
      actions.createSandbox = false
      return actions
    }
    actions.startEphemeral = []
    if pod.spec.initContainers.isEmpty {
      actions.start = Array(wanted)
    } else {
      actions.startInit = [0]
    }
    return actions
  }

  // MARK: Init containers

  /// Adds what init containers and sidecars need; true when the containers may start.
  private static func initContainers(
    _ pod: Pod, _ runtime: RuntimePod, _ probes: ProbeResults, _ actions: inout PodActions
  ) -> Bool {
    let inits = pod.spec.initContainers
    if inits.isEmpty { return true }
    let sandbox = actions.sandboxID
    // The init containers of an earlier sandbox say nothing about this one. A container that was in this sandbox
    // proves that initialization was done, even when the init containers have been cleaned up since.
    func status(_ name: String) -> RuntimeContainer? {
      runtime.containers.first { $0.name == name && $0.sandboxID == sandbox }
    }
    if pod.spec.containers.contains(where: { status($0.name) != nil }) {
      for (index, container) in inits.enumerated() where container.isSidecar {
        sidecar(container, index, status(container.name), probes, &actions)
      }
      return true
    }
    guard let last = inits.indices.last(where: { status(inits[$0].name) != nil }) else {
      actions.startInit = [0]
      return false
    }
    for index in 0..<last where inits[index].isSidecar {
      sidecar(inits[index], index, status(inits[index].name), probes, &actions)
    }
    let container = inits[last]
    guard let current = status(container.name) else { return false }
    var done = false
    if container.isSidecar {
      sidecar(container, last, current, probes, &actions)
      done = current.state == .running && (container.startupProbe == nil || probes.startup[current.id] == true)
    } else {
      switch current.state {
      case .created: actions.startInit.append(last)
      case .running: break
      case .exited:
        if current.exitCode == 0 {
          done = true
        } else if shouldRestart(container, pod, current) {
          actions.startInit.append(last)
        } else {
          actions.killPod = true
          actions.startInit = []
        }
      case .unknown:
        if restartsOnFailure(container, pod) {
          actions.kills.append(
            ContainerKill(
              container: current,
              message: "Init container is in \"unknown\" state, try killing it before restart", reason: .unknown))
          actions.startInit.append(last)
        } else {
          actions.killPod = true
          actions.startInit = []
        }
      }
    }
    guard done else { return false }
    if last + 1 < inits.count {
      actions.startInit.append(last + 1)
      return false
    }
    return true
  }

  private static func sidecar(
    _ container: Container, _ index: Int, _ status: RuntimeContainer?, _ probes: ProbeResults,
    _ actions: inout PodActions
  ) {
    guard let status else {
      actions.startInit.append(index)
      return
    }
    switch status.state {
    case .created, .exited: actions.startInit.append(index)
    case .unknown:
      actions.kills.append(
        ContainerKill(
          container: status, message: "Init container is in \"unknown\" state, try killing it before restart",
          reason: .unknown))
      actions.startInit.append(index)
    case .running:
      let failed: (String, KillReason)? =
        probes.startup[status.id] == false
        ? ("startup", .startupProbe) : probes.liveness[status.id] == false ? ("liveness", .livenessProbe) : nil
      guard let failed else { return }
      actions.kills.append(
        ContainerKill(
          container: status, message: "Init container \(container.name) failed \(failed.0) probe", reason: failed.1))
      actions.startInit.append(index)
    }
  }

  // MARK: Restart policy

  /// Whether a container that does not run shall be started.
  static func shouldRestart(_ container: Container, _ pod: Pod, _ status: RuntimeContainer?) -> Bool {
    if pod.metadata.deletionTimestamp != nil { return false }
    guard let status else { return true }
    switch status.state {
    case .running: return false
    case .unknown, .created: return true
    case .exited: return restarts(container, pod, exitCode: status.exitCode)
    }
  }

  /// Whether an exit with this code is followed by a restart: the container's own rules, then the policy.
  static func restarts(_ container: Container, _ pod: Pod, exitCode: Int32) -> Bool {
    for rule in container.restartPolicyRules {
      guard rule.action == "Restart", let codes = rule.exitCodes else { continue }
      let listed = codes.values.contains(exitCode)
      if codes.operator == "In" ? listed : codes.operator == "NotIn" && !listed { return true }
    }
    switch policy(of: container, pod) {
    case "Never": return false
    case "OnFailure": return exitCode != 0
    default: return true
    }
  }

  /// Whether a container that failed is started again. An init container always runs to success unless `Never`.
  static func restartsOnFailure(_ container: Container, _ pod: Pod) -> Bool { policy(of: container, pod) != "Never" }

  /// The container's own policy, else the pod's.
  static func policy(of container: Container, _ pod: Pod) -> String {
    if let own = container.restartPolicy, !own.isEmpty { return own }
    return pod.spec.restartPolicy
  }
}
