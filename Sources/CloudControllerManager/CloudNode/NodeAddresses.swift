import API

/// What a node's addresses are to be, from what the cloud says and what the kubelet was told.
enum NodeAddresses {
  /// The annotation in which a kubelet says which of its addresses it was given, separated by commas.
  static let providedAnnotation = "alpha.kubernetes.io/provided-node-ip"

  /// The addresses of a node; nil when the cloud knows none and the node keeps its own. Throws when the kubelet was
  /// given an address that the cloud does not know.
  static func desired(for node: Node, cloud: [NodeAddress]) throws -> [NodeAddress]? {
    guard !cloud.isEmpty else { return nil }
    var addresses = cloud
    if !cloud.contains(where: { $0.type == "Hostname" }),
      let own = node.status.addresses.first(where: { $0.type == "Hostname" })
    {
      addresses.append(own)
    }
    guard let provided = node.metadata.annotations[providedAnnotation], !provided.isEmpty else { return addresses }
    return try enforcing(provided, addresses)
  }

  /// Of each type that one of the given addresses has, only the given ones; of other types, all.
  private static func enforcing(_ provided: String, _ addresses: [NodeAddress]) throws -> [NodeAddress] {
    var enforced: [NodeAddress] = []
    for text in provided.split(separator: ",", omittingEmptySubsequences: false) {
      let text = text.filter { $0 != " " }
      guard let ip = AddressBytes(text) else { throw Failure("failed to parse node IP \"\(text)\"") }
      let matching = addresses.filter { AddressBytes($0.address) == ip }
      if matching.isEmpty {
        throw Failure("failed to get node address from cloud provider that matches ip: \(text)")
      }
      enforced += matching.filter { !enforced.contains($0) }
    }
    let types = Set(enforced.map(\.type))
    return enforced + addresses.filter { !types.contains($0.type) }
  }

  /// Whether addresses differ, their order aside as upstream has it.
  static func differ(_ a: [NodeAddress], _ b: [NodeAddress]) -> Bool {
    Set(a.map { "\($0.type)/\($0.address)" }) != Set(b.map { "\($0.type)/\($0.address)" }) || a.count != b.count
  }
}
