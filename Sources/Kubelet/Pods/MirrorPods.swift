import API
import Client
import Logging

/// Shows static pods in the API: a mirror object for each, replaced when it no longer matches.
struct MirrorPods: Sendable {
  let client: APIClient?
  let nodeName: String
  let node: @Sendable () -> Node?
  let current: @Sendable (ObjectKey) -> Pod?
  let logger: Logger

  /// Makes sure the mirror is there.
  func ensure(_ pod: Pod) async {
    guard let client else { return }
    let hash = pod.metadata.annotations[RuntimeKey.configHash] ?? ""
    if let mirror = current(pod.key), mirror.isMirror {
      if mirror.metadata.annotations[RuntimeKey.configMirror] == hash, mirror.metadata.deletionTimestamp == nil {
        return
      }
      await remove(pod)
    }
    guard let node = node() else { return }
    var mirror = pod
    mirror.metadata.uid = ""
    mirror.metadata.annotations[RuntimeKey.configMirror] = hash
    var owner = OwnerReference()
    owner.apiVersion = "v1"
    owner.kind = "Node"
    owner.name = node.metadata.name
    owner.uid = node.metadata.uid
    owner.controller = true
    mirror.metadata.ownerReferences = [owner]
    mirror.status = PodStatus()
    do {
      try await client.create(mirror)
    } catch let error as StatusError where error.code == 409 {
      return
    } catch {
      logger.warning("creating a mirror pod failed", metadata: ["pod": "\(pod.display)", "error": "\(error)"])
    }
  }

  /// Takes the mirror away.
  func remove(_ pod: Pod) async {
    guard let client, let mirror = current(pod.key), mirror.isMirror else { return }
    var options = DeleteOptions.grace(seconds: 0)
    options.preconditions = Preconditions()
    options.preconditions?.uid = mirror.metadata.uid
    try? await client.delete(
      Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, options: options)
  }
}
