import API

/// How fast, and how steadily, replicas may follow what the figures ask for. Kept per autoscaler between its rounds.
struct ScalingHistory: Sendable {
  struct Recommendation: Sendable, Equatable {
    var replicas: Int32
    /// Seconds of a clock that only goes forward.
    var at: Double
  }
  struct Event: Sendable, Equatable {
    var change: Int32
    var at: Double
  }

  private(set) var recommendations: [Recommendation] = []
  private(set) var ups: [Event] = []
  private(set) var downs: [Event] = []

  /// What may be done now, and why it is that.
  struct Verdict: Sendable, Equatable {
    var replicas: Int32
    /// The condition AbleToScale's.
    var able: (reason: String, message: String)
    /// The condition ScalingLimited's.
    var isLimited: Bool
    var limit: (reason: String, message: String)

    static func == (a: Verdict, b: Verdict) -> Bool {
      a.replicas == b.replicas && a.able == b.able && a.isLimited == b.isLimited && a.limit == b.limit
    }
  }

  private static let ready = (reason: "ReadyForNewScale", message: "recommended size matches current size")
  private static let lower = (
    reason: "ScaleUpStabilized",
    message: "recent recommendations were lower than current one, applying the lowest recent recommendation"
  )
  private static let higher = (
    reason: "ScaleDownStabilized",
    message: "recent recommendations were higher than current one, applying the highest recent recommendation"
  )
  private static let inRange = (
    reason: "DesiredWithinRange", message: "the desired count is within the acceptable range"
  )
  private static let tooFew = (
    reason: "TooFewReplicas", message: "the desired replica count is less than the minimum replica count"
  )
  private static let tooMany = (
    reason: "TooManyReplicas", message: "the desired replica count is more than the maximum replica count"
  )
  private static let tooFast = (
    reason: "ScaleUpLimit", message: "the desired replica count is increasing faster than the maximum scale rate"
  )
  private static let tooFastDown = (
    reason: "ScaleDownLimit", message: "the desired replica count is decreasing faster than the maximum scale rate"
  )

  /// The first round's figure, so that a controller that has just begun does not scale down at once.
  mutating func begin(_ current: Int32, now: Double) {
    if recommendations.isEmpty { recommendations = [Recommendation(replicas: current, at: now)] }
  }

  /// Brings what is desired into the bounds of size and speed, and remembers it.
  ///
  /// - Parameter window: seconds for which the highest recommendation holds where the autoscaler does not say.
  mutating func normalize(
    _ desired: Int32, current: Int32, min: Int32, max: Int32, behavior: HorizontalPodAutoscalerBehavior?,
    window: Double, now: Double
  ) -> Verdict {
    guard let behavior, let up = behavior.scaleUp, let down = behavior.scaleDown else {
      return normalizeSimply(desired, current: current, min: min, max: max, window: window, now: now)
    }
    let upFrom = now - Double(up.stabilizationWindowSeconds ?? 0)
    let downWindow = down.stabilizationWindowSeconds.map { Double($0) } ?? window
    let downFrom = now - downWindow
    var (lowest, highest) = (desired, desired)
    for old in recommendations {
      if old.at > upFrom { lowest = Swift.min(lowest, old.replicas) }
      if old.at > downFrom { highest = Swift.max(highest, old.replicas) }
    }
    let steady = Swift.min(Swift.max(current, lowest), highest)
    remember(desired, now: now, from: Swift.min(upFrom, downFrom))
    let able = steady == desired ? Self.ready : desired >= current ? Self.lower : Self.higher
    let (result, limit) = limited(steady, current: current, min: min, max: max, up: up, down: down, now: now)
    return Verdict(replicas: result, able: able, isLimited: result != steady, limit: limit)
  }

