import API
import Client
import Foundation
import GRPC
import Logging
import Testing

@testable import Kubelet

/// A kubelet between an API server and a container runtime, both in memory.
private final class Bench: Sendable {
  let api = MemoryAPI()
  let engine: FakeEngine
  let scratchPath: String
  let configuration: KubeletConfiguration

  init(engine: FakeEngine = FakeEngine(), scratch: String, change: (inout KubeletConfiguration) -> Void = { _ in }) {
    self.engine = engine
    scratchPath = scratch
    var configuration = KubeletConfiguration(nodeName: "node1")
    configuration.rootDirectory = scratch + "/kubelet"
    configuration.podLogsDirectory = scratch + "/pods"
    configuration.containerLogsDirectory = nil
    configuration.nodeIPs = ["192.168.0.2"]
    configuration.cgroupRoot = nil
    configuration.enableServer = false
    configuration.plegRelistPeriod = .milliseconds(20)
    change(&configuration)
    self.configuration = configuration
  }

  /// Runs a kubelet while `body` looks at what it does.
  func run(handlers: any HandlerRunner = FakeHandlers(), _ body: (Kubelet) async throws -> Void) async throws {
    let client = APIClient(transport: StrategicFront(api: api), userAgent: "kubelet")
    let informers = InformerFactory(client: client)
    var logger = Logger(label: "test")
    logger.logLevel = .error
    let kubelet = Kubelet(
      client: client, informers: informers, runtime: engine, configuration: configuration, logger: logger,
      mounter: NoMounter(), handlers: handlers)
    let tasks = [Task { try await informers.run() }, Task { try await kubelet.run() }]
    do {
      try await body(kubelet)
    } catch {
      for task in tasks { task.cancel() }
      throw error
    }
    for task in tasks {
      task.cancel()
      _ = await task.result
    }
  }

  func pod(_ name: String = "web") -> Pod? { api.object(Pod.self, namespace: "default", name: name) }

  /// Waits until something is so; a failed wait is a failed test.
  func until(_ what: String, _ condition: () -> Bool) async throws {
    for _ in 0..<500 {
      if condition() { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record(
      "never: \(what); calls: \(engine.calls); pod: \(pod().map { String(decoding: $0.encoded(), as: UTF8.self) } ?? "none")"
    )
    throw CancellationError()
  }

  func events() -> [String] { api.objects(Event.self).map { "\($0.reason): \($0.message)" } }
}

private func plain(_ name: String = "web", _ change: (inout Pod) -> Void = { _ in }) -> Pod {
  makePod(name) {
    $0.metadata.uid = ""
    $0.status = PodStatus()
    $0.status.phase = "Pending"
    change(&$0)
  }
}

@Suite(.timeLimit(.minutes(1))) struct KubeletTests {
  @Test func aPodRunsAndIsReported() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(plain())
    try await bench.run { _ in
      try await bench.until("ready") {
        bench.pod()?.status.conditions.contains { $0.type == "Ready" && $0.status == "True" } == true
      }
      let status = try #require(bench.pod()).status
      #expect(status.phase == "Running")
      #expect(status.podIP == "10.0.0.1")
      #expect(status.hostIP == "192.168.0.2")
      #expect(status.containerStatuses.map(\.ready) == [true])
      #expect(bench.engine.calls == ["runPodSandbox", "create main", "start main"])
      try await bench.until("events") { bench.events().contains("Started: Container started") }
      try await bench.until("event") { bench.events().contains("Created: Container created") }
      let node = bench.api.object(Node.self, name: "node1")
      #expect(node?.status.conditions.first { $0.type == "Ready" }?.status == "True")
      #expect(node?.metadata.labels["kubernetes.io/hostname"] == "node1")
      try await bench.until("lease") {
        bench.api.object(Lease.self, namespace: "kube-node-lease", name: "node1") != nil
      }
    }
    // The kubelet is gone, the container is not.
    #expect(bench.engine.running == ["main"])
  }

  @Test func aRestartedKubeletTouchesNothing() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(plain())
    try await bench.run { _ in
      try await bench.until("running") { bench.pod()?.status.phase == "Running" }
    }
    let before = bench.engine.calls
    bench.api.clearRequests()
    try await bench.run { kubelet in
      try await bench.until("adopted") { !kubelet.workers.pods.isEmpty }
      try await Task.sleep(for: .milliseconds(200))
    }
    #expect(bench.engine.calls == before)
    #expect(!bench.api.writes.contains { $0.path.contains("/pods/web") })
  }

