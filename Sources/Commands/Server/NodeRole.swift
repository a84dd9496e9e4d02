import API
import Client
import Logging

/// Marks the server's own node as part of the control plane. A kubelet may not give itself that label (NodeRestriction),
/// so it is set from outside, as kubeadm does.
struct NodeRole: Sendable {
  static let label = "node-role.kubernetes.io/control-plane"
  let client: APIClient
  let node: String
  let informers: InformerFactory

  /// Sets the label whenever the node appears without it, until the task is cancelled.
  func run() async throws {
    let (unmarked, found) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    informers.informer(Node.self).addHandler { [node] event in
      if case .deleted = event { return }
      guard event.object.metadata.name == node, event.object.metadata.labels[Self.label] == nil else { return }
      found.yield()
    }
    let patch = JSONValue.object(["metadata": .object(["labels": .object([Self.label: .string("")])])])
    for await _ in unmarked {
      // A failure is tried again with the node's next status: there is one every few seconds.
      _ = try? await client.patch(Node.self, name: node, .merge(patch.encoded()))
    }
  }
}
