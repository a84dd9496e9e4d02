import API
import Testing

@testable import ControllerManager

@Suite struct HorizontalPodAutoscalerTests {
  private let now = Time(seconds: 100_000)
  private let calculator = ReplicaCalculator()
  private let tolerances = ReplicaCalculator.Tolerances()

  private func pod(_ index: Int, request: String = "1", ready: Bool = true, age: Int64 = 3600) -> Pod {
    Pod {
      $0.metadata.name = "p\(index)"
      $0.spec.containers = [
        Container {
          $0.name = "c"
          $0.resources.requests["cpu"] = try? Quantity(parsing: request)
        }
      ]
      $0.status.phase = "Running"
      $0.status.startTime = now.adding(seconds: -age)
      $0.status.conditions = [
        PodCondition {
          $0.type = "Ready"
          $0.status = ready ? "True" : "False"
          $0.lastTransitionTime = now.adding(seconds: -age)
        }
      ]
    }
  }

  private func metrics(_ values: [Int64]) -> PodMetrics {
    Dictionary(
      uniqueKeysWithValues: values.enumerated().map { ("p\($0.offset)", PodMetric(value: $0.element, timestamp: now)) })
  }

  private func utilization(
    _ values: [Int64], target: Int32, pods: [Pod], current: Int32? = nil
  ) throws -> ReplicaCalculator.Proposal {
    try calculator.utilization(
      metrics(values), target: target, resource: "cpu", container: "", pods: pods,
      current: current ?? Int32(pods.count), tolerances, now: now)
  }

  @Test func replicasFollowTheRatio() throws {
    let three = (0..<3).map { pod($0) }
    var proposal = try utilization([300, 500, 700], target: 30, pods: three)
    #expect(proposal == .init(replicas: 5, utilization: 50, usage: 500))
    proposal = try utilization([300, 500, 700], target: 100, pods: three)
    #expect(proposal.replicas == 2)
    // Within a tenth nothing is done.
    #expect(try utilization([545, 545, 545], target: 50, pods: three).replicas == 3)
    #expect(try utilization([560, 560, 560], target: 50, pods: three).replicas == 4)
  }

  @Test func missingPodsWeighAgainstTheDirection() throws {
    let four = (0..<4).map { pod($0) }
    // Upward: the one that is not heard of uses nothing. 3 × 900 / 4000 = 67 of 50.
    #expect(try utilization([900, 900, 900], target: 50, pods: four).replicas == 6)
    // Downward: it uses all it requests.
    #expect(try utilization([100, 100, 100], target: 50, pods: four).replicas == 3)
    // The direction must not turn about.
    #expect(try utilization([450, 450, 300], target: 50, pods: four).replicas == 4)
  }

