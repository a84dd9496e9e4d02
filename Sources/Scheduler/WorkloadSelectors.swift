import API
import Client

/// Finds by which labels the pods of a pod's workload are known: those of its services and of its controller.
struct WorkloadSelectors: Sendable {
  let services: Lister<Service>
  let sets: Lister<ReplicaSet>
  let statefulSets: Lister<StatefulSet>
  let controllers: Lister<ReplicationController>

  /// Nil for a pod that belongs to nothing.
  func selector(of pod: Pod) -> Labels.Selector? {
    let namespace = pod.metadata.namespace
    var labels: [String: String] = [:]
    for service in services.list(namespace: namespace) where !service.spec.selector.isEmpty {
      let own = service.spec.selector
      if own.allSatisfy({ pod.metadata.labels[$0.key] == $0.value }) { labels.merge(own) { $1 } }
    }
    var requirements: [Labels.Requirement] = []
    if let owner = pod.metadata.controllerOwner {
      switch owner.kind {
      case ReplicaSet.kind:
        let selector = sets.get(namespace: namespace, name: owner.name)?.spec.selector
        requirements = (try? selector?.selector().requirements) ?? []
      case StatefulSet.kind:
        let selector = statefulSets.get(namespace: namespace, name: owner.name)?.spec.selector
        requirements = (try? selector?.selector().requirements) ?? []
      case ReplicationController.kind:
        labels.merge(controllers.get(namespace: namespace, name: owner.name)?.spec.selector ?? [:]) { $1 }
      default: break
      }
    }
    if labels.isEmpty && requirements.isEmpty { return nil }
    return (try? Labels.Selector(matchLabels: labels))?.adding(requirements)
  }
}
