import API
import Client
import Logging
import Synchronization

/// Writes pods' statuses to the API, only when they changed, and confirms deletions.
final class StatusManager: Sendable {
  private struct Entry {
    var pod: Pod
    var status: PodStatus
    var version = 1
    var sent = 0
    /// Everything of the pod is gone from this node: the API object may go as well.
    var isFinished = false
  }

  private let client: APIClient
  private let current: @Sendable (ObjectKey) -> Pod?
  private let queue: WorkQueue<String>
  private let entries = Mutex<[String: Entry]>([:])
  private let logger: Logger

  /// `current` reads the API's copy of a pod.
  init(client: APIClient, current: @escaping @Sendable (ObjectKey) -> Pod?, logger: Logger) {
    self.client = client
    self.current = current
    self.logger = logger
    queue = WorkQueue(name: "pod-status")
  }

  /// What was last set.
  func status(uid: String) -> PodStatus? { entries.withLock { $0[uid]?.status } }

  /// Sets a pod's status; it is sent when it differs.
  func set(_ pod: Pod, _ status: PodStatus) {
    let changed = entries.withLock { all -> Bool in
      guard var entry = all[pod.metadata.uid] else {
        all[pod.metadata.uid] = Entry(pod: pod, status: status)
        return true
      }
      entry.pod = pod
      let differs = !StatusPatch.isSame(entry.status, status)
      if differs {
        entry.status = status
        entry.version += 1
      }
      all[pod.metadata.uid] = entry
      return differs
    }
    if changed { queue.add(pod.metadata.uid) }
  }

  /// Says that nothing of the pod is left here: with its last status told, a deletion under way is confirmed.
  func finish(_ pod: Pod, _ status: PodStatus) {
    set(pod, status)
    entries.withLock { $0[pod.metadata.uid]?.isFinished = true }
    queue.add(pod.metadata.uid)
  }

  /// The API's copy changed (a mirror appeared, a deletion was asked for, somebody overwrote the status).
  func recheck(uid: String) { if entries.withLock({ $0[uid] != nil }) { queue.add(uid) } }

  func forget(uid: String) { entries.withLock { $0[uid] = nil } }

  /// Sends until cancelled.
  func run() async {
    await runWorkers(queue, count: 4, logger: logger) { [self] uid in
      try await sync(uid)
      return .done
    }
  }

  private func sync(_ uid: String) async throws {
    guard let entry = entries.withLock({ $0[uid] }) else { return }
    let key = ObjectKey(namespace: entry.pod.metadata.namespace, name: entry.pod.metadata.name)
    let known = current(key)
    let target: Pod
    if entry.pod.isStatic {
      // A static pod is reported on its mirror.
      guard let mirror = known, mirror.isMirror else { return }
      target = mirror
    } else if let known, known.metadata.uid == uid {
      target = known
    } else {
      target = entry.pod
    }
    do {
      var after = target
      if let patch = StatusPatch.make(
        from: target.status, to: merged(entry.status, target.status), uid: target.metadata.uid)
      {
        after = try await client.patch(
          Pod.self, namespace: key.namespace, name: key.name, .strategic(patch), subresource: "status")
      }
      entries.withLock { $0[uid]?.sent = entry.version }
      guard entry.isFinished, after.metadata.deletionTimestamp != nil || target.metadata.deletionTimestamp != nil,
        !entry.pod.isStatic
      else { return }
      var options = DeleteOptions.grace(seconds: 0)
      options.preconditions = Preconditions()
      options.preconditions?.uid = uid
      try await client.delete(Pod.self, namespace: key.namespace, name: key.name, options: options)
    } catch let error as StatusError where error.code == 404 {
      // Gone already: there is nobody to tell.
      return
    } catch let error as StatusError where error.code == 409 && error.message.contains("UID") {
      return
    }
  }

  /// Conditions that others own come from the API's newest copy, not from the one we computed with.
  private func merged(_ own: PodStatus, _ server: PodStatus) -> PodStatus {
    var out = own
    out.conditions =
      own.conditions.filter { PodConditions.owned.contains($0.type) }
      + server.conditions.filter { other in
        !PodConditions.owned.contains(other.type) || !own.conditions.contains { $0.type == other.type }
      }
    // A transition that the API already knows keeps its time.
    for index in out.conditions.indices {
      if let same = server.conditions.first(where: {
        $0.type == out.conditions[index].type && $0.status == out.conditions[index].status
      }) {
        out.conditions[index].lastTransitionTime = same.lastTransitionTime
        out.conditions[index].lastProbeTime = same.lastProbeTime
      }
    }
    if let start = server.startTime { out.startTime = start }
    out.nominatedNodeName = server.nominatedNodeName
    out.resourceClaimStatuses = server.resourceClaimStatuses
    out.extendedResourceClaimStatus = server.extendedResourceClaimStatus
    out.nodeAllocatableResourceClaimStatuses = server.nodeAllocatableResourceClaimStatuses
    out.resize = server.resize
    return out
  }
}
