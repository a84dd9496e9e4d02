import API
import APIMachinery
import Testing

@testable import ControllerManager

@Suite struct JobPolicyTests {
  private func job(_ change: (inout JobSpec) -> Void) -> Job {
    Job {
      $0.metadata.name = "work"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "job"
      $0.spec.completions = 3
      $0.spec.parallelism = 3
      $0.spec.completionMode = "Indexed"
      $0.spec.backoffLimit = 6
      $0.spec.template = template(image: "work:1")
      $0.spec.template.spec.restartPolicy = "Never"
      change(&$0.spec)
    }
  }

  private func pod(_ name: String, _ index: Int, _ phase: String, code: Int32 = 1, failures: Int = 0) -> Pod {
    var pod = makePod(name)
    pod.status.phase = phase
    pod.metadata.finalizers = [JobDecision.finalizer]
    pod.metadata.annotations[JobDecision.indexAnnotation] = String(index)
    pod.metadata.annotations[JobDecision.failureCountAnnotation] = String(failures)
    if phase == "Failed" {
      pod.status.containerStatuses = [
        ContainerStatus {
          $0.name = "main"
          $0.state.terminated = ContainerStateTerminated {
            $0.exitCode = code
            $0.finishedAt = moment.adding(seconds: -3600)
          }
        }
      ]
    }
    return pod
  }

  private func rule(_ action: String, codes: [Int32]) -> PodFailurePolicyRule {
    PodFailurePolicyRule {
      $0.action = action
      $0.onExitCodes = PodFailurePolicyOnExitCodesRequirement {
        $0.operator = "In"
        $0.values = codes
      }
    }
  }

  @Test func aRuleEndsTheJobAtOnce() {
    let job = job { $0.podFailurePolicy = PodFailurePolicy { $0.rules = [rule("FailJob", codes: [42])] } }
    let decision = JobDecision.decide(
      job, pods: [pod("a", 0, "Failed", code: 42), pod("b", 1, "Running")], now: moment)
    let condition = decision.status.conditions.condition("FailureTarget")
    #expect(condition?.reason == "PodFailurePolicy")
    #expect(
      condition?.message
        == "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 0")
    #expect(decision.delete.map(\.metadata.name) == ["b"])
    #expect(decision.status.uncountedTerminatedPods?.failed == ["a-uid"])
  }

  @Test func ignoredFailuresDoNotCount() {
    let job = job {
      $0.backoffLimit = 0
      $0.podFailurePolicy = PodFailurePolicy {
        $0.rules = [
          PodFailurePolicyRule {
            $0.action = "Ignore"
            $0.onPodConditions = [
              PodFailurePolicyOnPodConditionsPattern {
                $0.type = "DisruptionTarget"
                $0.status = "True"
              }
            ]
          }
        ]
      }
    }
    var evicted = pod("a", 0, "Failed")
    evicted.status.conditions = [
      PodCondition {
        $0.type = "DisruptionTarget"
        $0.status = "True"
      }
    ]
    let decision = JobDecision.decide(job, pods: [evicted], now: moment)
    #expect(decision.release.map(\.metadata.name) == ["a"])
    #expect(decision.status.uncountedTerminatedPods?.failed.isEmpty == true)
    #expect(!decision.status.conditions.isTrue("FailureTarget"))
    #expect(decision.create.map(\.index) == [0, 1, 2])
  }

  @Test func eachIndexHasItsOwnLimit() {
    let job = job {
      $0.backoffLimitPerIndex = 1
      $0.backoffLimit = .max
    }
    // The first failure is remembered by its pod until another takes the index over.
    let first = pod("a", 0, "Failed")
    let decision = JobDecision.decide(job, pods: [first, pod("b", 1, "Running"), pod("c", 2, "Running")], now: moment)
    #expect(decision.release.isEmpty)
    #expect(decision.status.uncountedTerminatedPods?.failed.isEmpty == true)
    #expect(decision.create == [.init(index: 0, failures: 1)])
    let made = JobDecision.pod(job, decision.create[0], random: "x")
    #expect(made.metadata.annotations[JobDecision.failureCountAnnotation] == "1")
    // Then it is counted; the second failure is the index's last.
    let second = pod("d", 0, "Failed", failures: 1)
    let next = JobDecision.decide(
      job, pods: [first, second, pod("b", 1, "Succeeded"), pod("c", 2, "Succeeded")], now: moment)
    #expect(Set(next.status.uncountedTerminatedPods?.failed ?? []) == ["a-uid", "d-uid"])
    #expect(next.status.failedIndexes == "0")
    #expect(next.status.completedIndexes == "1,2")
    #expect(next.status.conditions.condition("FailureTarget")?.reason == "FailedIndexes")
  }

  @Test func tooManyFailedIndexesFailTheJob() {
    let job = job {
      $0.backoffLimitPerIndex = 0
      $0.maxFailedIndexes = 0
      $0.backoffLimit = .max
    }
    let decision = JobDecision.decide(job, pods: [pod("a", 0, "Failed"), pod("b", 1, "Running")], now: moment)
    #expect(decision.status.conditions.condition("FailureTarget")?.reason == "MaxFailedIndexesExceeded")
  }

  @Test func someSuccessesCanBeEnough() {
    let job = job {
      $0.successPolicy = SuccessPolicy {
        $0.rules = [
          SuccessPolicyRule {
            $0.succeededIndexes = "0,2"
            $0.succeededCount = 1
          }
        ]
      }
    }
    let decision = JobDecision.decide(job, pods: [pod("a", 2, "Succeeded"), pod("b", 1, "Running")], now: moment)
    let condition = decision.status.conditions.condition("SuccessCriteriaMet")
    #expect(condition?.reason == "SuccessPolicy")
    #expect(condition?.message == "Matched rules at index 0")
    // What still runs is let go and counts for nothing.
    #expect(decision.discard.map(\.metadata.name) == ["b"])
    #expect(decision.delete.isEmpty)
  }

  @Test func noIndexRunsTwice() {
    let decision = JobDecision.decide(
      job { _ in }, pods: [pod("a", 0, "Running"), pod("b", 0, "Running"), pod("c", 7, "Running")], now: moment)
    #expect(decision.discard.count == 2)
    #expect(decision.discard.contains { $0.metadata.name == "c" })
  }
}