  private mutating func normalizeSimply(
    _ desired: Int32, current: Int32, min: Int32, max: Int32, window: Double, now: Double
  ) -> Verdict {
    let steady = recommendations.filter { $0.at > now - window }.map(\.replicas).reduce(desired, Swift.max)
    remember(desired, now: now, from: now - window)
    let able = steady == desired ? Self.ready : Self.higher
    let fastest = Swift.max(current.multipliedReportingOverflow(by: 2).partialValue, 4)
    let top = Swift.min(max, fastest)
    var (result, limit) = (steady, Self.inRange)
    if steady < min {
      (result, limit) = (min, Self.tooFew)
    } else if steady > top {
      (result, limit) = (top, max > fastest ? Self.tooFast : Self.tooMany)
    }
    return Verdict(replicas: result, able: able, isLimited: result != steady, limit: limit)
  }

  private func limited(
    _ desired: Int32, current: Int32, min: Int32, max: Int32, up: HPAScalingRules, down: HPAScalingRules, now: Double
  ) -> (Int32, (reason: String, message: String)) {
    if desired > current {
      let fastest = Swift.max(upLimit(current, up, now), current)
      let top = Swift.min(max, fastest)
      if desired > top { return (top, max > fastest ? Self.tooFast : Self.tooMany) }
    } else if desired < current {
      let fastest = Swift.min(downLimit(current, down, now), current)
      let bottom = Swift.max(min, fastest)
      if desired < bottom { return (bottom, min < fastest ? Self.tooFastDown : Self.tooFew) }
    }
    return (desired, Self.inRange)
  }

  private func upLimit(_ current: Int32, _ rules: HPAScalingRules, _ now: Double) -> Int32 {
    if rules.selectPolicy == "Disabled" { return current }
    let proposals = rules.policies.map { policy -> Int32 in
      let before = start(current, policy, now)
      if policy.type == "Pods" { return clamp(Int64(before) + Int64(policy.value)) }
      return clamp(Int64((Double(before) * (1 + Double(policy.value) / 100)).rounded(.up)))
    }
    return (rules.selectPolicy == "Min" ? proposals.min() : proposals.max()) ?? current
  }

  private func downLimit(_ current: Int32, _ rules: HPAScalingRules, _ now: Double) -> Int32 {
    if rules.selectPolicy == "Disabled" { return current }
    let proposals = rules.policies.map { policy -> Int32 in
      let before = start(current, policy, now)
      if policy.type == "Pods" { return clamp(Int64(before) - Int64(policy.value)) }
      return clamp(Int64(Double(before) * (1 - Double(policy.value) / 100)))
    }
    // The least change leaves the most replicas.
    return (rules.selectPolicy == "Min" ? proposals.max() : proposals.min()) ?? current
  }

  /// The replicas when a policy's period began.
  private func start(_ current: Int32, _ policy: HPAScalingPolicy, _ now: Double) -> Int32 {
    let from = now - Double(policy.periodSeconds)
    func sum(_ events: [Event]) -> Int32 { events.filter { $0.at > from }.reduce(0) { $0 + $1.change } }
    return current - sum(ups) + sum(downs)
  }

  private func clamp(_ value: Int64) -> Int32 { Int32(clamping: value) }

  private mutating func remember(_ replicas: Int32, now: Double, from: Double) {
    recommendations.removeAll { $0.at <= from }
    recommendations.append(Recommendation(replicas: replicas, at: now))
  }

  /// Remembers a change of size for as long as the autoscaler's policies look back.
  mutating func scaled(from old: Int32, to new: Int32, behavior: HorizontalPodAutoscalerBehavior?, now: Double) {
    guard let behavior else { return }
    func longest(_ rules: HPAScalingRules?) -> Double { Double(rules?.policies.map(\.periodSeconds).max() ?? 0) }
    ups.removeAll { $0.at < now - longest(behavior.scaleUp) }
    downs.removeAll { $0.at < now - longest(behavior.scaleDown) }
    if new > old {
      ups.append(Event(change: new - old, at: now))
    } else {
      downs.append(Event(change: old - new, at: now))
    }
  }
}
