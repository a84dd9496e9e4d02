import API
import Testing

@testable import Kubelet

@Suite struct StatusTests {
  func build(
    _ pod: Pod, _ runtime: RuntimePod, previous: PodStatus = PodStatus(), reasons: [String: WaitingReason] = [:],
    probes: ProbeResults = ProbeResults(), terminal: Bool = false
  ) -> PodStatus {
    PodStatusBuilder.build(
      PodStatusInput(
        pod: pod, runtime: runtime, runtimeName: "containerd", previous: previous, reasons: reasons, probes: probes,
        hostIPs: ["192.168.0.2"], terminal: terminal, now: Time(seconds: 100)))
  }

  func condition(_ status: PodStatus, _ type: String) -> PodCondition? { status.conditions.first { $0.type == type } }

  @Test func aPodThatIsBeingMade() {
    let status = build(makePod(), RuntimePod())
    #expect(status.phase == "Pending")
    #expect(status.containerStatuses[0].state.waiting?.reason == "ContainerCreating")
    #expect(condition(status, "Ready")?.message == "containers with unready status: [main]")
    #expect(condition(status, "Ready")?.reason == "ContainersNotReady")
    #expect(condition(status, "Initialized")?.status == "True")
    #expect(condition(status, "PodReadyToStartContainers")?.status == "False")
    #expect(status.startTime == Time(seconds: 100))
    #expect(status.qosClass == "BestEffort")
    #expect(status.hostIP == "192.168.0.2")
  }

  @Test func aPodThatRuns() {
    let status = build(makePod(), runtimePod([running("main")]))
    #expect(status.phase == "Running")
    #expect(status.podIP == "10.0.0.1")
    #expect(status.containerStatuses[0].containerID == "containerd://c-main")
    #expect(status.containerStatuses[0].ready && status.containerStatuses[0].started == true)
    #expect(condition(status, "Ready")?.status == "True")
    #expect(condition(status, "Ready")?.lastTransitionTime == Time(seconds: 100))
  }

  @Test func readinessFollowsTheProbe() {
    let pod = makePod { $0.spec.containers[0].readinessProbe = Probe() }
    #expect(condition(build(pod, runtimePod([running("main")])), "Ready")?.status == "False")
    let ready = build(pod, runtimePod([running("main")]), probes: ProbeResults(readiness: ["c-main": true]))
    #expect(condition(ready, "Ready")?.status == "True")
    let starting = makePod { $0.spec.containers[0].startupProbe = Probe() }
    #expect(build(starting, runtimePod([running("main")])).containerStatuses[0].started == false)
  }

  @Test func aCrashLoopShowsItsEndAsLastState() {
    var ended = exited("main", code: 1)
    ended.restartCount = 3
    let why = WaitingReason(
      reason: "CrashLoopBackOff", message: "back-off 40s restarting failed container=main pod=web_default(uid-web)")
    let status = build(makePod(), runtimePod([ended]), reasons: ["main": why])
    #expect(status.phase == "Running")
    let container = status.containerStatuses[0]
    #expect(container.state.waiting?.reason == "CrashLoopBackOff")
    #expect(container.lastState.terminated?.exitCode == 1)
    #expect(container.lastState.terminated?.reason == "Error")
    #expect(container.restartCount == 3)
    #expect(!container.ready)
  }

  @Test func aRestartedContainerRemembersTheOneBefore() {
    var now = running("main", id: "new")
    now.createdAt = 5_000_000_000
    now.restartCount = 1
    let status = build(makePod(), runtimePod([now, exited("main", code: 137)]))
    #expect(status.containerStatuses[0].lastState.terminated?.exitCode == 137)
    #expect(status.containerStatuses[0].restartCount == 1)
  }

  @Test(arguments: [
    ("Always", Int32(0), false, "Running"), ("OnFailure", 1, false, "Running"), ("OnFailure", 0, false, "Succeeded"),
    ("Never", 1, false, "Failed"), ("Never", 0, false, "Succeeded"), ("Always", 1, true, "Failed"),
  ])
  func phases(policy: String, code: Int32, terminal: Bool, phase: String) {
    let pod = makePod { $0.spec.restartPolicy = policy }
    #expect(build(pod, runtimePod([exited("main", code: code)]), terminal: terminal).phase == phase)
  }

