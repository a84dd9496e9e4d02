import API
import APIMachinery

/// The next step of a StatefulSet: pure. An ordered set takes one step at a time, from the lowest ordinal up when
/// it grows and from the highest down when it shrinks or is updated; a parallel one takes all that it can at once.
struct StatefulSetDecision: Sendable, Equatable {
  enum Action: Sendable, Equatable {
    /// Make the claims that are missing, then the pod.
    case create(ordinal: Int, Pod)
    /// Make the claims of a pod that waits for them.
    case claims(ordinal: Int)
    case delete(Pod)
    /// Give a pod back its labels and volumes.
    case identify(Pod)
    /// Give a claim the owners with which it is to go.
    case own(PersistentVolumeClaim)
  }

  /// What is to be done, in phases: one begins only when everything in the one before it succeeded.
  private(set) var phases: [[Action]] = []
  /// Whether the actions of a phase are to be done one by one.
  let isOrdered: Bool
  private(set) var status = StatefulSetStatus()

  /// Everything that is to be done.
  var actions: [Action] { phases.flatMap { $0 } }

  /// What the decision needs to know of the set's history.
  struct History: Sendable {
    var currentTemplate: PodTemplateSpec
    var currentRevision: String
    var updateRevision: String
  }

  /// What is seen of a set.
  private struct Observed {
    let set: StatefulSet
    let ordinals: Range<Int>
    let byOrdinal: [Int: Pod]
    let claims: [String: PersistentVolumeClaim]
    let history: History
    let now: Time
    /// Those beyond the range, the highest first.
    var condemned: [(key: Int, value: Pod)] {
      byOrdinal.filter { !ordinals.contains($0.key) }.sorted { $0.key > $1.key }
    }

    func isAvailable(_ pod: Pod) -> Bool { StatefulSetPod.isAvailable(pod, set, now) }
    func isCurrent(_ pod: Pod) -> Bool { pod.metadata.labels[Revisions.hashLabel] == history.updateRevision }
  }

  /// Decides for a set, its pods, the claims of its pods by name, and its history.
  static func decide(
    _ set: StatefulSet, pods: [Pod], claims: [String: PersistentVolumeClaim] = [:], history: History, now: Time
  ) -> StatefulSetDecision {
    let byOrdinal = Dictionary(
      pods.compactMap { pod in StatefulSetPod.ordinal(pod, of: set).map { ($0, pod) } },
      uniquingKeysWith: { a, _ in a })
    let observed = Observed(
      set: set, ordinals: StatefulSetPod.ordinals(set), byOrdinal: byOrdinal, claims: claims, history: history,
      now: now)
    var decision = StatefulSetDecision(isOrdered: set.spec.podManagementPolicy != "Parallel")
    decision.count(observed)
    if set.metadata.deletionTimestamp == nil, decision.keep(observed), decision.shrink(observed) {
      decision.update(observed)
    }
    decision.completeUpdate(observed)
    return decision
  }

  // MARK: Growing

  /// Looks after the pods that should be there; says whether nothing stands in the way of what comes next.
  private mutating func keep(_ observed: Observed) -> Bool {
    var actions: [Action] = []
    defer { phases.append(actions) }
    let retention = ClaimRetention(observed.set)
    for ordinal in observed.ordinals {
      guard let pod = observed.byOrdinal[ordinal] else {
        let pod = Self.make(observed, ordinal)
        let isStale = StatefulSetPod.claimNames(observed.set, ordinal).compactMap { observed.claims[$0] }
          .contains { retention.isStale($0, pod: pod.metadata.name, uid: "") }
        if !isStale { actions.append(.create(ordinal: ordinal, pod)) }
        if isOrdered { return false }
        continue
      }
      // Evicted, or ended in some other way: the set's pods are to run for ever.
      if pod.isTerminal {
        if !pod.isBeingDeleted { actions.append(.delete(pod)) }
        if isOrdered { return false }
        continue
      }
      if pod.status.phase == "Pending",
        StatefulSetPod.claimNames(observed.set, ordinal).contains(where: { observed.claims[$0] == nil })
      {
        actions.append(.claims(ordinal: ordinal))
      }
      if isOrdered, !observed.isAvailable(pod) { return false }
      if !StatefulSetPod.hasIdentity(pod, observed.set, ordinal), !pod.isBeingDeleted {
        actions.append(.identify(StatefulSetPod.identified(pod, observed.set, ordinal)))
      }
      actions += Self.owners(observed, retention, pod, ordinal)
    }
    return true
  }

  private static func owners(
    _ observed: Observed, _ retention: ClaimRetention, _ pod: Pod, _ ordinal: Int
  ) -> [Action] {
    StatefulSetPod.claimNames(observed.set, ordinal).compactMap { observed.claims[$0] }
      .compactMap { retention.corrected($0, pod: pod) }.map { .own($0) }
  }

