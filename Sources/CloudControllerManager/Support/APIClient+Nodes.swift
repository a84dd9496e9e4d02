import API
import APIMachinery
import Client

extension APIClient {
  /// Changes a node's taints, looking again when somebody else was faster.
  func changeTaints(of node: Node, _ change: @Sendable ([Taint]) -> [Taint]) async throws {
    var node = node
    for attempt in 0... {
      let taints = change(node.spec.taints)
      guard taints != node.spec.taints else { return }
      do {
        try await patchNode(node, ["taints": try tree(taints)])
        return
      } catch let error as StatusError where error.isConflict && attempt < 5 {
        node = try await get(Node.self, name: node.metadata.name)
      }
    }
  }

  /// Writes parts of a node's spec, and labels; a node that changed since it was read is a conflict.
  @discardableResult
  func patchNode(
    _ node: Node, _ spec: [String: JSONValue], labels: [String: String] = [:]
  ) async throws -> Node {
    var metadata: [String: JSONValue] = ["resourceVersion": .string(node.metadata.resourceVersion)]
    if !labels.isEmpty { metadata["labels"] = .object(labels.mapValues { .string($0) }) }
    var patch: [String: JSONValue] = ["metadata": .object(metadata)]
    if !spec.isEmpty { patch["spec"] = .object(spec) }
    return try await self.patch(Node.self, name: node.metadata.name, .merge(JSONValue.object(patch).encoded()))
  }

  /// Replaces a node's addresses. A strategic merge would join the lists by type.
  func patchAddresses(of node: Node, _ addresses: [NodeAddress]) async throws {
    let patch = JSONValue.object(["status": .object(["addresses": try tree(addresses)])])
    try await self.patch(Node.self, name: node.metadata.name, .merge(patch.encoded()), subresource: "status")
  }

  /// Adds or replaces one condition of a node.
  func patchCondition(of node: Node, _ condition: NodeCondition) async throws {
    let patch = JSONValue.object(["status": .object(["conditions": try tree([condition])])])
    try await self.patch(Node.self, name: node.metadata.name, .strategic(patch.encoded()), subresource: "status")
  }
}

/// A list as a patch has it.
func tree(_ objects: [some JSONCodable]) throws -> JSONValue {
  .array(try objects.map { try JSONValue(parsing: $0.encoded()) })
}
