import API

/// What a Job's policies say of its pods (KEP-3329, KEP-3998, KEP-3939): pure.
enum JobPolicies {
  enum Verdict: Equatable {
    case count
    case ignore
    case failIndex
    case fail(message: String)
  }

  /// Whether only pods that have ended are replaced, not those that are being deleted.
  static func replacesOnlyFailed(_ job: Job) -> Bool {
    job.spec.podReplacementPolicy == "Failed" || job.spec.podFailurePolicy != nil
  }

  /// Whether a pod counts as failed; one that is being deleted does where nobody waits for its end.
  static func isFailed(_ pod: Pod, _ job: Job) -> Bool {
    if pod.status.phase == "Failed" { return true }
    return !replacesOnlyFailed(job) && pod.isBeingDeleted && pod.status.phase != "Succeeded"
  }

  /// What the pod failure policy says of a failed pod.
  static func verdict(_ job: Job, _ pod: Pod) -> Verdict {
    guard let policy = job.spec.podFailurePolicy, pod.status.phase == "Failed" else { return .count }
    for (index, rule) in policy.rules.enumerated() {
      let why: String
      if let codes = rule.onExitCodes {
        guard let found = match(codes, pod) else { continue }
        why =
          "Container \(found.name) for pod \(pod.metadata.namespace)/\(pod.metadata.name) failed with exit code "
          + "\(found.code) matching \(rule.action) rule at index \(index)"
      } else {
        let matched = rule.onPodConditions.first { pattern in
          pod.status.conditions.contains { $0.type == pattern.type && $0.status == pattern.status }
        }
        guard let matched else { continue }
        why =
          "Pod \(pod.metadata.namespace)/\(pod.metadata.name) has condition \(matched.type) matching \(rule.action) "
          + "rule at index \(index)"
      }
      switch rule.action {
      case "Ignore": return .ignore
      case "FailIndex": return .failIndex
      case "FailJob": return .fail(message: why)
      default: return .count
      }
    }
    return .count
  }

  private static func match(
    _ wanted: PodFailurePolicyOnExitCodesRequirement, _ pod: Pod
  ) -> (name: String, code: Int32)? {
    for status in pod.status.containerStatuses + pod.status.initContainerStatuses {
      if let name = wanted.containerName, name != status.name { continue }
      guard let code = status.state.terminated?.exitCode, code != 0 else { continue }
      let isNamed = wanted.values.contains(code)
      if wanted.operator == "In" ? isNamed : !isNamed { return (status.name, code) }
    }
    return nil
  }

  /// Which rule of the success policy the completed indexes fulfil; nil if none.
  static func success(_ job: Job, _ completed: IndexSet) -> String? {
    guard let policy = job.spec.successPolicy, let completions = job.spec.completions else { return nil }
    for (index, rule) in policy.rules.enumerated() {
      let met: Bool
      if let text = rule.succeededIndexes {
        var named = IndexSet(text)
        named.formIntersection(0..<Int(completions))
        let count = named.intersectionCount(completed)
        met = count >= rule.succeededCount.map { Int($0) } ?? named.count
      } else {
        met = rule.succeededCount.map { completed.count >= Int($0) } ?? false
      }
      if met { return "Matched rules at index \(index)" }
    }
    return nil
  }
}
