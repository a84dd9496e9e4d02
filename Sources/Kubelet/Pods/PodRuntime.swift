import API
import CRI
import Logging
import Synchronization

/// What the node lends to its pods.
struct NodeFacts: Sendable {
  var hostIPs: [String] = []
  var allocatable: [String: Quantity] = [:]
  var memoryCapacity: Int64 = 0
  var labels: [String: String] = [:]
}

/// Carries out what `PodActionComputer` decides.
final class PodRuntime: Sendable {
  struct Dependencies: Sendable {
    var engine: any ContainerEngine
    var reader: RuntimeReader
    var puller: ImagePuller
    var events: PodEvents
    var hooks: Hooks
    var objects: any VolumeObjects
    var services: @Sendable () -> [Service]
    var runtimeHandler: @Sendable (_ runtimeClass: String) async throws -> String
    var facts: @Sendable () -> NodeFacts
    var configuration: KubeletConfiguration
    var cgroups: PodCgroups
    var clock: @Sendable () -> ContinuousTime
    var logger: Logger
  }

  private struct State {
    var backOff: BackOff
    /// By pod uid and container: why it waits.
    var reasons: [String: [String: WaitingReason]] = [:]
  }

  let d: Dependencies
  private let state: Mutex<State>

  init(_ dependencies: Dependencies) {
    d = dependencies
    state = Mutex(State(backOff: BackOff(longest: dependencies.configuration.crashLoopBackOffMax)))
  }

  /// Why containers of a pod wait.
  func reasons(uid: String) -> [String: WaitingReason] { state.withLock { $0.reasons[uid] ?? [:] } }

  func forget(uid: String) { state.withLock { $0.reasons[uid] = nil } }

  /// Lets go of back-offs that have long been quiet.
  func collect() {
    let now = d.clock()
    state.withLock { $0.backOff.collect(now: now) }
  }

  /// What one round of work came to.
  struct Outcome: Sendable {
    /// Something was changed, so a fresh look is due.
    var changed = false
    /// When the earliest back-off ends.
    var retryAt: ContinuousTime?
    /// Something failed that is worth another try soon.
    var failed = false
  }

  // MARK: Sync

