import API
import Client

/// Writes the binding.
struct DefaultBinder: BindPlugin {
  let name = "DefaultBinder"
  let client: APIClient

  func bind(_ pod: PodInfo, to node: String) async throws {
    try await client.bind(pod: pod.pod.key, uid: pod.pod.metadata.uid, to: node)
  }
}
