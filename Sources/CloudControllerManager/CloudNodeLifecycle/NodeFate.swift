import API

/// What becomes of a node, by its readiness and what the cloud says of its machine.
enum NodeFate: Sendable, Equatable {
  /// The node runs: the taint of a stopped machine goes.
  case clearTaint
  /// The machine is gone, and so is the node.
  case delete
  /// The machine is stopped.
  case taint
  /// Its machine is there and runs; it will speak for itself.
  case leave

  /// The taint of a stopped machine.
  static let shutdownTaint = "node.cloudprovider.kubernetes.io/shutdown"

  /// Asks the cloud only as far as needed; a node that is ready needs no cloud to vouch for it.
  static func of(
    _ node: Node, exists: () async throws -> Bool, isShutDown: () async throws -> Bool
  ) async throws -> NodeFate {
    if node.isReady { return .clearTaint }
    guard try await exists() else { return .delete }
    return try await isShutDown() ? .taint : .leave
  }
}