  /// Does what is to be done for a pod.
  func sync(
    _ pod: Pod, _ runtime: RuntimePod, _ actions: PodActions, volumes: [String: MountedVolume], secrets: [Secret]
  ) async throws -> Outcome {
    var outcome = Outcome()
    if actions.createSandbox, !actions.sandboxID.isEmpty {
      d.events.pod(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
    }
    if actions.killPod {
      outcome.changed = runtime.isRunning
      do {
        try await kill(pod, runtime, override: nil)
      } catch {
        d.events.pod(pod, "Warning", "FailedKillPod", "error killing pod: \(describe(error))")
        throw error
      }
      if !actions.createSandbox { return outcome }
    }
    for kill in actions.kills {
      outcome.changed = true
      let spec = pod.allContainers.first { $0.name == kill.container.name }
      await killContainer(pod, spec, kill.container, message: kill.message, reason: kill.reason, override: nil)
    }
    var sandboxID = actions.sandboxID
    let sandboxConfig = try config(pod, attempt: actions.attempt)
    var podIPs = runtime.readySandbox?.ips ?? []
    if actions.createSandbox {
      outcome.changed = true
      do {
        sandboxID = try await createSandbox(pod, sandboxConfig)
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        setReasons(pod, "ContainerCreating", "")
        d.events.pod(
          pod, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: \(describe(error))")
        outcome.failed = true
        return outcome
      }
      let status = try await d.engine.podSandboxStatus(sandboxID)
      podIPs = status.network.ip.isEmpty ? [] : [status.network.ip] + status.network.additionalIps.map(\.ip)
    }
    if pod.spec.hostNetwork { podIPs = d.facts().hostIPs }
    let place = Place(
      pod: pod, sandboxID: sandboxID, sandbox: sandboxConfig, podIPs: podIPs, volumes: volumes, secrets: secrets,
      runtime: runtime)
    for index in actions.startEphemeral {
      _ = await start(Container(pod.spec.ephemeralContainers[index]), place, ephemeral: index, &outcome)
    }
    for index in actions.startInit {
      let container = pod.spec.initContainers[index]
      // What comes after an init container waits for it; a sidecar that cannot start holds nothing back but itself.
      if !(await start(container, place, ephemeral: nil, &outcome)), !container.isSidecar { return outcome }
    }
    for index in actions.start {
      _ = await start(pod.spec.containers[index], place, ephemeral: nil, &outcome)
    }
    return outcome
  }

  /// Where a container is started.
  struct Place: Sendable {
    var pod: Pod
    var sandboxID: String
    var sandbox: CRIPodSandboxConfig
    var podIPs: [String]
    var volumes: [String: MountedVolume]
    var secrets: [Secret]
    var runtime: RuntimePod
  }

  private func config(_ pod: Pod, attempt: UInt32) throws -> CRIPodSandboxConfig {
    let host = ResolverConfig(parsing: (try? Files.text(d.configuration.resolverConfig)) ?? "")
    let dns = PodDNS.config(
      pod: pod, host: host, clusterDNS: d.configuration.clusterDNS, clusterDomain: d.configuration.clusterDomain)
    return try SandboxConfigs.make(
      pod: pod, attempt: attempt, dns: dns, configuration: d.configuration, cgroupParent: d.cgroups.parent(pod))
  }

  private func createSandbox(_ pod: Pod, _ config: CRIPodSandboxConfig) async throws -> String {
    try Files.makeDirectories(config.logDirectory)
    d.cgroups.prepare(pod)
    var request = CRIRunPodSandboxRequest()
    request.config = config
    if let name = pod.spec.runtimeClassName, !name.isEmpty { request.runtimeHandler = try await d.runtimeHandler(name) }
    return try await d.engine.runPodSandbox(request)
  }

  private func start(_ container: Container, _ place: Place, ephemeral: Int?, _ outcome: inout Outcome) async -> Bool {
    let pod = place.pod
    if let wait = backOff(pod, container, place.runtime) {
      setReason(pod, container, wait.reason)
      outcome.retryAt = min(outcome.retryAt ?? wait.end, wait.end)
      return false
    }
    do {
      try await startContainer(container, place, ephemeral: ephemeral)
      outcome.changed = true
      clearReason(pod, container)
      return true
    } catch let error as StartError {
      setReason(pod, container, WaitingReason(reason: error.reason, message: error.message))
      outcome.failed = true
    } catch {
      outcome.failed = true
    }
    return false
  }

  // MARK: Back-off

  private func backOff(_ pod: Pod, _ container: Container, _ runtime: RuntimePod) -> (
    reason: WaitingReason, end: ContinuousTime
  )? {
    guard let last = runtime.containers.first(where: { $0.name == container.name && $0.state == .exited }) else {
      return nil
    }
    let key = "\(pod.metadata.uid)_\(container.name)_\(containerHash(container))"
    let ended = ContinuousTime(nanoseconds: last.finishedAt)
    let now = d.clock()
    let waiting = state.withLock { s -> (String, ContinuousTime)? in
      if s.backOff.isWaiting(key, since: ended, now: now) {
        return (s.backOff.wait(key).goText, s.backOff.end(key, since: ended))
      }
      s.backOff.next(key, at: ended, now: now)
      return nil
    }
    guard let (text, end) = waiting else { return nil }
    d.events.container(
      pod, container, "Warning", "BackOff",
      "Back-off restarting failed container \(container.name) in pod \(pod.display)")
    return (
      WaitingReason(
        reason: "CrashLoopBackOff",
        message: "back-off \(text) restarting failed container=\(container.name) pod=\(pod.display)"), end
    )
  }

  private func setReason(_ pod: Pod, _ container: Container, _ reason: WaitingReason) {
    state.withLock { $0.reasons[pod.metadata.uid, default: [:]][container.name] = reason }
  }

  private func clearReason(_ pod: Pod, _ container: Container) {
    state.withLock { $0.reasons[pod.metadata.uid]?[container.name] = nil }
  }

  private func setReasons(_ pod: Pod, _ reason: String, _ message: String) {
    state.withLock { $0.reasons[pod.metadata.uid] = nil }
  }
}
