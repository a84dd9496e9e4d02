import API
import Client
import Logging

/// Makes room: tells the victims why, and deletes them.
struct Preemptor: Sendable {
  let client: APIClient
  let recorder: EventRecorder
  let logger: Logger

  func carryOut(_ choice: Preemption.Choice, for pod: Pod) async {
    await withTaskGroup(of: Void.self) { group in
      for victim in choice.victims { group.addTask { await evict(victim, for: pod, node: choice.node) } }
    }
  }

  private func evict(_ victim: Pod, for pod: Pod, node: String) async {
    do {
      if victim.metadata.deletionTimestamp == nil {
        try await announce(victim, for: pod)
        try await client.delete(
          Pod.self, namespace: victim.metadata.namespace, name: victim.metadata.name,
          options: DeleteOptions { $0.preconditions = Preconditions { $0.uid = victim.metadata.uid } })
      }
      recorder.event(
        victim, type: "Normal", reason: "Preempted", message: "Preempted by pod \(pod.metadata.uid) on node \(node)")
    } catch let error as StatusError where error.isNotFound || error.isConflict {
      // It has gone by itself, or it is another pod of the same name.
    } catch {
      logger.warning("victim not deleted", metadata: ["pod": "\(victim.key)", "error": "\(error)"])
    }
  }

  private func announce(_ victim: Pod, for pod: Pod) async throws {
    let condition = JSONValue.object([
      "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
      "message": .string(
        "\(pod.spec.schedulerName): preempting to accommodate a higher priority pod"),
      "lastTransitionTime": .string(Time.now.description),
    ])
    let patch = JSONValue.object([
      "metadata": .object(["uid": .string(victim.metadata.uid)]),
      "status": .object(["conditions": .array([condition])]),
    ])
    try await client.patch(
      Pod.self, namespace: victim.metadata.namespace, name: victim.metadata.name, .strategic(patch.encoded()),
      subresource: "status")
  }

  /// Takes back what was promised to pods that are less important than the one that gets the node now.
  func clearNomination(of pod: Pod) async {
    let patch = JSONValue.object(["status": .object(["nominatedNodeName": .null])])
    do {
      try await client.patch(
        Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, .merge(patch.encoded()),
        subresource: "status")
    } catch { logger.debug("nomination not cleared", metadata: ["pod": "\(pod.key)", "error": "\(error)"]) }
  }
}
