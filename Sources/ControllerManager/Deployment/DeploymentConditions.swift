import API
import APIMachinery

/// A Deployment's conditions, with upstream's reasons and words.
enum DeploymentConditions {
  /// Sets a condition. One that says the same as before, for the same reason, keeps its times, and its words.
  static func set(
    _ conditions: inout [DeploymentCondition], _ type: String, _ status: String, _ reason: String,
    _ message: String, now: Time, transition: Time? = nil
  ) {
    let current = conditions.condition(type)
    if transition == nil, let current, current.status == status, current.reason == reason { return }
    let condition = DeploymentCondition {
      $0.type = type
      $0.status = status
      $0.reason = reason
      $0.message = message
      $0.lastUpdateTime = now
      $0.lastTransitionTime = transition ?? (current?.status == status ? current?.lastTransitionTime : nil) ?? now
    }
    conditions.removeAll { $0.type == type }
    conditions.append(condition)
  }

  /// Says how the roll-out goes.
  static func rollOut(
    _ status: inout DeploymentStatus, deployment: Deployment, new: ReplicaSet?, all: [ReplicaSet],
    old: DeploymentStatus, now: Time
  ) {
    if !DeploymentMath.hasDeadline(deployment) { status.conditions.remove("Progressing") }
    let current = deployment.status.conditions.condition("Progressing")
    let settled = status.replicas == status.updatedReplicas && current?.reason == "NewReplicaSetAvailable"
    if DeploymentMath.hasDeadline(deployment), !settled {
      let subject =
        new.map { "ReplicaSet \"\($0.metadata.name)\"" } ?? "Deployment \"\(deployment.metadata.name)\""
      if DeploymentMath.isComplete(deployment, status) {
        set(
          &status.conditions, "Progressing", "True", "NewReplicaSetAvailable",
          "\(subject) has successfully progressed.", now: now)
      } else if DeploymentMath.isProgressing(old, status) {
        // Every step renews lastUpdateTime, from which the deadline counts.
        let transition = current?.status == "True" ? current?.lastTransitionTime : nil
        set(
          &status.conditions, "Progressing", "True", "ReplicaSetUpdated", "\(subject) is progressing.", now: now,
          transition: transition ?? now)
      } else if isTimedOut(deployment, status, now: now) {
        set(
          &status.conditions, "Progressing", "False", "ProgressDeadlineExceeded",
          "\(subject) has timed out progressing.", now: now)
      }
    }
    if let failure = failure(all, new) {
      set(&status.conditions, "ReplicaFailure", failure.status, failure.reason, failure.message, now: now)
    } else {
      status.conditions.remove("ReplicaFailure")
    }
  }

  /// The new ReplicaSet's failure, or else any other's.
  private static func failure(_ all: [ReplicaSet], _ new: ReplicaSet?) -> ReplicaSetCondition? {
    if let failure = new?.status.conditions.condition("ReplicaFailure") { return failure }
    return all.lazy.compactMap { $0.status.conditions.condition("ReplicaFailure") }.first
  }

  private static func isTimedOut(_ deployment: Deployment, _ status: DeploymentStatus, now: Time) -> Bool {
    guard let seconds = deployment.spec.progressDeadlineSeconds,
      let condition = status.conditions.condition("Progressing")
    else { return false }
    if condition.reason == "NewReplicaSetAvailable" { return false }
    if condition.reason == "ProgressDeadlineExceeded" { return true }
    return condition.lastUpdateTime.adding(seconds: Int64(seconds)) < now
  }

  /// When the deadline must be looked at again; nil when nothing is under way.
  static func secondsToDeadline(_ deployment: Deployment, _ status: DeploymentStatus, now: Time) -> Int64? {
    guard DeploymentMath.hasDeadline(deployment), let seconds = deployment.spec.progressDeadlineSeconds,
      let condition = status.conditions.condition("Progressing"),
      !DeploymentMath.isComplete(deployment, status), condition.reason != "ProgressDeadlineExceeded"
    else { return nil }
    return max(1, condition.lastUpdateTime.adding(seconds: Int64(seconds)).seconds(since: now) + 1)
  }
}
