import API

/// Derives a pod's phase from its containers' states. Pure.
enum PodPhase {
  static func compute(spec: PodSpec, initStatuses: [ContainerStatus], statuses: [ContainerStatus], terminal: Bool)
    -> String
  {
    var pendingInit = 0
    var failedInit = 0
    var initialized = false
    for container in spec.containers {
      guard let status = statuses.first(where: { $0.name == container.name }) else { continue }
      if status.state.running != nil || status.state.terminated != nil || status.lastState.terminated != nil {
        initialized = true
      }
    }
    for container in spec.initContainers {
      guard let status = initStatuses.first(where: { $0.name == container.name }) else {
        pendingInit += 1
        continue
      }
      if container.isSidecar {
        if initialized { continue }
        if status.state.running != nil, status.started == true { continue }
        pendingInit += 1
      } else if let ended = status.state.terminated {
        if ended.exitCode != 0 { failedInit += 1 }
      } else if status.state.waiting != nil, let last = status.lastState.terminated {
        if last.exitCode != 0 { failedInit += 1 } else { pendingInit += 1 }
      } else {
        pendingInit += 1
      }
    }
    var unknown = 0
    var running = 0
    var waiting = 0
    var stopped = 0
    var succeeded = 0
    for container in spec.containers {
      guard let status = statuses.first(where: { $0.name == container.name }) else {
        unknown += 1
        continue
      }
      if status.state.running != nil {
        running += 1
      } else if let ended = status.state.terminated {
        stopped += 1
        if ended.exitCode == 0 { succeeded += 1 }
      } else if status.state.waiting != nil {
        if status.lastState.terminated != nil { stopped += 1 } else { waiting += 1 }
      } else {
        unknown += 1
      }
    }
    if failedInit > 0, spec.restartPolicy == "Never" { return "Failed" }
    if pendingInit > 0 && !initialized || waiting > 0 || (failedInit > 0 && !initialized) { return "Pending" }
    if running > 0, unknown == 0 { return "Running" }
    if running == 0, stopped > 0, unknown == 0 {
      if terminal { return stopped == succeeded ? "Succeeded" : "Failed" }
      if spec.restartPolicy == "Always" { return "Running" }
      if stopped == succeeded { return "Succeeded" }
      return spec.restartPolicy == "Never" ? "Failed" : "Running"
    }
    return "Pending"
  }
}