  @Test func aFinishedPodSaysSo() {
    let status = build(makePod { $0.spec.restartPolicy = "Never" }, runtimePod([exited("main", code: 0)]))
    #expect(condition(status, "Ready")?.reason == "PodCompleted")
    #expect(condition(status, "Initialized")?.reason == "PodCompleted")
    #expect(status.containerStatuses[0].state.terminated?.reason == "Completed")
  }

  @Test func initContainersComeFirst() {
    let pod = makePod { $0.spec.initContainers = [makeContainer("a"), makeContainer("b")] }
    let status = build(pod, runtimePod([running("a")]))
    #expect(status.phase == "Pending")
    #expect(status.containerStatuses[0].state.waiting?.reason == "PodInitializing")
    #expect(condition(status, "Initialized")?.message == "containers with incomplete status: [a b]")
    let failed = build(
      makePod {
        $0.spec.restartPolicy = "Never"
        $0.spec.initContainers = [makeContainer("a")]
      }, runtimePod([exited("a", code: 1)]))
    #expect(failed.phase == "Failed")
  }

  @Test func readinessGatesHoldThePodBack() {
    let pod = makePod {
      var gate = PodReadinessGate()
      gate.conditionType = "example.com/ok"
      $0.spec.readinessGates = [gate]
    }
    let status = build(pod, runtimePod([running("main")]))
    #expect(condition(status, "Ready")?.reason == "ReadinessGatesNotReady")
    #expect(
      condition(status, "Ready")?.message
        == "corresponding condition of pod readiness gate \"example.com/ok\" does not exist.")
  }

  @Test func anUnchangedConditionKeepsItsTime() {
    let first = build(makePod(), runtimePod([running("main")]))
    var input = PodStatusInput(
      pod: makePod(), runtime: runtimePod([running("main")]), runtimeName: "containerd", previous: first, reasons: [:],
      probes: ProbeResults(), hostIPs: ["192.168.0.2"], now: Time(seconds: 900))
    #expect(StatusPatch.isSame(first, PodStatusBuilder.build(input)))
    input.runtime = runtimePod([exited("main", code: 1)])
    #expect(condition(PodStatusBuilder.build(input), "Ready")?.lastTransitionTime == Time(seconds: 900))
  }

  @Test func aPatchSaysOnlyWhatChanged() throws {
    let first = build(makePod(), RuntimePod())
    let second = build(makePod(), runtimePod([running("main")]), previous: first)
    let bytes = try #require(StatusPatch.make(from: first, to: second, uid: "u"))
    let patch = try JSONValue(parsing: bytes)
    #expect(patch["metadata"]?["uid"]?.stringValue == "u")
    #expect(patch["status"]?["qosClass"] == nil)
    #expect(patch["status"]?["phase"]?.stringValue == "Running")
    let types = patch["status"]?["conditions"]?.arrayValue?.compactMap { $0["type"]?.stringValue }
    #expect(types == ["PodReadyToStartContainers", "Ready", "ContainersReady"])
    let ready = patch["status"]?["conditions"]?.arrayValue?.first { $0["type"]?.stringValue == "Ready" }
    #expect(ready?["message"] == .null)
    #expect(StatusPatch.make(from: second, to: second, uid: "u") == nil)
  }

  @Test func qualityOfService() {
    #expect(
      qosClass(of: makePod { $0.spec.containers[0].resources.requests["cpu"] = Quantity(milli: 100) }) == "Burstable")
    let guaranteed = makePod {
      for name in ["cpu", "memory"] {
        $0.spec.containers[0].resources.requests[name] = Quantity(1)
        $0.spec.containers[0].resources.limits[name] = Quantity(1)
      }
    }
    #expect(qosClass(of: guaranteed) == "Guaranteed")
  }
}
