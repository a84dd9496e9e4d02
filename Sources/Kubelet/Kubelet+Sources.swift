import API
import Client
import Logging

extension Kubelet {
  /// Follows the API's pods, and this node.
  func follow() {
    nodes.addHandler { [keeper, workers] event in
      switch event {
      case .added(let node):
        keeper.observed(node)
        // Mirrors belong to the node and could not be made before it.
        for pod in workers.pods where pod.isStatic { workers.poke(uid: pod.metadata.uid) }
      case .updated(_, let node): keeper.observed(node)
      case .deleted: break
      }
    }
    pods.addHandler { [self] event in
      switch event {
      case .added(let pod), .updated(_, let pod): seen(pod)
      case .deleted(let pod): gone(pod)
      }
    }
  }

  private func seen(_ pod: Pod) {
    if pod.isMirror {
      for own in workers.pods where own.isStatic && own.key == pod.key {
        statuses.recheck(uid: own.metadata.uid)
        if pod.metadata.deletionTimestamp != nil { workers.poke(uid: own.metadata.uid) }
      }
      return
    }
    var pod = pod
    if pod.metadata.annotations[RuntimeKey.configSource] == nil {
      pod.metadata.annotations[RuntimeKey.configSource] = "api"
    }
    give(pod)
    statuses.recheck(uid: pod.metadata.uid)
  }

  private func gone(_ pod: Pod) {
    if pod.isMirror {
      // Somebody deleted the picture; the pod itself stays and is shown again.
      for own in workers.pods where own.isStatic && own.key == pod.key { workers.poke(uid: own.metadata.uid) }
      return
    }
    workers.remove(uid: pod.metadata.uid)
    if workers.worker(pod.metadata.uid) == nil { statuses.forget(uid: pod.metadata.uid) }
  }

  /// Hands a pod to its worker, if the node takes it.
  func give(_ pod: Pod) {
    workers.set(pod) { others in
      // What ran before this kubelet started has been admitted by an earlier one.
      if pod.status.phase == "Running" || isTerminal(pod) || pod.metadata.deletionTimestamp != nil { return true }
      if pleg.known.contains(where: { $0.uid == pod.metadata.uid }) { return true }
      guard let refusal = NodeAdmission.check(pod, node: keeper.node, admitted: others) else { return true }
      refuse(pod, refusal)
      return false
    }
  }

  private func isTerminal(_ pod: Pod) -> Bool { pod.status.phase == "Failed" || pod.status.phase == "Succeeded" }

  private func refuse(_ pod: Pod, _ refusal: AdmissionRefusal) {
    events.pod(pod, "Warning", refusal.reason, refusal.message)
    var status = PodStatus()
    status.phase = "Failed"
    status.reason = refusal.reason
    status.message = refusal.message
    status.qosClass = qosClass(of: pod)
    status.startTime = clock().time
    status.observedGeneration = pod.metadata.generation
    status.conditions = pod.status.conditions
    statuses.finish(pod, status)
  }

  /// Reads the static pods' directory until cancelled.
  func readStaticPods(_ source: StaticPods) async {
    var known: Set<String> = []
    while !Task.isCancelled {
      let found = source.read(logger: logger)
      let uids = Set(found.map(\.metadata.uid))
      for uid in known.subtracting(uids) { workers.remove(uid: uid) }
      known.formIntersection(uids)
      var deferred = false
      for pod in found where !known.contains(pod.metadata.uid) {
        // One name, one pod: a changed manifest waits until what it replaces has ended.
        if workers.pods.contains(where: { $0.key == pod.key && $0.metadata.uid != pod.metadata.uid }) {
          deferred = true
          continue
        }
        give(pod)
        known.insert(pod.metadata.uid)
      }
      do { try await Task.sleep(for: deferred ? .seconds(1) : configuration.fileCheckFrequency) } catch { return }
    }
  }
}
