import API

/// Why a container waits, as starting it reported.
struct WaitingReason: Sendable, Equatable {
  var reason: String
  var message: String
}

/// Turns what the runtime knows of containers into what the API shows. Pure.
struct ContainerStatusBuilder {
  var pod: Pod
  var runtime: RuntimePod
  /// `containerd` in `containerd://ID`.
  var runtimeName: String
  /// What was last reported, for what the runtime has forgotten.
  var previous: PodStatus
  var reasons: [String: WaitingReason]
  var probes: ProbeResults
  /// Containers whose readiness is probed.
  var hasInitialized: Bool

  func initStatuses() -> [ContainerStatus] {
    statuses(pod.spec.initContainers, previous.initContainerStatuses, isInit: true)
  }

  func mainStatuses() -> [ContainerStatus] {
    statuses(pod.spec.containers, previous.containerStatuses, isInit: false)
  }

  func ephemeralStatuses() -> [ContainerStatus] {
    pod.spec.ephemeralContainers.map { Container($0) }.compactMap { container in
      runtime.container(container.name).map { convert($0, container) }
        ?? status(
          container, nil, previous.ephemeralContainerStatuses.first { $0.name == container.name }, isInit: false)
    }
  }

  private func statuses(_ containers: [Container], _ old: [ContainerStatus], isInit: Bool) -> [ContainerStatus] {
    let out = containers.map { container -> ContainerStatus in
      status(
        container, runtime.container(container.name), old.first { $0.name == container.name }, isInit: isInit)
    }
    return isInit ? out : out.sorted { $0.name < $1.name }
  }

  private func status(
    _ container: Container, _ current: RuntimeContainer?, _ old: ContainerStatus?, isInit: Bool
  ) -> ContainerStatus {
    guard let current else { return missing(container, old, isInit: isInit) }
    var out = convert(current, container)
    if let earlier = runtime.containers.filter({ $0.name == container.name }).dropFirst().first(where: {
      $0.state == .exited || $0.state == .unknown
    }) {
      out.lastState = convert(earlier, container).state
    } else if let old, old.containerID != out.containerID, old.state.terminated != nil,
      old.restartCount < out.restartCount
    {
      out.lastState = old.state
    } else if let old, old.containerID == out.containerID, old.lastState.terminated?.containerID != out.containerID {
      out.lastState = old.lastState
    }
    // The file with the last words goes with the pod's directory; what was read from it stays.
    if let message = (old?.state.terminated ?? old?.lastState.terminated).flatMap({ was in
      was.containerID == out.containerID ? was.message : nil
    }), out.state.terminated?.message.isEmpty == true {
      out.state.terminated?.message = message
    }
    // A container that ended and will be started again is shown as waiting, with its end as its last state.
    if out.state.terminated != nil, let why = reasons[container.name],
      PodActionComputer.shouldRestart(container, pod, current)
        && !(isInit && !container.isSidecar && current.exitCode == 0)
    {
      out.lastState = out.state
      out.state = ContainerState()
      out.state.waiting = waiting(why.reason, why.message)
    }
    ready(&out, container, current, isInit: isInit)
    return out
  }

  private func missing(_ container: Container, _ old: ContainerStatus?, isInit: Bool) -> ContainerStatus {
    var out = ContainerStatus()
    out.name = container.name
    out.image = container.image
    out.restartCount = old?.restartCount ?? 0
    out.lastState = old?.lastState ?? ContainerState()
    out.volumeMounts = mountStatuses(container)
    out.started = false
    if let old, old.state.terminated != nil,
      isInit || pod.metadata.deletionTimestamp != nil || !mayRestart(container, old)
    {
      // Cleaned up since: what was said about its end stays true.
      var kept = old
      kept.ready = isInit && old.state.terminated?.exitCode == 0
      return kept
    }
    if isInit, hasInitialized, !container.isSidecar {
      // The runtime has forgotten it, but the containers that came after prove that it succeeded.
      out.state.terminated = ContainerStateTerminated()
      out.state.terminated?.reason = "Completed"
      out.state.terminated?.message =
        "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally"
      out.ready = true
      return out
    }
    if let old, old.state.running != nil {
      var lost = ContainerStateTerminated()
      lost.reason = "ContainerStatusUnknown"
      lost.message = "The container could not be located when the pod was terminated"
      lost.exitCode = 137
      if pod.metadata.deletionTimestamp != nil || pod.spec.restartPolicy == "Never" {
        out.state.terminated = lost
        out.containerID = old.containerID
        out.imageID = old.imageID
        return out
      }
      lost.message = "The container could not be located when the pod was deleted.  The container used to be Running"
      out.lastState.terminated = lost
      out.restartCount += 1
    }
    if let why = reasons[container.name] {
      out.state.waiting = waiting(why.reason, why.message)
    } else if !pod.spec.initContainers.isEmpty, !isInit {
      out.state.waiting = waiting("PodInitializing", "")
    } else if !pod.spec.initContainers.isEmpty {
      out.state.waiting = waiting("PodInitializing", "")
    } else {
      out.state.waiting = waiting("ContainerCreating", "")
    }
    return out
  }

