import API
import APIMachinery

/// Which pods nobody will take care of any more: pure.
enum PodGCDecision {
  /// Why a pod is collected.
  enum Reason: Sendable, Equatable {
    /// Beyond the number of finished pods that are kept.
    case terminated
    /// Its node does not exist.
    case orphaned
    /// It is being deleted and was never given to a node.
    case unscheduled
    /// It is being deleted on a node that was declared out of service.
    case outOfService
  }

  /// The condition that a pod which did not finish by itself gets; nil for those that did.
  static func disruption(_ reason: Reason, now: Time) -> PodCondition? {
    let message: String
    switch reason {
    case .orphaned: message = "PodGC: node no longer exists"
    case .outOfService: message = "PodGC: node is out of service"
    case .unscheduled, .terminated: return nil
    }
    return PodCondition {
      $0.type = "DisruptionTarget"
      $0.status = "True"
      $0.reason = "DeletionByPodGC"
      $0.message = message
      $0.lastTransitionTime = now
    }
  }

  /// The pods to collect. `missing` are the nodes known to be gone; a node that is merely not in `nodes` may be new.
  static func victims(
    pods: [Pod], nodes: [String: Node], missing: Set<String>, threshold: Int
  ) -> [(pod: Pod, reason: Reason)] {
    var victims: [(Pod, Reason)] = []
    var chosen: Set<String> = []
    func take(_ pod: Pod, _ reason: Reason) {
      if chosen.insert(pod.metadata.uid).inserted { victims.append((pod, reason)) }
    }
    let finished = pods.filter { $0.isTerminal }
    if threshold > 0, finished.count > threshold {
      let sorted = finished.sorted { a, b in
        // Evicted pods say least; then the oldest go.
        let evictedA = a.status.reason == "Evicted"
        let evictedB = b.status.reason == "Evicted"
        if evictedA != evictedB { return evictedA }
        if a.metadata.creationTimestamp != b.metadata.creationTimestamp {
          return a.metadata.creationTimestamp < b.metadata.creationTimestamp
        }
        return a.metadata.name < b.metadata.name
      }
      for pod in sorted.prefix(finished.count - threshold) { take(pod, .terminated) }
    }
    for pod in pods {
      if pod.isBeingDeleted, let node = nodes[pod.spec.nodeName], !node.isReady,
        node.spec.taints.contains(where: { $0.key == "node.kubernetes.io/out-of-service" })
      {
        take(pod, .outOfService)
      }
      if !pod.spec.nodeName.isEmpty, missing.contains(pod.spec.nodeName) { take(pod, .orphaned) }
      if pod.isBeingDeleted, pod.spec.nodeName.isEmpty { take(pod, .unscheduled) }
    }
    return victims
  }
}
