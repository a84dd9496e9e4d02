import CRI
import Foundation
import Glibc
import Logging
import Testing

@testable import ContainerRuntime

/// Whether a real containerd can be run here, and if not, why.
enum EngineAvailability {
  static let reason: String? = {
    if getuid() != 0 { return "starting containerd needs root" }
    guard let binaries = try? EngineBinaries.find() else { return "containerd or runc is not installed" }
    if binaries.cniPlugins == nil { return "the CNI plugins are not installed" }
    return nil
  }()
}

/// A real containerd under directories of its own. Needs root and the Debian packages containerd, runc,
/// containernetworking-plugins and busybox-static.
@Suite(.serialized, .enabled(if: EngineAvailability.reason == nil, Comment(rawValue: EngineAvailability.reason ?? "")))
struct EngineTests {
  private struct World {
    let root: String
    let supervisor: ContainerdSupervisor
    let configuration: ContainerRuntimeConfiguration
    let node: NodeRuntime
  }

  private let cgroup = "apus-test-\(UInt32.random(in: 0 ... .max))"

  /// The parent group belongs to whoever asked for the pod, so the runtime leaves it.
  private func removeCgroups() {
    for controller in FileSystem.list("/sys/fs/cgroup") { rmdir("/sys/fs/cgroup/\(controller)/\(cgroup)") }
    rmdir("/sys/fs/cgroup/\(cgroup)")
  }

  private func withEngine(_ body: (World) async throws -> Void) async throws {
    try await withDirectory { root in
      var configuration = ContainerRuntimeConfiguration(dataDirectory: root + "/d", stateDirectory: root + "/s")
      configuration.bridgeName = "apus\(UInt16.random(in: 0 ... .max))"
      let images = configuration.imagesDirectory
      try FileSystem.makeDirectory(images)
      try FileSystem.write(
        BusyboxImage.archive(name: "example.test/busybox:1", busybox: "/bin/busybox"), to: images + "/busybox.tar")
      let supervisor = ContainerdSupervisor(configuration: configuration, logger: .init(label: "test"))
      do {
        let node = try await supervisor.start()
        try await supervisor.setPodCIDRs(["10.\(Int.random(in: 200...250)).\(Int.random(in: 0...255)).0/24"])
        try await body(World(root: root, supervisor: supervisor, configuration: configuration, node: node))
      } catch {
        Issue.record("\(error)\n\(FileSystem.text(configuration.logFile)?.suffix(3000) ?? "")")
      }
      await supervisor.tearDown()
      removeCgroups()
      #expect(EngineProcess(file: configuration.pidFile) == nil)
      #expect(Mounts.below(root) == [])
      #expect(!FileSystem.exists("/sys/class/net/\(configuration.bridgeName)"))
    }
  }

  private func sandboxConfiguration(_ world: World) -> CRIPodSandboxConfig {
    var config = CRIPodSandboxConfig()
    config.metadata.name = "pod"
    config.metadata.uid = "u-\(UInt32.random(in: 0 ... .max))"
    config.metadata.namespace = "default"
    config.hostname = "pod"
    config.logDirectory = world.root + "/logs"
    config.linux.cgroupParent = "/\(cgroup)"
    config.linux.securityContext.namespaceOptions.pid = .container
    return config
  }

