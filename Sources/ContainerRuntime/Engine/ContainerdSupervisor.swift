public import CRI
import GRPC
import Glibc
import Linux
public import Logging

/// Runs containerd for the node: configures it for the machine, starts it, keeps it running, and leaves it and the
/// containers alone when the server itself ends.
///
///     stopped ── start ──▶ running ── found dead by run() ──▶ restarted
///         ▲                   │  (server ends: containerd and containers go on; the next start() attaches again)
///         └────── stop ───────┘
public actor ContainerdSupervisor {
  /// What it was made with.
  public nonisolated let configuration: ContainerRuntimeConfiguration
  /// CRI, on the engine's socket.
  public nonisolated let runtime: RuntimeService
  public nonisolated let images: ImageService
  /// Brings in images from archives.
  public nonisolated let importer: ImageImporter
  /// CRI's socket.
  public nonisolated var socketPath: String { configuration.socketPath }

  private let logger: Logger
  private var process: EngineProcess?
  private var prepared: (machine: Machine, binaries: EngineBinaries)?

  /// Makes a supervisor; nothing is started.
  public init(configuration: ContainerRuntimeConfiguration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
    let channel = GRPCChannel(unixSocket: configuration.socketPath, logger: logger)
    runtime = RuntimeService(channel: channel)
    images = ImageService(channel: channel)
    importer = ImageImporter(images: images, logger: logger)
  }

  /// Starts containerd, or attaches to the one an earlier run left; returns when CRI answers and the images from
  /// disk are in.
  public func start() async throws -> NodeRuntime {
    let (machine, binaries) = try prepare()
    let isConfigurationNew = try writeConfiguration(machine, binaries)
    if let left = EngineProcess(file: configuration.pidFile) {
      if !isConfigurationNew, await answers(within: .seconds(10), process: left) {
        logger.info("attached to containerd", metadata: ["pid": "\(left.pid)"])
        process = left
      } else {
        logger.notice("restarting containerd; containers go on", metadata: ["pid": "\(left.pid)"])
        await left.terminate()
      }
    }
    if process == nil { try await launch(binaries) }
    try await provideSandboxImage()
    await importer.importDirectory(configuration.imagesDirectory)
    return try await describe(machine, binaries)
  }

  /// Plugs pods into a bridge with addresses from the node's ranges, from the next pod on. False, and nothing is done,
  /// when another network's configuration is there.
  public func setPodCIDRs(_ podCIDRs: [String], mtu: Int = 0) throws -> Bool {
    guard !podCIDRs.isEmpty else { return true }
    let directory = configuration.cniConfigurationDirectory
    try FileSystem.makeDirectory(directory)
    let file = "\(directory)/\(CNIConfiguration.fileName)"
    if CNIConfiguration.foreign(in: directory) != nil {
      unlink(file)
      return false
    }
    let (_, binaries) = try prepared ?? prepare()
    let content = CNIConfiguration(
      bridge: configuration.bridgeName, podCIDRs: podCIDRs, mtu: configuration.mtu > 0 ? configuration.mtu : mtu,
      addressDirectory: "\(configuration.state)-cni", servesHostPorts: binaries.servesHostPorts
    ).encoded()
    if (try? FileSystem.read(file)) == content { return true }
    if binaries.cniPlugins == nil {
      logger.warning(
        "no CNI plugins found; pods will have no network (Debian: apt install containernetworking-plugins)")
    }
    // Packets between pods of this bridge must pass the service rules as well.
    for family in ["iptables", "ip6tables"] {
      try? FileSystem.overwrite("/proc/sys/net/bridge/bridge-nf-call-\(family)", "1")
    }
    try FileSystem.write(content, to: file)
    return true
  }

  /// Whether a CNI plugin opens pods' host ports on this machine; else somebody else must.
  public nonisolated var servesHostPorts: Bool {
    (try? EngineBinaries.find(
      containerd: configuration.containerdPath, runtime: configuration.runtimePath,
      cniPlugins: configuration.cniPluginDirectory))?.servesHostPorts ?? false
  }

  /// Keeps containerd running until the task is cancelled, which leaves it running.
  public func run() async throws {
    var pause: Duration = .seconds(1)
    while !Task.isCancelled {
      do { try await Task.sleep(for: .seconds(1)) } catch { return }
      guard let process else { continue }
      if process.isAlive {
        pause = .seconds(1)
        continue
      }
      logger.error("containerd has ended; starting it again", metadata: ["pid": "\(process.pid)"])
      do {
        self.process = nil
        try await launch(try prepared?.binaries ?? prepare().binaries)
      } catch {
        if Task.isCancelled { return }
        logger.error("cannot start containerd", metadata: ["error": "\(error)"])
        self.process = process
        do { try await Task.sleep(for: pause) } catch { return }
        pause = min(pause * 2, .seconds(30))
      }
    }
  }

  /// Stops containerd. Containers go on unless `removingPods` is set.
  public func stop(removingPods: Bool = false) async {
    if removingPods { await removePods() }
    // The file first: another run of the server may have replaced the process this one knew.
    let running = EngineProcess(file: configuration.pidFile) ?? process
    process = nil
    await running?.terminate()
    unlink(configuration.pidFile)
  }

  /// Stops everything and takes away what pods leave in the kernel: mounts, network namespaces, the bridge. Images
  /// stay.
  public func tearDown() async {
    // Pods can only be removed by a running engine.
    if EngineProcess(file: configuration.pidFile) == nil, FileSystem.exists(configuration.configurationFile),
      let binaries = try? prepare().binaries
    {
      try? await launch(binaries)
    }
    await stop(removingPods: true)
    Mounts.unmountAll(below: configuration.state)
    Mounts.unmountAll(below: configuration.root)
    if CNIConfiguration.foreign(in: configuration.cniConfigurationDirectory) == nil,
      let ip = EngineBinaries.searchPath.map({ "\($0)/ip" }).first(where: FileSystem.isExecutable)
    {
      _ = try? Subprocess.run([ip, "link", "delete", configuration.bridgeName])
    }
  }
}

