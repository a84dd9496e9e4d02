import API
import APIMachinery

/// How many pods of a PodDisruptionBudget may be disrupted: pure.
struct DisruptionDecision: Equatable, Sendable {
  /// How long after its eviction a pod may still be there before it is taken that it stays, in seconds.
  static let deletionTimeout: Int64 = 120

  var status: PodDisruptionBudgetStatus
  /// Evicted pods that were not deleted.
  var notDeleted: [Pod] = []
  /// Seconds after which to look again.
  var recheck: Int64?

  /// Pods that should run, and of these how many must be healthy.
  struct Expectation: Equatable, Sendable {
    var expected: Int
    var desired: Int
  }

  /// What a budget expects. `scale`: how many pods the controllers of the pods mean to run; it is asked only where a
  /// budget needs it.
  static func expectation(
    _ budget: PodDisruptionBudget, pods: [Pod], scale: () throws -> Int
  ) rethrows -> Expectation {
    if let most = budget.spec.maxUnavailable {
      let expected = try scale()
      return Expectation(
        expected: expected, desired: max(0, expected - (most.scaled(total: expected, roundUp: true) ?? 0)))
    }
    guard let least = budget.spec.minAvailable else { return Expectation(expected: 0, desired: 0) }
    if case .int(let count) = least { return Expectation(expected: pods.count, desired: Int(count)) }
    let expected = try scale()
    return Expectation(expected: expected, desired: least.scaled(total: expected, roundUp: true) ?? 0)
  }

  static func decide(
    _ budget: PodDisruptionBudget, pods: [Pod], _ expectation: Expectation, now: Time
  ) -> DisruptionDecision {
    var decision = DisruptionDecision(status: budget.status)
    var disrupted: [String: Time] = [:]
    for pod in pods where pod.metadata.deletionTimestamp == nil {
      guard let since = budget.status.disruptedPods[pod.metadata.name] else { continue }
      let left = since.adding(seconds: deletionTimeout).seconds(since: now)
      if left <= 0 {
        decision.notDeleted.append(pod)
      } else {
        disrupted[pod.metadata.name] = since
        decision.recheck = min(decision.recheck ?? left, left)
      }
    }
    let healthy = pods.count {
      $0.metadata.deletionTimestamp == nil && disrupted[$0.metadata.name] == nil && $0.isReady
    }
    let allowed = expectation.expected <= 0 ? 0 : max(0, healthy - expectation.desired)
    decision.status.disruptedPods = disrupted
    decision.status.currentHealthy = Int32(clamping: healthy)
    decision.status.desiredHealthy = Int32(clamping: expectation.desired)
    decision.status.expectedPods = Int32(clamping: expectation.expected)
    decision.status.disruptionsAllowed = Int32(clamping: allowed)
    decision.status.observedGeneration = budget.metadata.generation
    decision.setCondition(
      allowed > 0, allowed > 0 ? "SufficientPods" : "InsufficientPods", "", budget.metadata.generation, now)
    return decision
  }

  /// Where nothing can be said, nothing is allowed.
  static func failed(_ budget: PodDisruptionBudget, _ why: String, now: Time) -> DisruptionDecision {
    var decision = DisruptionDecision(status: budget.status)
    decision.status.disruptionsAllowed = 0
    decision.status.observedGeneration = budget.metadata.generation
    decision.setCondition(false, "SyncFailed", why, budget.metadata.generation, now)
    return decision
  }

  private mutating func setCondition(
    _ isTrue: Bool, _ reason: String, _ message: String, _ generation: Int64, _ now: Time
  ) {
    status.conditions.set(
      Condition {
        $0.type = "DisruptionAllowed"
        $0.status = isTrue ? "True" : "False"
        $0.reason = reason
        $0.message = message
        $0.observedGeneration = generation
      }, now: now)
  }
}