  @Test func unreadyPodsDoNotDriveItUp() throws {
    let pods = (0..<3).map { pod($0) } + [pod(3, ready: false, age: 10)]
    // 3 × 900 with the unready one at nothing: 67 of 50.
    #expect(try utilization([900, 900, 900, 4000], target: 50, pods: pods).replicas == 6)
    #expect(throws: ReplicaCalculator.Failure("did not receive metrics for targeted pods (pods might be unready)")) {
      try utilization([900], target: 50, pods: [pod(0, ready: false, age: 10)])
    }
    var gone = pod(3)
    gone.metadata.deletionTimestamp = now
    #expect(try utilization([500, 500, 500, 9000], target: 50, pods: (0..<3).map { pod($0) } + [gone]).replicas == 4)
  }

  @Test func requestsAreNeeded() {
    var bare = pod(0)
    bare.spec.containers[0].resources.requests = [:]
    #expect(throws: ReplicaCalculator.Failure("missing request for cpu in container c of Pod p0")) {
      try utilization([1], target: 50, pods: [bare])
    }
    #expect(throws: ReplicaCalculator.Failure("no pods returned by selector while calculating replica count")) {
      try utilization([1], target: 50, pods: [])
    }
  }

  @Test func averagesAndWholeFigures() throws {
    let three = (0..<3).map { pod($0) }
    let average = try calculator.average(
      metrics([20_000, 10_000, 30_000]), target: 10_000, resource: "", pods: three, current: 3, tolerances, now: now)
    #expect(average == .init(replicas: 6, usage: 20_000))
    #expect(calculator.whole(20_000, target: 10_000, pods: three, current: 3, tolerances).replicas == 6)
    #expect(calculator.whole(20_000, target: 10_000, pods: [], current: 0, tolerances).replicas == 2)
    #expect(
      calculator.perPod(90_000, target: 10_000, replicas: 3, tolerances) == .init(replicas: 9, usage: 30_000))
    #expect(calculator.perPod(90_000, target: 10_000, replicas: 9, tolerances).replicas == 9)
  }

  // MARK: Rules

  @Test func withoutRulesTheHighestRecommendationHolds() {
    var history = ScalingHistory()
    history.begin(5, now: 0)
    var verdict = history.normalize(2, current: 5, min: 1, max: 10, behavior: nil, window: 300, now: 10)
    #expect(verdict.replicas == 5 && verdict.able.reason == "ScaleDownStabilized")
    verdict = history.normalize(2, current: 5, min: 1, max: 10, behavior: nil, window: 300, now: 301)
    #expect(verdict.replicas == 2 && verdict.able.reason == "ReadyForNewScale" && !verdict.isLimited)
    verdict = history.normalize(50, current: 2, min: 1, max: 10, behavior: nil, window: 300, now: 302)
    #expect(verdict.replicas == 4 && verdict.isLimited && verdict.limit.reason == "ScaleUpLimit")
    verdict = history.normalize(50, current: 8, min: 1, max: 10, behavior: nil, window: 300, now: 303)
    #expect(verdict.replicas == 10 && verdict.limit.reason == "TooManyReplicas")
    var other = ScalingHistory()
    #expect(
      other.normalize(0, current: 1, min: 1, max: 10, behavior: nil, window: 0, now: 1).limit.reason == "TooFewReplicas"
    )
  }

  private func rules(
    _ policies: [(String, Int32, Int32)], select: String = "Max", window: Int32 = 0
  ) -> HPAScalingRules {
    HPAScalingRules {
      $0.selectPolicy = select
      $0.stabilizationWindowSeconds = window
      $0.policies = policies.map { type, value, period in
        HPAScalingPolicy {
          $0.type = type
          $0.value = value
          $0.periodSeconds = period
        }
      }
    }
  }

  @Test func policiesLimitTheSpeed() {
    let behavior = HorizontalPodAutoscalerBehavior {
      $0.scaleUp = rules([("Pods", 2, 60), ("Percent", 50, 60)])
      $0.scaleDown = rules([("Pods", 1, 60), ("Percent", 10, 60)], select: "Min")
    }
    var history = ScalingHistory()
    func step(_ desired: Int32, _ current: Int32, _ now: Double) -> ScalingHistory.Verdict {
      history.normalize(desired, current: current, min: 1, max: 100, behavior: behavior, window: 300, now: now)
    }
    #expect(step(50, 10, 1).replicas == 15)
    history.scaled(from: 10, to: 15, behavior: behavior, now: 1)
    // The period began with ten: no more within it.
    #expect(step(50, 15, 30).replicas == 15)
    #expect(step(50, 15, 30).limit.reason == "ScaleUpLimit")
    #expect(step(50, 15, 62).replicas == 23)
    // One pod or a tenth, whichever is less: a tenth of 15 leaves 13, one pod leaves 14.
    #expect(step(1, 15, 200).replicas == 14)
    history.scaled(from: 15, to: 14, behavior: behavior, now: 200)
    #expect(step(1, 14, 230).replicas == 14)
  }

  @Test func windowsHoldBothWays() {
    let behavior = HorizontalPodAutoscalerBehavior {
      $0.scaleUp = rules([("Percent", 900, 15)], window: 60)
      $0.scaleDown = rules([("Percent", 100, 15)], window: 120)
    }
    var history = ScalingHistory()
    func step(_ desired: Int32, _ current: Int32, _ now: Double) -> ScalingHistory.Verdict {
      history.normalize(desired, current: current, min: 1, max: 100, behavior: behavior, window: 300, now: now)
    }
    _ = step(5, 5, 0)
    #expect(step(20, 5, 30).replicas == 5)
    #expect(step(20, 5, 30).able.reason == "ScaleUpStabilized")
    #expect(step(20, 5, 61).replicas == 20)
    #expect(step(2, 20, 62).replicas == 20)
    #expect(step(2, 20, 62).able.reason == "ScaleDownStabilized")
    #expect(step(2, 20, 182).replicas == 2)
    let frozen = HorizontalPodAutoscalerBehavior {
      $0.scaleUp = rules([("Pods", 4, 15)], select: "Disabled")
      $0.scaleDown = rules([("Pods", 4, 15)], select: "Disabled")
    }
    #expect(history.normalize(90, current: 20, min: 1, max: 100, behavior: frozen, window: 0, now: 900).replicas == 20)
    #expect(history.normalize(1, current: 20, min: 1, max: 100, behavior: frozen, window: 0, now: 900).replicas == 20)
  }
}
