import API
import APIMachinery

/// The next step of a StatefulSet: pure. An ordered set takes one step at a time, from the lowest ordinal up when
/// it grows and from the highest down when it shrinks or is updated.
struct StatefulSetDecision: Sendable, Equatable {
  enum Action: Sendable, Equatable {
    /// Make the claims that are missing, then the pod.
    case create(ordinal: Int, Pod)
    /// Make the claims of a pod that waits for them.
    case claims(ordinal: Int)
    case delete(Pod)
    /// Give a pod back its labels.
    case identify(Pod)
  }

  var actions: [Action] = []
  var status = StatefulSetStatus()

  /// What the decision needs to know of the set's history.
  struct History: Sendable {
    var currentTemplate: PodTemplateSpec
    var currentRevision: String
    var updateRevision: String
  }

  static func decide(_ set: StatefulSet, pods: [Pod], history: History, now: Time) -> StatefulSetDecision {
    var decision = StatefulSetDecision()
    let start = Int(set.spec.ordinals?.start ?? 0)
    let wanted = Int(set.spec.replicas ?? 1)
    let byOrdinal = Dictionary(
      pods.compactMap { pod in StatefulSetPod.ordinal(pod, of: set).map { ($0, pod) } },
      uniquingKeysWith: { a, _ in a })
    decision.status = status(set, Array(byOrdinal.values), history, now)
    guard set.metadata.deletionTimestamp == nil else { return decision }
    let ordered = set.spec.podManagementPolicy != "Parallel"

    for ordinal in start..<(start + wanted) {
      guard let pod = byOrdinal[ordinal] else {
        decision.actions.append(.create(ordinal: ordinal, make(set, ordinal, start, history)))
        if ordered { return decision }
        continue
      }
      if pod.isTerminal, !pod.isBeingDeleted {
        decision.actions.append(.delete(pod))
        if ordered { return decision }
        continue
      }
      if pod.status.phase == "Pending", pod.spec.nodeName.isEmpty, !set.spec.volumeClaimTemplates.isEmpty {
        decision.actions.append(.claims(ordinal: ordinal))
      }
      if ordered {
        guard StatefulSetPod.isHealthy(pod), pod.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now)
        else { return decision }
      }
      if !StatefulSetPod.hasIdentity(pod, set, ordinal), !pod.isBeingDeleted {
        var named = pod
        named.metadata.labels[StatefulSetPod.nameLabel] = pod.metadata.name
        named.metadata.labels[StatefulSetPod.indexLabel] = String(ordinal)
        decision.actions.append(.identify(named))
      }
    }

    let condemned = byOrdinal.filter { $0.key < start || $0.key >= start + wanted }.sorted { $0.key > $1.key }
    for (_, pod) in condemned {
      if !pod.isBeingDeleted { decision.actions.append(.delete(pod)) }
      if ordered { return decision }
    }

    guard set.spec.updateStrategy.type != "OnDelete" else { return decision }
    let partition = start + Int(set.spec.updateStrategy.rollingUpdate?.partition ?? 0)
    for ordinal in (start..<(start + wanted)).reversed() where ordinal >= partition {
      guard let pod = byOrdinal[ordinal] else { return decision }
      if pod.metadata.labels[Revisions.hashLabel] != history.updateRevision, !pod.isBeingDeleted {
        decision.actions.append(.delete(pod))
        return decision
      }
      // One at a time: the next waits until this one serves.
      guard StatefulSetPod.isHealthy(pod), pod.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now)
      else { return decision }
    }
    return decision
  }

  /// Pods below the partition, or not reached by the update yet, come back as they were.
  private static func make(_ set: StatefulSet, _ ordinal: Int, _ start: Int, _ history: History) -> Pod {
    let rolling = set.spec.updateStrategy.rollingUpdate
    let isOld: Bool
    if set.spec.updateStrategy.type == "OnDelete" {
      isOld = false
    } else if let partition = rolling?.partition {
      isOld = ordinal < start + Int(partition)
    } else {
      isOld = ordinal < start + Int(set.status.currentReplicas) && set.status.currentRevision == history.currentRevision
    }
    return isOld
      ? StatefulSetPod.make(set, history.currentTemplate, revision: history.currentRevision, ordinal: ordinal)
      : StatefulSetPod.make(set, set.spec.template, revision: history.updateRevision, ordinal: ordinal)
  }

  private static func status(
    _ set: StatefulSet, _ pods: [Pod], _ history: History, _ now: Time
  ) -> StatefulSetStatus {
    var status = set.status
    status.observedGeneration = set.metadata.generation
    status.currentRevision = history.currentRevision
    status.updateRevision = history.updateRevision
    status.replicas = Int32(pods.count)
    let ready = pods.filter { $0.status.phase == "Running" && $0.isReady }
    status.readyReplicas = Int32(ready.count)
    status.availableReplicas = Int32(
      ready.count { $0.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now) })
    func count(_ revision: String) -> Int32 {
      Int32(pods.count { !$0.isBeingDeleted && $0.metadata.labels[Revisions.hashLabel] == revision })
    }
    status.currentReplicas = count(history.currentRevision)
    status.updatedReplicas = count(history.updateRevision)
    if set.spec.updateStrategy.type != "OnDelete", status.updatedReplicas == status.replicas,
      status.readyReplicas == status.replicas
    {
      status.currentReplicas = status.updatedReplicas
      status.currentRevision = status.updateRevision
    }
    return status
  }
}
