import API
import CRI
import Logging

extension PodRuntime {
  /// The shortest time a container gets to end by itself.
  static var minimumGrace: Int64 { 2 }

  /// Ends everything of a pod: containers, then sidecars in reverse order with what is left of the grace, then
  /// the sandbox.
  func kill(_ pod: Pod?, _ runtime: RuntimePod, override: Int64?) async throws {
    let shown = pod ?? Self.restored(runtime)
    let begun = d.clock()
    let running = runtime.containers.filter { $0.state == .running || $0.state == .unknown || $0.state == .created }
    let sidecars = shown.spec.initContainers.filter(\.isSidecar).map(\.name)
    await withTaskGroup(of: Void.self) { group in
      for container in running where !sidecars.contains(container.name) {
        group.addTask {
          await self.killContainer(
            shown, Self.spec(shown, container), container, message: "", reason: .podDeleted, override: override)
        }
      }
    }
    for name in sidecars.reversed() {
      for container in running where container.name == name {
        let total = override ?? Self.grace(shown, container)
        let left = max(total - begun.duration(to: d.clock()).components.seconds, Self.minimumGrace)
        await killContainer(
          shown, Self.spec(shown, container), container, message: "", reason: .podDeleted, override: left)
      }
    }
    try Task.checkCancellation()
    for sandbox in runtime.sandboxes where sandbox.ready {
      do {
        try await d.engine.stopPodSandbox(sandbox.id)
      } catch  where isNotFound(error) {
        continue
      }
    }
  }

  /// Ends one container: hook, then the signal and the wait that the runtime does.
  func killContainer(
    _ pod: Pod, _ spec: Container?, _ container: RuntimeContainer, message: String, reason: KillReason, override: Int64?
  ) async {
    var grace = override ?? Self.grace(pod, container)
    if override == nil {
      switch reason {
      case .livenessProbe: grace = spec?.livenessProbe?.terminationGracePeriodSeconds ?? grace
      case .startupProbe: grace = spec?.startupProbe?.terminationGracePeriodSeconds ?? grace
      default: break
      }
    }
    if let spec, container.state == .running {
      d.events.container(
        pod, spec, "Normal", "Killing", message.isEmpty ? "Stopping container \(container.name)" : message)
    }
    if let spec, container.state == .running, grace > 0, let hook = spec.lifecycle?.preStop ?? container.preStop {
      grace -= await preStop(hook, pod, spec, container, grace)
    }
    if grace < Self.minimumGrace { grace = Self.minimumGrace }
    do {
      try await d.engine.stopContainer(container.id, graceSeconds: grace)
    } catch  where isNotFound(error) {
      return
    } catch {
      d.logger.warning(
        "stopping a container failed",
        metadata: ["pod": "\(pod.display)", "container": "\(container.name)", "error": "\(describe(error))"])
    }
  }

  /// Runs the hook for at most the grace; how many seconds it took.
  private func preStop(
    _ hook: LifecycleHandler, _ pod: Pod, _ spec: Container, _ container: RuntimeContainer, _ grace: Int64
  ) async -> Int64 {
    let begun = d.clock()
    let ip =
      (try? await d.reader.pod(uid: pod.metadata.uid, name: "", namespace: ""))?.readySandbox?.ips.first
      ?? (pod.spec.hostNetwork ? d.facts().hostIPs.first : nil) ?? ""
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        if let failure = await self.d.hooks.run(
          hook, pod: pod, container: spec, containerID: container.id, podIP: ip), !Task.isCancelled
        {
          self.d.events.container(pod, spec, "Warning", "FailedPreStopHook", "PreStopHook failed")
          self.d.logger.warning("preStop hook failed", metadata: ["pod": "\(pod.display)", "error": "\(failure)"])
        }
      }
      group.addTask { try? await Task.sleep(for: .seconds(grace)) }
      await group.next()
      group.cancelAll()
    }
    return begun.duration(to: d.clock()).components.seconds
  }

  /// How long a container gets: deletion's word, the spec's, the container's own memory of it.
  static func grace(_ pod: Pod, _ container: RuntimeContainer) -> Int64 {
    pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? container.gracePeriod
      ?? minimumGrace
  }

  private static func spec(_ pod: Pod, _ container: RuntimeContainer) -> Container? {
    pod.allContainers.first { $0.name == container.name }
  }

  /// A pod of which nothing is left but its containers.
  private static func restored(_ runtime: RuntimePod) -> Pod {
    var pod = Pod()
    pod.metadata.uid = runtime.uid
    pod.metadata.name = runtime.name
    pod.metadata.namespace = runtime.namespace
    var seen: Set<String> = []
    for container in runtime.containers where seen.insert(container.name).inserted {
      var spec = Container()
      spec.name = container.name
      if let hook = container.preStop {
        spec.lifecycle = Lifecycle()
        spec.lifecycle?.preStop = hook
      }
      pod.spec.containers.append(spec)
    }
    return pod
  }
}
