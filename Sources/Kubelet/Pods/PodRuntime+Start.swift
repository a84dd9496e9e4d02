import API
import CRI
import GRPC
import Logging

extension PodRuntime {
  /// Image, container, start, postStart: each failure is told as an event and thrown as a `StartError`.
  func startContainer(_ container: Container, _ place: Place, ephemeral: Int?) async throws {
    let pod = place.pod
    let image: CRIImage
    do {
      image = try await d.puller.ensure(pod, container, sandbox: place.sandbox, secrets: place.secrets)
    } catch let error as StartError {
      d.events.container(pod, container, "Warning", "Failed", "Error: \(error.reason)")
      throw error
    }
    let restartCount = nextRestartCount(container, place)
    let config: CRIContainerConfig
    do {
      config = try await configure(container, place, image, restartCount, ephemeral)
    } catch {
      let message = describe(error)
      d.events.container(pod, container, "Warning", "Failed", "Error: \(message)")
      throw StartError(reason: "CreateContainerConfigError", message: message)
    }
    try? Files.makeDirectories("\(place.sandbox.logDirectory)/\(container.name)")
    let id: String
    do {
      var request = CRICreateContainerRequest()
      request.podSandboxID = place.sandboxID
      request.config = config
      request.sandboxConfig = place.sandbox
      id = try await d.engine.createContainer(request)
    } catch {
      let message = briefly(error)
      d.events.container(pod, container, "Warning", "Failed", "Error: \(message)")
      throw StartError(reason: "CreateContainerError", message: message)
    }
    d.events.container(pod, container, "Normal", "Created", "Container created")
    do {
      try await d.engine.startContainer(id)
    } catch {
      let message = briefly(error)
      d.events.container(pod, container, "Warning", "Failed", "Error: \(message)")
      throw StartError(reason: "RunContainerError", message: message)
    }
    d.events.container(pod, container, "Normal", "Started", "Container started")
    linkLog(pod, container, id, "\(place.sandbox.logDirectory)/\(config.logPath)")
    guard let hook = container.lifecycle?.postStart else { return }
    if let failure = await d.hooks.run(
      hook, pod: pod, container: container, containerID: id, podIP: place.podIPs.first ?? "")
    {
      d.events.container(pod, container, "Warning", "FailedPostStartHook", "PostStartHook failed")
      d.logger.warning("postStart hook failed", metadata: ["pod": "\(pod.display)", "error": "\(failure)"])
      var running = RuntimeContainer()
      running.id = id
      running.name = container.name
      running.state = .running
      await killContainer(
        pod, container, running, message: "FailedPostStartHook", reason: .failedHook, override: nil)
      throw StartError(reason: "PostStartHookError", message: "PostStartHook failed")
    }
  }

  private func configure(
    _ container: Container, _ place: Place, _ image: CRIImage, _ restartCount: Int, _ ephemeral: Int?
  ) async throws -> CRIContainerConfig {
    let pod = place.pod
    let facts = d.facts()
    let objects = d.objects
    let environment = try await Environment.make(
      pod: pod, container: container,
      context: EnvironmentContext(
        services: d.services(), configMap: { try await objects.configMap($0, $1) },
        secret: { try await objects.secret($0, $1) }, hostIPs: facts.hostIPs, podIPs: place.podIPs,
        allocatable: facts.allocatable, masterNamespace: d.configuration.masterServiceNamespace))
    let directory = "\(d.configuration.rootDirectory)/pods/\(pod.metadata.uid)"
    var target: String?
    if let ephemeral {
      let name = pod.spec.ephemeralContainers[ephemeral].targetContainerName
      if !name.isEmpty {
        guard let found = place.runtime.container(name), found.state == .running else {
          throw ContainerConfigError(description: "unable to find target container \(name)")
        }
        target = found.id
      }
    }
    var terminationLog: String?
    if !container.terminationMessagePath.isEmpty {
      let own = "\(directory)/containers/\(container.name)"
      try Files.makeDirectories(own, mode: 0o750)
      let name = String(UInt32.random(in: 0...UInt32.max), radix: 16)
      let path = "\(own)/\(String(repeating: "0", count: 8 - name.count))\(name)"
      // Whatever user the container runs as must be able to write it.
      try Files.write(path, [], mode: 0o666)
      terminationLog = path
    }
    return try ContainerConfigs.make(
      ContainerConfigInput(
        pod: pod, container: container, restartCount: restartCount, image: image, volumes: place.volumes,
        environment: environment, hostsFile: try hostsFile(pod, directory, place.podIPs),
        terminationLog: terminationLog,
        targetID: target, memoryCapacity: facts.memoryCapacity, configuration: d.configuration))
  }

  private func hostsFile(_ pod: Pod, _ directory: String, _ podIPs: [String]) throws -> String {
    let names = try HostNames.of(pod, clusterDomain: d.configuration.clusterDomain)
    let text = HostNames.hostsFile(
      pod: pod, host: names.host, domain: names.domain, podIPs: podIPs,
      hostFile: pod.spec.hostNetwork ? (try? Files.text("/etc/hosts")) ?? "" : nil)
    let path = "\(directory)/etc-hosts"
    // Written in place, for it is mounted into containers as a file; and only when it changes, for they read it.
    if (try? Files.text(path)) == text { return path }
    try Files.makeDirectories(directory, mode: 0o750)
    try Files.write(path, Array(text.utf8), mode: 0o644)
    return path
  }

  /// One more than the last; the log files remember what the runtime may have forgotten.
  private func nextRestartCount(_ container: Container, _ place: Place) -> Int {
    if let last = place.runtime.containers.filter({ $0.name == container.name }).map(\.restartCount).max() {
      return last + 1
    }
    let files = (try? Files.list("\(place.sandbox.logDirectory)/\(container.name)")) ?? []
    return (files.compactMap { Int($0.prefix { $0 != "." }) }.max() ?? -1) + 1
  }

  private func linkLog(_ pod: Pod, _ container: Container, _ id: String, _ log: String) {
    guard let directory = d.configuration.containerLogsDirectory else { return }
    let name = "\(pod.metadata.name)_\(pod.metadata.namespace)_\(container.name)-\(id).log"
    // A convenience for log collectors; without it the pod runs all the same.
    try? Files.makeDirectories(directory)
    try? Files.symlink(log, at: "\(directory)/\(name)")
  }

  /// The runtime's words without gRPC's frame.
  private func briefly(_ error: any Error) -> String { (error as? GRPCStatus)?.message ?? describe(error) }
}
