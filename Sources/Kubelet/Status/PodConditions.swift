import API

/// The conditions that a kubelet owns. Pure.
enum PodConditions {
  static let owned: Set<String> = [
    "PodScheduled", "Ready", "Initialized", "ContainersReady", "PodReadyToStartContainers", "DisruptionTarget",
  ]

  /// Whether all init containers are through.
  static func initialized(_ spec: PodSpec, _ statuses: [ContainerStatus], _ main: [ContainerStatus], phase: String)
    -> PodCondition
  {
    if phase == "Succeeded" { return make("Initialized", true, reason: "PodCompleted") }
    var unknown: [String] = []
    var incomplete: [String] = []
    for container in spec.initContainers {
      guard let status = statuses.first(where: { $0.name == container.name }) else {
        unknown.append(container.name)
        continue
      }
      if container.isSidecar {
        if status.started != true { incomplete.append(container.name) }
      } else if !status.ready {
        incomplete.append(container.name)
      }
    }
    // Once a container has run, initialization is a fact that a restarting sidecar does not undo.
    if main.contains(where: { $0.started == true || $0.state.terminated != nil || $0.lastState.terminated != nil }) {
      return make("Initialized", true)
    }
    return list("Initialized", unknown, incomplete, "incomplete", "ContainersNotInitialized")
  }

  /// Whether all containers are ready.
  static func containersReady(_ spec: PodSpec, _ all: [ContainerStatus], phase: String) -> PodCondition {
    if phase == "Succeeded" { return make("ContainersReady", false, reason: "PodCompleted") }
    if phase == "Failed" { return make("ContainersReady", false, reason: "PodFailed") }
    var unknown: [String] = []
    var unready: [String] = []
    for container in spec.initContainers where container.isSidecar {
      guard let status = all.first(where: { $0.name == container.name }) else {
        unknown.append(container.name)
        continue
      }
      if !status.ready { unready.append(container.name) }
    }
    for container in spec.containers {
      guard let status = all.first(where: { $0.name == container.name }) else {
        unknown.append(container.name)
        continue
      }
      if !status.ready { unready.append(container.name) }
    }
    return list("ContainersReady", unknown, unready, "unready", "ContainersNotReady")
  }

  /// Whether the pod is ready: its containers, and the gates that others set.
  static func ready(_ pod: Pod, containersReady: PodCondition) -> PodCondition {
    guard containersReady.status == "True" else {
      var condition = containersReady
      condition.type = "Ready"
      return condition
    }
    var messages: [String] = []
    for gate in pod.spec.readinessGates {
      let found = pod.status.conditions.first { $0.type == gate.conditionType }
      if found == nil {
        messages.append("corresponding condition of pod readiness gate \"\(gate.conditionType)\" does not exist.")
      } else if found?.status != "True" {
        messages.append(
          "the status of pod readiness gate \"\(gate.conditionType)\" is not \"True\", but \(found?.status ?? "")")
      }
    }
    guard messages.isEmpty else {
      var condition = make("Ready", false, reason: "ReadinessGatesNotReady")
      condition.message = messages.joined(separator: ", ")
      return condition
    }
    return make("Ready", true)
  }

  /// Whether sandbox and network stand.
  static func readyToStart(_ pod: Pod, _ runtime: RuntimePod) -> PodCondition {
    let sandbox = runtime.sandboxes.first
    let ready = sandbox.map { $0.ready && ($0.hostNetwork || !$0.ips.isEmpty) } ?? false
    return make("PodReadyToStartContainers", ready)
  }

  static func make(_ type: String, _ status: Bool, reason: String = "") -> PodCondition {
    var condition = PodCondition()
    condition.type = type
    condition.status = status ? "True" : "False"
    condition.reason = reason
    return condition
  }

  private static func list(
    _ type: String, _ unknown: [String], _ lacking: [String], _ word: String, _ reason: String
  ) -> PodCondition {
    var messages: [String] = []
    if !unknown.isEmpty { messages.append("containers with unknown status: [\(unknown.joined(separator: " "))]") }
    if !lacking.isEmpty { messages.append("containers with \(word) status: [\(lacking.joined(separator: " "))]") }
    var condition = make(type, messages.isEmpty)
    condition.message = messages.joined(separator: ", ")
    if !messages.isEmpty { condition.reason = reason }
    return condition
  }
}
