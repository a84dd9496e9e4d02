import API
import Testing

@testable import Kubelet

@Suite struct ProbeMachineTests {
  func spec(_ change: (inout Probe) -> Void = { _ in }) -> Probe {
    var probe = Probe()
    probe.failureThreshold = 3
    probe.successThreshold = 1
    probe.periodSeconds = 10
    change(&probe)
    return probe
  }

  @Test func readinessBeginsUnreadyAndNeedsItsThresholds() {
    var machine = ProbeMachine(kind: .readiness, spec: spec { $0.successThreshold = 2 })
    #expect(machine.tick(container: nil, startupPassed: true, now: at(10)) == .skip)
    #expect(machine.tick(container: running("main"), startupPassed: true, now: at(10)) == .probe)
    #expect(machine.verdict == false)
    let first = machine.result(true)
    let second = machine.result(true)
    #expect(!first && second)
    let failures = [machine.result(false), machine.result(false), machine.result(false)]
    #expect(failures == [false, false, true])
    #expect(machine.verdict == false)
    #expect(!machine.onHold)
  }

  @Test func theInitialDelayHolds() {
    var machine = ProbeMachine(kind: .liveness, spec: spec { $0.initialDelaySeconds = 5 })
    #expect(machine.tick(container: running("main"), startupPassed: true, now: at(6)) == .skip)
    #expect(machine.verdict == true)
    #expect(machine.tick(container: running("main"), startupPassed: true, now: at(7)) == .probe)
  }

  @Test func aFailedLivenessProbeHoldsUntilTheNextContainer() {
    var machine = ProbeMachine(kind: .liveness, spec: spec { $0.failureThreshold = 1 })
    _ = machine.tick(container: running("main"), startupPassed: true, now: at(10))
    let changed = machine.result(false)
    #expect(changed && machine.onHold)
    #expect(machine.tick(container: running("main"), startupPassed: true, now: at(20)) == .skip)
    #expect(machine.tick(container: running("main", id: "next"), startupPassed: true, now: at(30)) == .probe)
    #expect(machine.verdict == true)
  }

  @Test func onlyTheStartupProbeSpeaksBeforeStartup() {
    var startup = ProbeMachine(kind: .startup, spec: spec())
    var liveness = ProbeMachine(kind: .liveness, spec: spec())
    #expect(startup.tick(container: running("main"), startupPassed: false, now: at(10)) == .probe)
    #expect(liveness.tick(container: running("main"), startupPassed: false, now: at(10)) == .skip)
    #expect(startup.tick(container: running("main"), startupPassed: true, now: at(10)) == .skip)
    #expect(liveness.tick(container: running("main"), startupPassed: true, now: at(10)) == .probe)
  }

  @Test func aStoppedContainerIsUnready() {
    var machine = ProbeMachine(kind: .readiness, spec: spec())
    _ = machine.tick(container: running("main"), startupPassed: true, now: at(10))
    _ = machine.result(true)
    var stopped = running("main")
    stopped.state = .exited
    #expect(machine.tick(container: stopped, startupPassed: true, now: at(11)) == .changed)
    #expect(machine.verdict == false)
  }
}
