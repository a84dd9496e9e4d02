import API
import Testing

@testable import Kubelet

@Suite struct PodActionTests {
  func actions(_ pod: Pod, _ runtime: RuntimePod, _ probes: ProbeResults = ProbeResults()) -> PodActions {
    PodActionComputer.compute(pod: pod, runtime: runtime, probes: probes)
  }

  @Test func aNewPodNeedsASandboxAndItsContainers() {
    let result = actions(makePod(), RuntimePod())
    #expect(result.createSandbox && result.killPod)
    #expect(result.attempt == 0)
    #expect(result.start == [0])
  }

  @Test func aRunningPodNeedsNothing() {
    #expect(actions(makePod(), runtimePod([running("main")])).isEmpty)
  }

  @Test func aDeadSandboxIsReplaced() {
    let result = actions(makePod(), runtimePod([exited("main", code: 137)], sandboxReady: false))
    #expect(result.createSandbox)
    #expect(result.attempt == 1)
    #expect(result.sandboxID == "s1")
    #expect(result.start == [0])
  }

  @Test func aPodThatNeverRestartsKeepsItsDeadSandbox() {
    let pod = makePod { $0.spec.restartPolicy = "Never" }
    let result = actions(pod, runtimePod([exited("main", code: 0)], sandboxReady: false))
    #expect(!result.createSandbox)
    #expect(result.start.isEmpty)
  }

  @Test(arguments: [
    ("Always", Int32(0), true), ("Always", 1, true), ("OnFailure", 0, false), ("OnFailure", 1, true),
    ("Never", 0, false), ("Never", 1, false),
  ])
  func restartPolicies(policy: String, code: Int32, restarts: Bool) {
    let pod = makePod {
      $0.spec.restartPolicy = policy
      $0.spec.containers.append(makeContainer("other"))
    }
    let result = actions(pod, runtimePod([exited("main", code: code), running("other")]))
    #expect(result.start == (restarts ? [0] : []))
    #expect(!result.killPod)
  }

  @Test func aContainersOwnRulesWin() {
    let pod = makePod {
      $0.spec.restartPolicy = "Never"
      var codes = ContainerRestartRuleOnExitCodes()
      codes.operator = "In"
      codes.values = [42]
      var rule = ContainerRestartRule()
      rule.action = "Restart"
      rule.exitCodes = codes
      $0.spec.containers[0].restartPolicyRules = [rule]
      $0.spec.containers[0].restartPolicy = "Never"
    }
    #expect(actions(pod, runtimePod([exited("main", code: 42)])).start == [0])
    #expect(actions(pod, runtimePod([exited("main", code: 1)])).killPod)
  }

  @Test func aPodThatIsOverIsKilled() {
    let pod = makePod { $0.spec.restartPolicy = "Never" }
    let result = actions(pod, runtimePod([exited("main", code: 1)]))
    #expect(result.killPod && !result.createSandbox)
  }

  @Test func aDeletedPodRestartsNothing() {
    let pod = makePod { $0.metadata.deletionTimestamp = Time(seconds: 5) }
    #expect(actions(pod, runtimePod([exited("main", code: 1)])).start.isEmpty)
  }

  @Test func aChangedImageRestartsItsContainer() {
    let pod = makePod { $0.spec.containers[0].image = "busybox:2" }
    let result = actions(pod, runtimePod([running("main")]))
    #expect(result.start == [0])
    #expect(result.kills.map(\.message) == ["Container main definition changed, will be restarted"])
  }

  @Test func aFailedLivenessProbeRestarts() {
    let result = actions(makePod(), runtimePod([running("main")]), ProbeResults(liveness: ["c-main": false]))
    #expect(result.kills.map(\.message) == ["Container main failed liveness probe, will be restarted"])
    #expect(result.kills.first?.reason == .livenessProbe)
    #expect(result.start == [0])
  }

  @Test func initContainersRunInOrder() {
    let pod = makePod { $0.spec.initContainers = [makeContainer("a"), makeContainer("b")] }
    #expect(actions(pod, RuntimePod()).startInit == [0])
    #expect(actions(pod, runtimePod([])).startInit == [0])
    #expect(actions(pod, runtimePod([running("a")])).isEmpty)
    #expect(actions(pod, runtimePod([exited("a", code: 0)])).startInit == [1])
    #expect(actions(pod, runtimePod([exited("a", code: 1)])).startInit == [0])
    let done = actions(pod, runtimePod([exited("a", code: 0), exited("b", code: 0)]))
    #expect(done.start == [0] && done.startInit.isEmpty)
  }

  @Test func aFailedInitContainerEndsAPodThatNeverRestarts() {
    let pod = makePod {
      $0.spec.restartPolicy = "Never"
      $0.spec.initContainers = [makeContainer("a")]
    }
    #expect(actions(pod, runtimePod([exited("a", code: 1)])).killPod)
  }

  @Test func forgottenInitContainersDoNotRunAgain() {
    let pod = makePod { $0.spec.initContainers = [makeContainer("a")] }
    #expect(actions(pod, runtimePod([running("main")])).isEmpty)
  }

  @Test func initContainersOfAnEarlierSandboxDoNotCount() {
    let pod = makePod { $0.spec.initContainers = [makeContainer("a"), makeContainer("b")] }
    let result = actions(pod, runtimePod([exited("a", code: 0, sandbox: "old"), exited("b", code: 0, sandbox: "old")]))
    #expect(result.startInit == [0])
  }

  @Test func aSidecarLetsTheNextStartOnceItRuns() {
    let sidecar = makeContainer("side") { $0.restartPolicy = "Always" }
    let pod = makePod { $0.spec.initContainers = [sidecar, makeContainer("b")] }
    #expect(actions(pod, runtimePod([running("side")])).startInit == [1])
    let probed = makePod {
      $0.spec.initContainers = [sidecar, makeContainer("b")]
      $0.spec.initContainers[0].startupProbe = Probe()
    }
    #expect(actions(probed, runtimePod([running("side")])).startInit.isEmpty)
    #expect(actions(probed, runtimePod([running("side")]), ProbeResults(startup: ["c-side": true])).startInit == [1])
  }

  @Test func aDeadSidecarComesBackWhileTheContainersRun() {
    let pod = makePod { $0.spec.initContainers = [makeContainer("side") { $0.restartPolicy = "Always" }] }
    let result = actions(pod, runtimePod([running("main"), exited("side", code: 0)]))
    #expect(result.startInit == [0])
    #expect(result.start.isEmpty)
  }
}
