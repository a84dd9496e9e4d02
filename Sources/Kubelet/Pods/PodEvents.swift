import API
import Client

/// Tells users what happens to a pod or one of its containers.
struct PodEvents: Sendable {
  /// Writes an event; tests put their own here.
  let record: @Sendable (ObjectReference, _ type: String, _ reason: String, _ message: String) -> Void

  init(_ record: @escaping @Sendable (ObjectReference, String, String, String) -> Void) { self.record = record }

  init(_ recorder: EventRecorder) {
    record = { recorder.event($0, type: $1, reason: $2, message: $3) }
  }

  func pod(_ pod: Pod, _ type: String, _ reason: String, _ message: String) {
    record(reference(pod), type, reason, message)
  }

  func container(_ pod: Pod, _ container: Container, _ type: String, _ reason: String, _ message: String) {
    var target = reference(pod)
    let list =
      pod.spec.initContainers.contains { $0.name == container.name }
      ? "initContainers"
      : pod.spec.ephemeralContainers.contains { $0.name == container.name } ? "ephemeralContainers" : "containers"
    target.fieldPath = "spec.\(list){\(container.name)}"
    record(target, type, reason, message)
  }

  private func reference(_ pod: Pod) -> ObjectReference {
    var out = ObjectReference()
    out.kind = "Pod"
    out.apiVersion = "v1"
    out.namespace = pod.metadata.namespace
    out.name = pod.metadata.name
    // A static pod is known to the API by its mirror, whose uid is the manifest's hash here.
    out.uid = pod.metadata.annotations[RuntimeKey.configHash] ?? pod.metadata.uid
    out.resourceVersion = pod.metadata.resourceVersion
    return out
  }
}
