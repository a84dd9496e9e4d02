import API
import APIMachinery

/// The row of a pod, as upstream sums its state up.
func podCells(_ pod: Pod, _ context: CellContext) -> TableRowCells {
  var summary = PodSummary(pod)
  summary.readInitContainers(pod)
  summary.readContainers(pod)
  summary.readDeletion(pod)
  var restarts = String(summary.restarts)
  if summary.restarts != 0, !summary.lastRestart.isZero {
    restarts = "\(summary.restarts) (\(context.since(summary.lastRestart)) ago)"
  }
  var gates = "<none>"
  if !pod.spec.readinessGates.isEmpty {
    let met = pod.spec.readinessGates.filter { pod.status.conditions.isTrue($0.conditionType) }.count
    gates = "\(met)/\(pod.spec.readinessGates.count)"
  }
  let address = pod.status.podIPs.first?.ip ?? pod.status.podIP
  var row = TableRowCells([
    .string(pod.metadata.name), .string("\(summary.ready)/\(summary.total)"), .string(summary.reason),
    .string(restarts), context.age(pod.metadata), cell(address), cell(pod.spec.nodeName),
    cell(pod.status.nominatedNodeName), .string(gates),
  ])
  if pod.status.phase == "Succeeded" {
    row.completed = ("Succeeded", "The pod has completed successfully.")
  } else if pod.status.phase == "Failed" {
    row.completed = ("Failed", "The pod failed.")
  }
  return row
}

/// What a pod's row says, gathered container by container.
private struct PodSummary {
  var ready = 0
  var total: Int
  var restarts = 0
  var lastRestart = Time()
  var reason: String
  private var sidecarRestarts = 0
  private var lastSidecarRestart = Time()
  private var initializing = false

  init(_ pod: Pod) {
    total = pod.spec.containers.count
    reason = pod.status.reason.isEmpty ? pod.status.phase : pod.status.reason
    if pod.status.conditions.contains(where: { $0.type == "PodScheduled" && $0.reason == "SchedulingGated" }) {
      reason = "SchedulingGated"
    }
  }

  mutating func readInitContainers(_ pod: Pod) {
    var sidecars: Set<String> = []
    for container in pod.spec.initContainers where container.isSidecar {
      sidecars.insert(container.name)
      total += 1
    }
    for (index, status) in pod.status.initContainerStatuses.enumerated() {
      let sidecar = sidecars.contains(status.name)
      restarts += Int(status.restartCount)
      if let ended = status.lastState.terminated, lastRestart < ended.finishedAt { lastRestart = ended.finishedAt }
      if sidecar {
        sidecarRestarts += Int(status.restartCount)
        if let ended = status.lastState.terminated, lastSidecarRestart < ended.finishedAt {
          lastSidecarRestart = ended.finishedAt
        }
      }
      if let ended = status.state.terminated, ended.exitCode == 0 { continue }
      if sidecar, status.started == true {
        if status.ready { ready += 1 }
        continue
      }
      if let ended = status.state.terminated {
        reason = "Init:" + Self.text(ended)
      } else if let waiting = status.state.waiting, !waiting.reason.isEmpty, waiting.reason != "PodInitializing" {
        reason = "Init:" + waiting.reason
      } else {
        reason = "Init:\(index)/\(pod.spec.initContainers.count)"
      }
      initializing = true
      break
    }
  }

  mutating func readContainers(_ pod: Pod) {
    if initializing, !pod.status.conditions.isTrue("Initialized") { return }
    restarts = sidecarRestarts
    lastRestart = lastSidecarRestart
    var running = false
    for status in pod.status.containerStatuses.reversed() {
      restarts += Int(status.restartCount)
      if let ended = status.lastState.terminated, lastRestart < ended.finishedAt { lastRestart = ended.finishedAt }
      if let waiting = status.state.waiting, !waiting.reason.isEmpty {
        reason = waiting.reason
      } else if let ended = status.state.terminated {
        reason = Self.text(ended)
      } else if status.ready, status.state.running != nil {
        running = true
        ready += 1
      }
    }
    if reason == "Completed", running { reason = pod.isReady ? "Running" : "NotReady" }
  }

  mutating func readDeletion(_ pod: Pod) {
    guard pod.metadata.deletionTimestamp != nil else { return }
    if pod.status.reason == "NodeLost" {
      reason = "Unknown"
    } else if !pod.isTerminal {
      reason = "Terminating"
    }
  }

  private static func text(_ ended: ContainerStateTerminated) -> String {
    if !ended.reason.isEmpty { return ended.reason }
    return ended.signal != 0 ? "Signal:\(ended.signal)" : "ExitCode:\(ended.exitCode)"
  }
}