  @Test func aCrashingContainerBacksOff() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    bench.engine.with { $0.exitsAtOnce["main"] = 1 }
    try bench.api.seed(plain())
    try await bench.run { _ in
      try await bench.until("back-off") {
        bench.pod()?.status.containerStatuses.first?.state.waiting?.reason == "CrashLoopBackOff"
      }
      let pod = try #require(bench.pod())
      let container = try #require(pod.status.containerStatuses.first)
      #expect(
        container.state.waiting?.message
          == "back-off 10s restarting failed container=main pod=web_default(\(pod.metadata.uid))")
      #expect(container.lastState.terminated?.exitCode == 1)
      #expect(container.restartCount == 1)
      #expect(bench.engine.calls.filter { $0 == "start main" }.count == 2)
      try await bench.until("event") {
        bench.events().contains {
          $0.hasPrefix("BackOff: Back-off restarting failed container main in pod web_default(")
        }
      }
    }
  }

  @Test func deletionIsConfirmedOnceNothingRuns() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(plain { $0.spec.terminationGracePeriodSeconds = 7 })
    try await bench.run { kubelet in
      try await bench.until("running") { bench.pod()?.status.phase == "Running" }
      let uid = try #require(bench.pod()).metadata.uid
      try await bench.api.client().delete(Pod.self, namespace: "default", name: "web", options: .grace(seconds: 7))
      try await bench.until("gone") { bench.pod() == nil }
      #expect(bench.engine.with { $0.stopGraces } == [7])
      #expect(bench.engine.running.isEmpty)
      try await bench.until("remains removed") { bench.engine.with { $0.sandboxes.isEmpty && $0.containers.isEmpty } }
      try await bench.until("worker ended") { kubelet.workers.worker(uid) == nil }
      #expect(!Files.exists("\(scratch.path)/kubelet/pods/\(uid)"))
      try await bench.until("event") { bench.events().contains("Killing: Stopping container main") }
    }
  }

  @Test func aJobsPodFinishes() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(
      plain {
        $0.spec.restartPolicy = "Never"
        $0.spec.initContainers = [makeContainer("init")]
      })
    bench.engine.with { $0.exitsAtOnce["init"] = 0 }
    try await bench.run { _ in
      try await bench.until("running") { bench.pod()?.status.phase == "Running" }
      bench.engine.exit("main", code: 0)
      try await bench.until("succeeded") { bench.pod()?.status.phase == "Succeeded" }
      try await bench.until("sandbox stopped") { bench.engine.calls.contains("stopPodSandbox") }
      #expect(bench.engine.calls.filter { $0.hasPrefix("start") } == ["start init", "start main"])
      let status = try #require(bench.pod()).status
      #expect(status.initContainerStatuses.first?.ready == true)
      #expect(status.containerStatuses.first?.state.terminated?.reason == "Completed")
    }
  }

  @Test func aMissingImageIsExplained() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    bench.engine.with { $0.pullError = .init(.notFound, "no such image") }
    try bench.api.seed(plain { $0.spec.containers[0].image = "nowhere/none:1" })
    try await bench.run { _ in
      try await bench.until("waiting") {
        bench.pod()?.status.containerStatuses.first?.state.waiting?.reason == "ImagePullBackOff"
      }
      #expect(
        bench.pod()?.status.containerStatuses.first?.state.waiting?.message
          == "Back-off pulling image \"nowhere/none:1\": ErrImagePull: rpc error: code = NotFound desc = no such image")
      try await bench.until("event") {
        bench.events().contains(
          "Failed: Failed to pull image \"nowhere/none:1\": rpc error: code = NotFound desc = no such image")
      }
      try await bench.until("event") { bench.events().contains("Failed: Error: ErrImagePull") }
    }
  }

  @Test func aFailedLivenessProbeRestartsTheContainer() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(
      plain {
        var probe = Probe()
        probe.exec = ExecAction()
        probe.exec?.command = ["check"]
        probe.failureThreshold = 1
        probe.periodSeconds = 1
        $0.spec.containers[0].livenessProbe = probe
      })
    try await bench.run(handlers: FakeHandlers(result: .failure("bad"))) { _ in
      try await bench.until("restarted") { bench.engine.calls.filter { $0 == "start main" }.count >= 2 }
      try await bench.until("events") { bench.events().contains("Unhealthy: Liveness probe failed: bad") }
      try await bench.until("event") {
        bench.events().contains("Killing: Container main failed liveness probe, will be restarted")
      }
    }
  }

  @Test func whatDoesNotFitIsRefused() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(plain { $0.spec.containers[0].resources.requests["cpu"] = Quantity(100_000) })
    try await bench.run { _ in
      try await bench.until("failed") { bench.pod()?.status.phase == "Failed" }
      #expect(bench.pod()?.status.reason == "OutOfcpu")
      #expect(bench.engine.calls.isEmpty)
      try await bench.api.client().delete(Pod.self, namespace: "default", name: "web", options: .grace(seconds: 30))
      try await bench.until("gone") { bench.pod() == nil }
    }
  }

  @Test func orphansAreEnded() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(plain())
    try await bench.run { _ in
      try await bench.until("running") { bench.pod()?.status.phase == "Running" }
    }
    // While no kubelet looks, the pod is force-deleted.
    try await bench.api.client().delete(Pod.self, namespace: "default", name: "web", options: .grace(seconds: 0))
    try await bench.run { _ in
      try await bench.until("ended") { bench.engine.with { $0.sandboxes.isEmpty && $0.containers.isEmpty } }
    }
  }

  @Test func staticPodsRunAndAreMirrored() async throws {
    let scratch = Scratch()
    try Files.makeDirectories("\(scratch.path)/manifests")
    let manifest = """
      apiVersion: v1
      kind: Pod
      metadata:
        name: fixed
      spec:
        containers:
          - name: main
            image: busybox:1
            args: ["1", two]
      """
    try Files.write("\(scratch.path)/manifests/fixed.yaml", Array(manifest.utf8))
    let bench = Bench(scratch: scratch.path) {
      $0.staticPodPath = "\(scratch.path)/manifests"
      $0.fileCheckFrequency = .milliseconds(50)
    }
    try await bench.run { _ in
      try await bench.until("mirrored") { bench.pod("fixed-node1")?.status.phase == "Running" }
      let mirror = try #require(bench.pod("fixed-node1"))
      #expect(mirror.isMirror)
      #expect(mirror.metadata.ownerReferences.first?.kind == "Node")
      #expect(mirror.spec.containers[0].args == ["1", "two"])
      try Files.remove("\(scratch.path)/manifests/fixed.yaml")
      try await bench.until("gone") { bench.engine.running.isEmpty && bench.pod("fixed-node1") == nil }
    }
  }

  @Test func aPodWaitsForItsConfigMap() async throws {
    let scratch = Scratch()
    let bench = Bench(scratch: scratch.path)
    try bench.api.seed(
      plain {
        var variable = EnvVar()
        variable.name = "A"
        variable.valueFrom = EnvVarSource()
        variable.valueFrom?.configMapKeyRef = ConfigMapKeySelector()
        variable.valueFrom?.configMapKeyRef?.name = "config"
        variable.valueFrom?.configMapKeyRef?.key = "a"
        $0.spec.containers[0].env = [variable]
      })
    try await bench.run { _ in
      try await bench.until("waiting") {
        bench.pod()?.status.containerStatuses.first?.state.waiting?.reason == "CreateContainerConfigError"
      }
      #expect(bench.pod()?.status.containerStatuses.first?.state.waiting?.message == "configmap \"config\" not found")
      var map = ConfigMap()
      map.metadata.name = "config"
      map.metadata.namespace = "default"
      map.data = ["a": "1"]
      try bench.api.seed(map)
      try await bench.until("running") { bench.pod()?.status.phase == "Running" }
    }
  }
}