  private func runPod(
    _ world: World, _ config: CRIPodSandboxConfig, command: [String]
  ) async throws -> (sandbox: String, container: String) {
    let runtime = world.supervisor.runtime
    var run = CRIRunPodSandboxRequest()
    run.config = config
    // The network is ready a moment after its configuration appears.
    var sandbox = ""
    for attempt in 0... {
      do {
        sandbox = try await runtime.runPodSandbox(run).podSandboxID
        break
      } catch  where "\(error)".contains("cni plugin not initialized") && attempt < 100 {
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    var create = CRICreateContainerRequest()
    create.podSandboxID = sandbox
    create.sandboxConfig = config
    create.config.metadata.name = "main"
    create.config.image.image = "example.test/busybox:1"
    create.config.command = command
    create.config.logPath = "main.log"
    let container = try await runtime.createContainer(create).containerID
    var start = CRIStartContainerRequest()
    start.containerID = container
    _ = try await runtime.startContainer(start)
    return (sandbox, container)
  }

  @Test(.timeLimit(.minutes(1))) func aPodLives() async throws {
    try await withEngine { world in
      let runtime = world.supervisor.runtime
      #expect(world.node.name == "containerd" && world.node.cgroupDriver == .cgroupfs)
      #expect(world.node.nodeInfoVersion.hasPrefix("containerd://"))
      #expect(try await world.supervisor.importer.isPresent(SandboxImage.name))
      let known = try await world.supervisor.images.listImages().images
      let pause = try #require(known.first { $0.repoTags.contains(SandboxImage.name) })
      #expect(pause.repoDigests.count == 1 && pause.size > 0)

      let config = sandboxConfiguration(world)
      try FileSystem.makeDirectory(config.logDirectory)
      let (sandbox, container) = try await runPod(
        world, config, command: ["sh", "-c", "echo from the pod; trap 'exit 7' TERM; while :; do sleep 0.05; done"])

      var podStatus = CRIPodSandboxStatusRequest()
      podStatus.podSandboxID = sandbox
      let pod = try await runtime.podSandboxStatus(podStatus).status
      #expect(pod.state == .sandboxReady && pod.network.ip.hasPrefix("10."))

      var exec = CRIExecSyncRequest()
      exec.containerID = container
      exec.cmd = ["sh", "-c", "hostname; ip -4 addr show eth0; exit 3"]
      let result = try await runtime.execSync(exec)
      let output = String(decoding: result.stdout, as: UTF8.self)
      #expect(result.exitCode == 3 && output.hasPrefix("pod\n") && output.contains(pod.network.ip))

      var stop = CRIStopContainerRequest()
      stop.containerID = container
      stop.timeout = 10
      _ = try await runtime.stopContainer(stop)
      var status = CRIContainerStatusRequest()
      status.containerID = container
      let ended = try await runtime.containerStatus(status).status
      #expect(ended.state == .containerExited && ended.exitCode == 7)
      #expect(ended.imageRef.hasPrefix("example.test/busybox@sha256:"))
      #expect(FileSystem.text(config.logDirectory + "/main.log")?.hasSuffix("stdout F from the pod") == true)
    }
  }

  @Test(.timeLimit(.minutes(1))) func importsWhatDockerSaves() async throws {
    try await withEngine { world in
      var layer = ImageLayer()
      layer.file("hello", Array("x".utf8))
      var archive = TarWriter()
      archive.add(.file, "l/layer.tar", mode: 0o644, content: layer.tar())
      let config = """
        {"architecture":"amd64","os":"linux","config":{"Cmd":["/hello"]},
        "rootfs":{"type":"layers","diff_ids":["\(Digest.sha256(layer.tar()))"]}}
        """
      archive.add(.file, "c.json", mode: 0o644, content: Array(config.utf8))
      let manifest = #"[{"Config":"c.json","RepoTags":["saved:1"],"Layers":["l/layer.tar"]}]"#
      archive.add(.file, "manifest.json", mode: 0o644, content: Array(manifest.utf8))
      let importer = world.supervisor.importer
      let names = try await importer.importArchive(archive.finish(), directory: world.root)
      #expect(names == ["docker.io/library/saved:1"])
      let known = try await importer.isPresent("saved:1")
      #expect(known)
      try FileSystem.write(SandboxImage.archive(name: "example.test/zipped:1"), to: world.root + "/z.tar")
      let gzip = try Subprocess.run(["/bin/gzip", world.root + "/z.tar"])
      #expect(gzip.status == 0)
      let zipped = try await importer.importArchive(world.root + "/z.tar.gz")
      #expect(zipped == ["example.test/zipped:1"])
      #expect(FileSystem.list(world.root).filter { $0.hasSuffix(".tmp") } == [])
      // Once more changes nothing and fails nothing; a bad archive beside good ones is passed over.
      try FileSystem.write(Array("junk".utf8), to: world.configuration.imagesDirectory + "/a-bad.tar")
      let again = await importer.importDirectory(world.configuration.imagesDirectory)
      #expect(again == ["example.test/busybox:1"])
    }
  }

  @Test(.timeLimit(.minutes(1))) func containersOutliveTheServerAndTheEngine() async throws {
    try await withEngine { world in
      let config = sandboxConfiguration(world)
      try FileSystem.makeDirectory(config.logDirectory)
      let (_, container) = try await runPod(world, config, command: ["sleep", "1000"])
      let first = try #require(EngineProcess(file: world.configuration.pidFile))

      // Another run of the server attaches to the engine that is there.
      let second = ContainerdSupervisor(configuration: world.configuration, logger: .init(label: "test"))
      _ = try await second.start()
      #expect(EngineProcess(file: world.configuration.pidFile) == first)

      // An engine that died is started again, and still knows the container.
      let keeper = Task { try await second.run() }
      first.signal(SIGKILL)
      var replacement: EngineProcess?
      for _ in 0..<500 where replacement == nil {
        try await Task.sleep(for: .milliseconds(20))
        if let now = EngineProcess(file: world.configuration.pidFile), now != first { replacement = now }
      }
      #expect(replacement != nil)
      var status = CRIContainerStatusRequest()
      status.containerID = container
      var state = CRIContainerState.containerUnknown
      for _ in 0..<200 {
        if let answer = try? await second.runtime.containerStatus(status) {
          state = answer.status.state
          break
        }
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(state == .containerRunning)
      keeper.cancel()
      try await keeper.value
      #expect(replacement?.isAlive == true)
    }
  }
}
