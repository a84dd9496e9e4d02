import API

/// Everything a pod's status is computed from.
struct PodStatusInput: Sendable {
  var pod: Pod
  var runtime: RuntimePod
  var runtimeName: String
  /// What this kubelet last said, or what the API holds.
  var previous: PodStatus
  var reasons: [String: WaitingReason]
  var probes: ProbeResults
  var hostIPs: [String]
  /// The pod is being ended for good: phases that hope for a restart are over.
  var terminal = false
  /// Set when the kubelet itself ended the pod (eviction, deadline, admission).
  var verdict: (reason: String, message: String)?
  var now: Time
}

/// Computes the status of a pod. Pure.
enum PodStatusBuilder {
  static func build(_ input: PodStatusInput) -> PodStatus {
    let pod = input.pod
    var status = PodStatus()
    let hasInitialized =
      pod.spec.containers.contains { input.runtime.container($0.name) != nil }
      || input.previous.containerStatuses.contains { $0.state.running != nil || $0.state.terminated != nil }
    let builder = ContainerStatusBuilder(
      pod: pod, runtime: input.runtime, runtimeName: input.runtimeName, previous: input.previous,
      reasons: input.reasons, probes: input.probes, hasInitialized: hasInitialized)
    status.initContainerStatuses = builder.initStatuses()
    status.containerStatuses = builder.mainStatuses()
    status.ephemeralContainerStatuses = builder.ephemeralStatuses()
    status.phase = PodPhase.compute(
      spec: pod.spec, initStatuses: status.initContainerStatuses, statuses: status.containerStatuses,
      terminal: input.terminal)
    status.qosClass = qosClass(of: pod)
    status.observedGeneration = pod.metadata.generation
    status.nominatedNodeName = pod.status.nominatedNodeName
    status.resourceClaimStatuses = pod.status.resourceClaimStatuses
    // A phase that was final stays so.
    if input.previous.phase == "Failed" || input.previous.phase == "Succeeded" {
      status.phase = input.previous.phase
      status.reason = input.previous.reason
      status.message = input.previous.message
    }
    if let verdict = input.verdict {
      status.phase = "Failed"
      status.reason = verdict.reason
      status.message = verdict.message
    }
    addresses(&status, input)
    status.startTime = input.previous.startTime ?? pod.status.startTime ?? input.now
    status.conditions = conditions(status, input)
    return status
  }

  private static func addresses(_ status: inout PodStatus, _ input: PodStatusInput) {
    status.hostIP = input.hostIPs.first ?? ""
    status.hostIPs = input.hostIPs.map { ip in
      var out = HostIP()
      out.ip = ip
      return out
    }
    var ips: [String]
    if input.pod.spec.hostNetwork {
      ips = input.hostIPs
    } else if let sandbox = input.runtime.readySandbox ?? input.runtime.sandboxes.first, !sandbox.ips.isEmpty {
      ips = sandbox.ips
    } else {
      ips = input.previous.podIPs.map(\.ip)
    }
    if ips.isEmpty, !input.pod.spec.hostNetwork { ips = input.previous.podIPs.map(\.ip) }
    status.podIP = ips.first ?? ""
    status.podIPs = ips.map { ip in
      var out = PodIP()
      out.ip = ip
      return out
    }
  }

  private static func conditions(_ status: PodStatus, _ input: PodStatusInput) -> [PodCondition] {
    let pod = input.pod
    let containersReady = PodConditions.containersReady(
      pod.spec, status.containerStatuses + status.initContainerStatuses, phase: status.phase)
    var computed = [
      PodConditions.readyToStart(pod, input.runtime),
      PodConditions.initialized(
        pod.spec, status.initContainerStatuses, status.containerStatuses, phase: status.phase),
      PodConditions.ready(pod, containersReady: containersReady),
      containersReady,
      PodConditions.make("PodScheduled", true),
    ]
    let old = input.previous.conditions.isEmpty ? pod.status.conditions : input.previous.conditions
    for index in computed.indices {
      computed[index].observedGeneration = pod.metadata.generation
      if let same = old.first(where: { $0.type == computed[index].type && $0.status == computed[index].status }) {
        computed[index].lastTransitionTime = same.lastTransitionTime
      } else {
        computed[index].lastTransitionTime = input.now
      }
    }
    // What others own is carried along as the API has it.
    let others = pod.status.conditions.filter { other in !computed.contains { $0.type == other.type } }
    return computed + others
  }
}
