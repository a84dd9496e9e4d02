import API
import APIMachinery

/// What a replica owner wants done about its pods: pure.
enum ReplicaDecision {
  /// The most that is created or deleted in one pass.
  static let burst = 500

  enum Action: Sendable, Equatable {
    case nothing
    case create(Int)
    case delete([Pod])
  }

  /// Compares the pods there are with those wanted. `related` are the pods of the owner's siblings (the other
  /// ReplicaSets of one Deployment), which make a node crowded.
  static func action<Owner: ReplicaOwner>(_ owner: Owner, active: [Pod], related: [Pod], now: Time) -> Action {
    guard owner.metadata.deletionTimestamp == nil else { return .nothing }
    let missing = owner.desiredReplicas - active.count
    if missing > 0 { return .create(min(missing, burst)) }
    if missing < 0 {
      let ranking = PodRanking(now: now, related: related)
      return .delete(ranking.victims(of: active, count: min(-missing, burst)))
    }
    return .nothing
  }

  /// The status that the pods there are amount to.
  static func status<Owner: ReplicaOwner>(
    _ owner: Owner, active: [Pod], terminating: Int, failure: (any Error)?, now: Time
  ) -> ReplicaStatus {
    var status = owner.replicaStatus
    let wanted = owner.podTemplate.metadata.labels
    var ready: Int32 = 0
    var available: Int32 = 0
    var labeled: Int32 = 0
    for pod in active {
      if wanted.allSatisfy({ pod.metadata.labels[$0.key] == $0.value }) { labeled += 1 }
      if pod.isReady {
        ready += 1
        if pod.isAvailable(minReadySeconds: owner.minReady, now: now) { available += 1 }
      }
    }
    if let failure, status.failure == nil {
      let text = (failure as? StatusError)?.message ?? "\(failure)"
      let reason = active.count < owner.desiredReplicas ? "FailedCreate" : "FailedDelete"
      status.failure = .init(reason: reason, message: text, since: now)
    } else if failure == nil {
      status.failure = nil
    }
    status.replicas = Int32(active.count)
    status.fullyLabeled = labeled
    status.ready = ready
    status.available = available
    status.terminating = Int32(terminating)
    status.observedGeneration = owner.metadata.generation
    return status
  }

  /// When the next ready pod becomes available, in seconds.
  static func nextAvailability<Owner: ReplicaOwner>(_ owner: Owner, active: [Pod], now: Time) -> Int64? {
    guard owner.minReady > 0 else { return nil }
    return active.compactMap { pod -> Int64? in
      guard let ready = pod.status.conditions.condition("Ready"), ready.status == "True" else { return nil }
      let left = ready.lastTransitionTime.adding(seconds: Int64(owner.minReady)).seconds(since: now)
      return left > 0 ? left : nil
    }.min()
  }
}