  /// Pods below the partition, or not reached by the update yet, come back as they were.
  private static func make(_ observed: Observed, _ ordinal: Int) -> Pod {
    let set = observed.set
    let start = observed.ordinals.lowerBound
    let isOld: Bool
    if set.spec.updateStrategy.type == "OnDelete" {
      isOld = false
    } else if let partition = set.spec.updateStrategy.rollingUpdate?.partition {
      isOld = ordinal < start + Int(partition)
    } else {
      isOld = ordinal < start + Int(set.status.currentReplicas)
    }
    let history = observed.history
    return isOld
      ? StatefulSetPod.make(set, history.currentTemplate, revision: history.currentRevision, ordinal: ordinal)
      : StatefulSetPod.make(set, set.spec.template, revision: history.updateRevision, ordinal: ordinal)
  }

  // MARK: Shrinking

  private mutating func shrink(_ observed: Observed) -> Bool {
    let condemned = observed.condemned
    // A claim must belong to its pod before the pod goes, or nothing would ever delete it.
    let retention = ClaimRetention(observed.set)
    phases.append(condemned.flatMap { Self.owners(observed, retention, $0.value, $0.key) })
    var deletions: [Action] = []
    defer { phases.append(deletions) }
    let firstUnavailable = condemned.last { !observed.isAvailable($0.value) }?.key
    for (ordinal, pod) in condemned {
      if pod.isBeingDeleted {
        if isOrdered { return false }
        continue
      }
      // One that ended can never serve again: to wait for it would be to wait for ever.
      if isOrdered, !observed.isAvailable(pod), !pod.isTerminal, ordinal != firstUnavailable { return false }
      deletions.append(.delete(pod))
      if isOrdered { return false }
    }
    return true
  }

  // MARK: Updating

  private mutating func update(_ observed: Observed) {
    let strategy = observed.set.spec.updateStrategy
    guard strategy.type != "OnDelete" else { return }
    let lowest = observed.ordinals.lowerBound + max(0, Int(strategy.rollingUpdate?.partition ?? 0))
    let candidates = observed.ordinals.reversed().prefix { $0 >= lowest }
    let victims: [Pod]
    if let limit = strategy.rollingUpdate?.maxUnavailable {
      let wanted = observed.ordinals.count
      let allowed = max(1, limit.scaled(total: wanted, roundUp: false) ?? 1)
      victims = several(observed, Array(candidates), allowed)
    } else {
      victims = one(observed, Array(candidates))
    }
    phases.append(victims.map { .delete($0) })
    // They are as good as gone.
    for pod in victims where pod.metadata.labels[Revisions.hashLabel] == observed.history.currentRevision {
      status.currentReplicas -= 1
    }
  }

  /// The highest outdated pod, once those above it serve.
  private func one(_ observed: Observed, _ candidates: [Int]) -> [Pod] {
    for ordinal in candidates {
      guard let pod = observed.byOrdinal[ordinal] else { return [] }
      if !observed.isCurrent(pod), !pod.isBeingDeleted { return [pod] }
      guard observed.isAvailable(pod) else { return [] }
    }
    return []
  }

  /// As many as may be missing at a time. What is outdated and does not serve costs a parallel set nothing.
  private func several(_ observed: Observed, _ candidates: [Int], _ allowed: Int) -> [Pod] {
    let missing = observed.ordinals.count { ordinal in
      observed.byOrdinal[ordinal].map { !observed.isAvailable($0) } ?? true
    }
    let outdated = candidates.compactMap { observed.byOrdinal[$0] }
      .filter { !observed.isCurrent($0) && !$0.isBeingDeleted && !$0.isTerminal }
    let room = max(0, allowed - missing)
    guard !isOrdered else { return Array(outdated.prefix(room)) }
    return outdated.filter { !observed.isAvailable($0) }
      + outdated.filter { observed.isAvailable($0) }.prefix(room)
  }

  // MARK: Status

  private mutating func count(_ observed: Observed) {
    let set = observed.set
    let history = observed.history
    let pods = observed.byOrdinal.values
    status.observedGeneration = set.metadata.generation
    status.currentRevision = history.currentRevision
    status.updateRevision = history.updateRevision
    status.collisionCount = set.status.collisionCount ?? 0
    status.replicas = Int32(pods.count)
    let ready = pods.filter(StatefulSetPod.isReady)
    status.readyReplicas = Int32(ready.count)
    status.availableReplicas = Int32(
      ready.count { $0.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: observed.now) })
    func count(_ revision: String) -> Int32 {
      Int32(pods.count { !$0.isBeingDeleted && $0.metadata.labels[Revisions.hashLabel] == revision })
    }
    status.currentReplicas = count(history.currentRevision)
    status.updatedReplicas = count(history.updateRevision)
  }

  /// Once every pod is of the new revision and serves, the new revision is the current one.
  private mutating func completeUpdate(_ observed: Observed) {
    let wanted = Int32(observed.ordinals.count)
    guard observed.set.spec.updateStrategy.type != "OnDelete", status.updatedReplicas == wanted,
      status.readyReplicas == wanted, status.replicas == wanted
    else { return }
    status.currentReplicas = status.updatedReplicas
    status.currentRevision = status.updateRevision
  }
}
