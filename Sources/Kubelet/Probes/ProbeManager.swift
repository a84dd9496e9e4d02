import API
import Synchronization

/// Probes the containers of all pods.
final class ProbeManager: Sendable {
  private struct Key: Hashable {
    var uid: String
    var container: String
    var kind: ProbeKind
  }

  private struct State {
    var tasks: [Key: Task<Void, Never>] = [:]
    /// By pod, what the runtime last said.
    var runtime: [String: RuntimePod] = [:]
    /// By container id.
    var startup: [String: Bool] = [:]
    var readiness: [String: Bool] = [:]
    var liveness: [String: Bool] = [:]
  }

  private let state = Mutex(State())
  private let runner: any HandlerRunner
  private let events: PodEvents
  /// Where pods in the host's network are reached.
  private let hostIP: String
  private let clock: @Sendable () -> ContinuousTime
  private let onChange: @Sendable (_ uid: String) -> Void

  init(
    runner: any HandlerRunner, events: PodEvents, hostIP: String, clock: @escaping @Sendable () -> ContinuousTime,
    onChange: @escaping @Sendable (String) -> Void
  ) {
    self.runner = runner
    self.events = events
    self.hostIP = hostIP
    self.clock = clock
    self.onChange = onChange
  }

  /// What is known by now.
  var results: ProbeResults {
    state.withLock { ProbeResults(liveness: $0.liveness, readiness: $0.readiness, startup: $0.startup) }
  }

  /// Tells what runs; probes look at it at their next tick.
  func observe(_ pod: RuntimePod) {
    state.withLock { s in
      let gone = Set((s.runtime[pod.uid]?.containers ?? []).map(\.id)).subtracting(pod.containers.map(\.id))
      s.runtime[pod.uid] = pod
      for id in gone {
        s.startup[id] = nil
        s.readiness[id] = nil
        s.liveness[id] = nil
      }
    }
  }

  /// Begins the probes of a pod that are not running yet.
  func add(_ pod: Pod) {
    for container in pod.spec.containers + pod.spec.initContainers.filter(\.isSidecar) {
      for (kind, spec) in [
        (ProbeKind.startup, container.startupProbe), (.readiness, container.readinessProbe),
        (.liveness, container.livenessProbe),
      ] {
        guard let spec else { continue }
        let key = Key(uid: pod.metadata.uid, container: container.name, kind: kind)
        state.withLock { s in
          guard s.tasks[key] == nil else { return }
          // Not structured: a probe lives as long as its pod, which `remove` ends.
          s.tasks[key] = Task { [self] in await self.loop(pod, container, kind, spec) }
        }
      }
    }
  }

  /// Ends liveness and startup probes of a pod that is being terminated; readiness goes on until it has ended.
  func stopLiveness(uid: String) {
    cancel { $0.uid == uid && $0.kind != .readiness }
  }

  /// Ends all probes of a pod.
  func remove(uid: String) {
    cancel { $0.uid == uid }
    state.withLock { s in
      let ids = s.runtime.removeValue(forKey: uid)?.containers.map(\.id) ?? []
      for id in ids {
        s.startup[id] = nil
        s.readiness[id] = nil
        s.liveness[id] = nil
      }
    }
  }

  func removeAll() { cancel { _ in true } }

  private func cancel(_ which: (Key) -> Bool) {
    let ended = state.withLock { s in
      let keys = s.tasks.keys.filter(which)
      return keys.compactMap { s.tasks.removeValue(forKey: $0) }
    }
    for task in ended { task.cancel() }
  }

  private func loop(_ pod: Pod, _ container: Container, _ kind: ProbeKind, _ spec: Probe) async {
    var machine = ProbeMachine(kind: kind, spec: spec)
    let period = Duration.seconds(Int64(spec.periodSeconds == 0 ? 10 : spec.periodSeconds))
    while !Task.isCancelled {
      let probed = await tick(&machine, pod, container)
      // Once probing has begun the period holds; before that, look often so that no period is wasted.
      do { try await Task.sleep(for: probed ? period : min(period, .seconds(1))) } catch { return }
    }
  }

  /// One tick; whether it probed.
  private func tick(_ machine: inout ProbeMachine, _ pod: Pod, _ container: Container) async -> Bool {
    let uid = pod.metadata.uid
    let (current, podIP, startupPassed) = state.withLock { s -> (RuntimeContainer?, String, Bool) in
      let runtime = s.runtime[uid]
      let current = runtime?.container(container.name)
      let passed = container.startupProbe == nil || current.map { s.startup[$0.id] == true } == true
      return (current, runtime?.readySandbox?.ips.first ?? "", passed)
    }
    switch machine.tick(container: current, startupPassed: startupPassed, now: clock()) {
    case .skip:
      return false
    case .changed:
      store(machine, uid)
      return false
    case .probe:
      let host = pod.spec.hostNetwork ? hostIP : podIP
      let result = await check(machine.spec, container, machine.containerID, host)
      if Task.isCancelled { return true }
      let changed: Bool
      switch result {
      case .success: changed = machine.result(true)
      case .failure(let output):
        events.container(
          pod, container, "Warning", "Unhealthy", "\(machine.kind.rawValue) probe failed: \(output)")
        changed = machine.result(false)
      case .error(let text):
        events.container(
          pod, container, "Warning", "Unhealthy",
          "\(machine.kind.rawValue) probe errored and resulted in unknown state: \(text)")
        return true
      }
      if changed { store(machine, uid) }
      return true
    }
  }

  private func store(_ machine: ProbeMachine, _ uid: String) {
    let id = machine.containerID
    let verdict = machine.verdict
    state.withLock { s in
      switch machine.kind {
      case .startup: s.startup[id] = verdict
      case .readiness: s.readiness[id] = verdict
      case .liveness: s.liveness[id] = verdict
      }
    }
    onChange(uid)
  }

  private func check(_ spec: Probe, _ container: Container, _ id: String, _ podIP: String) async -> HandlerResult {
    let timeout = Duration.seconds(Int64(spec.timeoutSeconds == 0 ? 1 : spec.timeoutSeconds))
    if let exec = spec.exec {
      return await runner.exec(
        id,
        exec.command.map { argument in
          expand(argument) { name in container.env.first { $0.name == name && $0.valueFrom == nil }?.value }
        }, timeout: timeout)
    }
    if let get = spec.httpGet {
      guard let url = ProbeTargets.url(get, container: container, podIP: podIP) else {
        return .error("couldn't find port: \(get.port)")
      }
      return await runner.http(url, headers: get.httpHeaders.map { ($0.name, $0.value) }, timeout: timeout)
    }
    if let socket = spec.tcpSocket {
      guard let port = ProbeTargets.port(socket.port, container) else {
        return .error("couldn't find port: \(socket.port)")
      }
      return await runner.tcp(host: socket.host.isEmpty ? podIP : socket.host, port: port, timeout: timeout)
    }
    if let grpc = spec.grpc {
      return await runner.grpc(host: podIP, port: Int(grpc.port), service: grpc.service ?? "", timeout: timeout)
    }
    return .error("missing probe handler for container \(container.name)")
  }
}
