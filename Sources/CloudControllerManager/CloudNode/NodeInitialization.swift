import API

/// What the cloud's knowledge changes in a node.
struct NodeInitialization: Sendable, Equatable {
  /// The taint that a kubelet registers with when a cloud is to say more about its node.
  static let taint = "node.cloudprovider.kubernetes.io/uninitialized"

  /// Nil: the node keeps the one it has.
  var providerID: String?
  /// Labels to be set.
  var labels: [String: String] = [:]
  /// The taints that stay.
  var taints: [Taint] = []
  /// Labels of the cloud's that are not taken, for the log.
  var discarded: [String] = []

  /// Whether a node still waits for the cloud.
  static func isPending(_ node: Node) -> Bool { node.spec.taints.contains { $0.key == taint } }

  /// What initializing the node changes.
  init(of node: Node, _ metadata: InstanceMetadata) {
    if node.spec.providerID.isEmpty, !metadata.providerID.isEmpty { providerID = metadata.providerID }
    let known: [(String, [String])] = [
      (metadata.instanceType, ["beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"]),
      (metadata.zone, ["failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"]),
      (metadata.region, ["failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"]),
    ]
    for (value, keys) in known where !value.isEmpty {
      for key in keys where node.metadata.labels[key] != value { labels[key] = value }
    }
    for (key, value) in metadata.additionalLabels.sorted(by: { $0.key < $1.key }) {
      if Self.isReserved(key) {
        discarded.append(key)
      } else if let own = node.metadata.labels[key] {
        if own != value { discarded.append(key) }
      } else {
        labels[key] = value
      }
    }
    taints = node.spec.taints.filter { $0.key != Self.taint }
  }

  /// Whether the label's name belongs to Kubernetes itself.
  private static func isReserved(_ key: String) -> Bool {
    guard let slash = key.firstIndex(of: "/") else { return false }
    let domain = key[..<slash]
    return ["kubernetes.io", "k8s.io"].contains { domain == $0 || domain.hasSuffix(".\($0)") }
  }

  /// The old names of labels follow the new ones.
  static func missingBetaLabels(_ node: Node) -> [String: String] {
    let pairs = [
      ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
      ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
      ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"),
    ]
    var labels: [String: String] = [:]
    for (primary, secondary) in pairs {
      guard let value = node.metadata.labels[primary], node.metadata.labels[secondary] != value else { continue }
      labels[secondary] = value
    }
    return labels
  }
}
