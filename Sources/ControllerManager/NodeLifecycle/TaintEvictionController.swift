import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Deletes pods from nodes whose `NoExecute` taints they do not tolerate, or no longer.
final class TaintEvictionController: Controller {
  let name = "taint-eviction-controller"
  private let client: APIClient
  private let nodes: Informer<Node>
  private let pods: Informer<Pod>
  private let recorder: EventRecorder
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("taint_eviction")
  /// Since when a pod has been living on borrowed time.
  private let since = Mutex<[ObjectKey: Time]>([:])

  init(_ context: ControllerContext) {
    client = context.client
    nodes = context.informers.informer(Node.self)
    pods = context.informers.informer(Pod.self)
    recorder = context.recorder("taint-eviction-controller")
    logger = context.logger(name)
    now = context.now
    pods.addIndex("node") { $0.spec.nodeName.isEmpty ? [] : [$0.spec.nodeName] }
    nodes.addHandler { [queue, pods] event in
      if case .updated(let old, let new) = event, old.spec.taints == new.spec.taints { return }
      for pod in pods.lister.byIndex("node", event.object.metadata.name) { queue.add(pod.key) }
    }
    pods.addHandler { [queue] event in
      if case .updated(let old, let new) = event, old.spec.nodeName == new.spec.nodeName,
        old.spec.tolerations == new.spec.tolerations
      {
        return
      }
      queue.add(event.object.key)
    }
  }

  func run() async throws {
    try await nodes.waitForSync()
    try await pods.waitForSync()
    await runWorkers(queue, count: 8, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let pod = pods.lister.get(key), !pod.isBeingDeleted, let node = nodes.lister.get(name: pod.spec.nodeName)
    else {
      since.withLock { $0[key] = nil }
      return .done
    }
    switch EvictionTime.of(pod, taints: node.spec.taints) {
    case .never:
      if since.withLock({ $0.removeValue(forKey: key) }) != nil {
        recorder.event(
          pod, type: "Normal", reason: "TaintManagerEviction", message: "Cancelling deletion of Pod \(key)")
      }
      return .done
    case .now:
      try await evict(pod)
      return .done
    case .after(let seconds):
      let start = since.withLock { since in
        let start = since[key] ?? now()
        since[key] = start
        return start
      }
      let left = start.adding(seconds: seconds).seconds(since: now())
      if left > 0 { return .after(.seconds(left)) }
      try await evict(pod)
      return .done
    }
  }

  private func evict(_ pod: Pod) async throws {
    recorder.event(
      pod, type: "Normal", reason: "TaintManagerEviction", message: "Marking for deletion Pod \(pod.key)")
    var marked = pod
    marked.status.conditions.set(
      PodCondition {
        $0.type = "DisruptionTarget"
        $0.status = "True"
        $0.reason = "DeletionByTaintManager"
        $0.message = "Taint manager: deleting due to NoExecute taint"
      }, now: now())
    try await ignoringNotFound {
      try await client.updateStatus(marked)
      try await client.delete(
        Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, options: .uid(pod.metadata.uid))
    }
    since.withLock { $0[pod.key] = nil }
  }
}
