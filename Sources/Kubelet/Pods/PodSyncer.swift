import API
import Client
import Logging
import Synchronization

/// The steps of a pod's life, done with the real parts.
final class PodSyncer: PodWork {
  struct Parts: Sendable {
    var runtime: PodRuntime
    var reader: RuntimeReader
    var statuses: StatusManager
    var volumes: VolumeManager
    var probes: ProbeManager
    var events: PodEvents
    var objects: any VolumeObjects
    var mirrors: MirrorPods
    var engine: any ContainerEngine
    var runtimeName: @Sendable () -> String
    /// Why the runtime's network is not ready; nil when it is.
    var networkProblem: @Sendable () -> String?
    var facts: @Sendable () -> NodeFacts
    var configuration: KubeletConfiguration
    var clock: @Sendable () -> ContinuousTime
    var logger: Logger
    /// Tells the worker to look again at a moment (deadlines).
    var condemn: @Sendable (_ uid: String, PodVerdict) -> Void
  }

  private let p: Parts
  init(_ parts: Parts) { p = parts }

  func sync(_ pod: Pod) async throws -> SyncResult {
    var result = SyncResult()
    let runtime = try await look(pod)
    if let deadline = deadline(pod) {
      if deadline <= p.clock() {
        p.condemn(
          pod.metadata.uid,
          PodVerdict(
            reason: "DeadlineExceeded", message: "Pod was active on the node longer than the specified deadline"))
        return result
      }
      result.retryAt = deadline
    }
    let status = report(pod, runtime)
    if status.phase == "Failed" || status.phase == "Succeeded" {
      result.terminal = true
      return result
    }
    if pod.isStatic { await p.mirrors.ensure(pod) }
    if !pod.spec.hostNetwork, let problem = p.networkProblem() {
      p.events.pod(pod, "Warning", "NetworkNotReady", "network is not ready: \(problem)")
      result.failed = true
      return result
    }
    let volumes: [String: MountedVolume]
    do {
      volumes = try await p.volumes.mount(pod, podIPs: status.podIPs.map(\.ip))
    } catch let error as VolumeSetupError {
      p.events.pod(pod, "Warning", "FailedMount", error.description)
      result.failed = true
      return result
    }
    p.probes.add(pod)
    let actions = PodActionComputer.compute(pod: pod, runtime: runtime, probes: p.probes.results)
    if actions.isEmpty { return result }
    let secrets = try await pullSecrets(pod)
    let outcome = try await p.runtime.sync(pod, runtime, actions, volumes: volumes, secrets: secrets)
    if let retry = outcome.retryAt { result.retryAt = min(result.retryAt ?? retry, retry) }
    result.failed = outcome.failed
    // A fresh look shows at once what our own work changed, rather than with the runtime's next listing.
    if outcome.changed {
      result.again = true
    } else {
      _ = report(pod, try await look(pod))
    }
    return result
  }

  func terminate(_ pod: Pod, grace: Int64?, verdict: PodVerdict?, removed: Bool) async throws {
    p.probes.stopLiveness(uid: pod.metadata.uid)
    let runtime = try await look(pod)
    if !removed { _ = report(pod, runtime, verdict: verdict) }
    if runtime.isRunning {
      try await p.runtime.kill(pod, runtime, override: grace)
      let after = try await look(pod)
      if after.isRunning { throw ContainerConfigError(description: "containers of the pod are still running") }
    }
    p.probes.remove(uid: pod.metadata.uid)
    if !removed { _ = report(pod, try await look(pod), terminal: true, verdict: verdict) }
  }

  func cleanUp(_ pod: Pod, verdict: PodVerdict?, removed: Bool) async throws {
    let uid = pod.metadata.uid
    // The last words lie among what is about to be removed: read first.
    let last = removed ? nil : status(pod, try await look(pod), terminal: true, verdict: verdict)
    try p.volumes.unmount(uid: uid)
    p.runtime.d.cgroups.remove(uid: uid)
    if let last { p.statuses.finish(pod, last) }
  }

  func ended(_ pod: Pod) async {
    let uid = pod.metadata.uid
    p.runtime.forget(uid: uid)
    p.statuses.forget(uid: uid)
    p.probes.remove(uid: uid)
    if pod.isStatic { await p.mirrors.remove(pod) }
    await PodRemains.remove(
      uid: uid, logDirectory: SandboxConfigs.logDirectory(pod, root: p.configuration.podLogsDirectory),
      engine: p.engine, linksDirectory: p.configuration.containerLogsDirectory, logger: p.logger)
  }

  // MARK: Looking and telling

  private func look(_ pod: Pod) async throws -> RuntimePod {
    var runtime = try await p.reader.pod(
      uid: pod.metadata.uid, name: pod.metadata.name, namespace: pod.metadata.namespace)
    runtime.containers = runtime.containers.map { TerminationMessages.fill($0) }
    p.probes.observe(runtime)
    return runtime
  }

  private func status(_ pod: Pod, _ runtime: RuntimePod, terminal: Bool = false, verdict: PodVerdict? = nil)
    -> PodStatus
  {
    let now = p.clock().time
    return PodStatusBuilder.build(
      PodStatusInput(
        pod: pod, runtime: runtime, runtimeName: p.runtimeName(),
        previous: p.statuses.status(uid: pod.metadata.uid) ?? pod.status,
        reasons: p.runtime.reasons(uid: pod.metadata.uid), probes: p.probes.results, hostIPs: p.facts().hostIPs,
        terminal: terminal, verdict: verdict.map { ($0.reason, $0.message) }, now: now))
  }

  private func report(_ pod: Pod, _ runtime: RuntimePod, terminal: Bool = false, verdict: PodVerdict? = nil)
    -> PodStatus
  {
    let status = status(pod, runtime, terminal: terminal, verdict: verdict)
    p.statuses.set(pod, status)
    return status
  }

  private func deadline(_ pod: Pod) -> ContinuousTime? {
    guard let seconds = pod.spec.activeDeadlineSeconds,
      let start = (p.statuses.status(uid: pod.metadata.uid) ?? pod.status).startTime
    else { return nil }
    return ContinuousTime(nanoseconds: (start.seconds + seconds) * 1_000_000_000)
  }

  private func pullSecrets(_ pod: Pod) async throws -> [Secret] {
    var out: [Secret] = []
    for reference in pod.spec.imagePullSecrets where !reference.name.isEmpty {
      if let secret = try? await p.objects.secret(pod.metadata.namespace, reference.name) {
        out.append(secret)
      } else {
        p.events.pod(
          pod, "Warning", "FailedToRetrieveImagePullSecret",
          "Unable to retrieve some image pull secrets (\(reference.name)); attempting to pull the image may not succeed."
        )
      }
    }
    return out
  }
}