// MARK: - Steps

extension ContainerdSupervisor {
  private func prepare() throws -> (machine: Machine, binaries: EngineBinaries) {
    let machine = Machine.detect()
    let binaries = try EngineBinaries.find(
      containerd: configuration.containerdPath, runtime: configuration.runtimePath,
      cniPlugins: configuration.cniPluginDirectory)
    for directory in [
      configuration.root, configuration.state, configuration.cniConfigurationDirectory,
      configuration.registryConfigurationDirectory, configuration.imagesDirectory,
    ] { try FileSystem.makeDirectory(directory, mode: 0o711) }
    do {
      try Mounts.makeShared(Mounts.networkNamespaces)
    } catch {
      logger.warning("cannot share the network namespace directory", metadata: ["error": "\(error)"])
    }
    prepared = (machine, binaries)
    return (machine, binaries)
  }

  /// Writes config.toml; true when it differs from the one before.
  private func writeConfiguration(_ machine: Machine, _ binaries: EngineBinaries) throws -> Bool {
    let text = ContainerdConfigurationFile(
      configuration: configuration, binaries: binaries, machine: machine,
      usesSystemdCgroups: driver(machine) == .systemd
    ).text()
    let bytes = Array(text.utf8)
    if (try? FileSystem.read(configuration.configurationFile)) == bytes { return false }
    try FileSystem.write(bytes, to: configuration.configurationFile)
    return true
  }

  private nonisolated func driver(_ machine: Machine) -> ContainerRuntimeConfiguration.CgroupDriver {
    guard configuration.cgroupDriver == .automatic else { return configuration.cgroupDriver }
    return machine.hasSystemd && machine.cgroups == .v2 ? .systemd : .cgroupfs
  }

  private func launch(_ binaries: EngineBinaries) async throws {
    rotateLog()
    var environment = Subprocess.currentEnvironment().filter { !$0.hasPrefix("PATH=") }
    let own = binaries.containerd.split(separator: "/").dropLast().joined(separator: "/")
    environment.append("PATH=" + (["/\(own)"] + EngineBinaries.searchPath).joined(separator: ":"))
    let pid = try Subprocess.launch(
      [binaries.containerd, "--config", configuration.configurationFile], log: configuration.logFile,
      environment: environment)
    guard let started = EngineProcess(pid: pid) else { throw failure() }
    try started.save(to: configuration.pidFile)
    process = started
    guard await answers(within: .seconds(60), process: started) else {
      // A server that ends while containerd comes up leaves it alone as well.
      try Task.checkCancellation()
      let isAlive = started.isAlive
      await started.terminate()
      process = nil
      throw isAlive ? EngineError("containerd did not answer on \(socketPath) within a minute") : failure()
    }
    logger.info("started containerd", metadata: ["pid": "\(pid)", "socket": "\(socketPath)"])
  }

  /// Waits until CRI is initialised; false when the process ends or the time is over.
  private nonisolated func answers(within timeout: Duration, process: EngineProcess) async -> Bool {
    let deadline = ContinuousClock.now + timeout
    while ContinuousClock.now < deadline {
      if (try? await runtime.status(timeout: .seconds(5))) != nil { return true }
      guard process.isAlive else { return false }
      do { try await Task.sleep(for: .milliseconds(20)) } catch { return false }
    }
    return false
  }

  private func failure() -> EngineError {
    let log = (try? FileSystem.read(configuration.logFile)) ?? []
    let lines = String(decoding: log.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(3)
    return EngineError("containerd ended at once; its log says: \(lines.joined(separator: " | "))")
  }

  private func rotateLog() {
    var info = stat()
    guard stat(configuration.logFile, &info) == 0, info.st_size > 32 << 20 else { return }
    rename(configuration.logFile, configuration.logFile + ".1")
  }

  private func provideSandboxImage() async throws {
    guard configuration.sandboxImage == SandboxImage.name else { return }
    if try await importer.isPresent(SandboxImage.name) { return }
    try await importer.importArchive(SandboxImage.archive(), directory: configuration.state, pinned: true)
  }

  private func describe(_ machine: Machine, _ binaries: EngineBinaries) async throws -> NodeRuntime {
    let version = try await runtime.version()
    // Debian's build says 1.6.20~ds1; what follows the tilde is not part of a version.
    let number = version.runtimeVersion.prefix { $0 != "~" && $0 != "+" }.drop { $0 == "v" }
    return NodeRuntime(
      socketPath: socketPath, name: version.runtimeName, version: String(number), cgroupDriver: driver(machine),
      handlers: [binaries.runtimeName], machine: machine)
  }

  private nonisolated func removePods() async {
    guard let sandboxes = try? await runtime.listPodSandbox(timeout: .seconds(10)) else { return }
    await withTaskGroup(of: Void.self) { group in
      for sandbox in sandboxes.items {
        group.addTask {
          var stop = CRIStopPodSandboxRequest()
          stop.podSandboxID = sandbox.id
          var remove = CRIRemovePodSandboxRequest()
          remove.podSandboxID = sandbox.id
          do {
            _ = try await self.runtime.stopPodSandbox(stop, timeout: .seconds(30))
            _ = try await self.runtime.removePodSandbox(remove, timeout: .seconds(30))
          } catch {
            self.logger.error("cannot remove a sandbox", metadata: ["id": "\(sandbox.id)", "error": "\(error)"])
          }
        }
      }
    }
  }
}