  private func mayRestart(_ container: Container, _ old: ContainerStatus) -> Bool {
    PodActionComputer.restarts(container, pod, exitCode: old.state.terminated?.exitCode ?? 0)
  }

  private func convert(_ current: RuntimeContainer, _ container: Container) -> ContainerStatus {
    var out = ContainerStatus()
    out.name = container.name
    out.restartCount = Int32(current.restartCount)
    out.image = current.image.isEmpty ? container.image : current.image
    out.imageID = current.imageRef
    out.containerID = "\(runtimeName)://\(current.id)"
    out.started = current.state == .running
    out.user = current.user
    out.volumeMounts = mountStatuses(container)
    switch current.state {
    case .running:
      out.state.running = ContainerStateRunning()
      out.state.running?.startedAt = time(current.startedAt)
      if !container.resources.requests.isEmpty || !container.resources.limits.isEmpty {
        var resources = ResourceRequirements()
        resources.requests = container.resources.requests
        resources.limits = container.resources.limits
        out.resources = resources
      } else {
        out.resources = ResourceRequirements()
      }
      out.allocatedResources = container.resources.requests
    case .created:
      out.state.waiting =
        reasons[container.name].map { waiting($0.reason, $0.message) } ?? waiting("ContainerCreating", "")
    case .exited, .unknown:
      var ended = ContainerStateTerminated()
      ended.exitCode = current.exitCode
      ended.reason = current.reason
      if ended.reason.isEmpty { ended.reason = current.exitCode == 0 ? "Completed" : "Error" }
      ended.message = current.message
      ended.startedAt = time(current.startedAt)
      ended.finishedAt = time(current.finishedAt)
      ended.containerID = out.containerID
      out.state.terminated = ended
    }
    return out
  }

  private func ready(
    _ out: inout ContainerStatus, _ container: Container, _ current: RuntimeContainer, isInit: Bool
  ) {
    guard out.state.running != nil else {
      out.started = false
      out.ready = isInit && !container.isSidecar && out.state.terminated?.exitCode == 0 && out.state.terminated != nil
      return
    }
    let started = container.startupProbe == nil || probes.startup[current.id] == true
    out.started = started
    if isInit, !container.isSidecar {
      out.started = true
      out.ready = false
      return
    }
    out.ready = started && (container.readinessProbe == nil || probes.readiness[current.id] == true)
  }

  private func mountStatuses(_ container: Container) -> [VolumeMountStatus] {
    container.volumeMounts.map { mount in
      var out = VolumeMountStatus()
      out.name = mount.name
      out.mountPath = mount.mountPath
      out.readOnly = mount.readOnly
      if mount.readOnly { out.recursiveReadOnly = mount.recursiveReadOnly == "Enabled" ? "Enabled" : "Disabled" }
      return out
    }
  }

  private func waiting(_ reason: String, _ message: String) -> ContainerStateWaiting {
    var out = ContainerStateWaiting()
    out.reason = reason
    out.message = message
    return out
  }

  private func time(_ nanoseconds: Int64) -> Time {
    nanoseconds <= 0 ? Time() : Time(seconds: nanoseconds / 1_000_000_000)
  }
}
