import API

/// A port of the node itself that a pod occupies.
struct HostPort: Hashable, Sendable {
  var proto: String
  var address: String
  var port: Int32

  /// `0.0.0.0` stands for every address of the node.
  func conflicts(with other: HostPort) -> Bool {
    proto == other.proto && port == other.port
      && (address == other.address || address == "0.0.0.0" || other.address == "0.0.0.0")
  }
}

/// What the scheduler keeps of a pod that occupies a node.
struct PlacedPod: Sendable {
  let pod: Pod
  var requests: Resources
  var nonZeroRequests: Resources
  var hostPorts: Set<HostPort>
  /// What it says about other pods; nil where it says nothing.
  var terms: PodTerms?

  var key: ObjectKey { pod.key }
  var uid: String { pod.metadata.uid }
  var labels: [String: String] { pod.metadata.labels }
  var priority: Int32 { pod.spec.priority ?? 0 }
  var isTerminating: Bool { pod.metadata.deletionTimestamp != nil }

  init(_ pod: Pod, namespaces: [String: [String: String]] = [:]) {
    self.pod = pod
    requests = Resources(pod.spec.totalRequests)
    nonZeroRequests = pod.nonZeroRequests
    hostPorts = pod.hostPorts
    if pod.spec.affinity?.podAffinity != nil || pod.spec.affinity?.podAntiAffinity != nil {
      terms = PodTerms(pod, namespaces: namespaces)
    }
  }

  init(_ info: PodInfo) {
    pod = info.pod
    requests = info.requests
    nonZeroRequests = info.nonZeroRequests
    hostPorts = info.hostPorts
    terms =
      info.pod.spec.affinity?.podAffinity == nil && info.pod.spec.affinity?.podAntiAffinity == nil ? nil : info.terms
  }
}

extension Pod {
  var hostPorts: Set<HostPort> {
    var ports: Set<HostPort> = []
    for container in spec.containers + spec.initContainers.filter({ $0.restartPolicy == "Always" }) {
      for port in container.ports where port.hostPort > 0 {
        ports.insert(
          HostPort(
            proto: port.protocol.isEmpty ? "TCP" : port.protocol,
            address: port.hostIP.isEmpty ? "0.0.0.0" : port.hostIP, port: port.hostPort))
      }
    }
    return ports
  }
}

/// A node with the sums of what runs on it. `generation` grows with every change, so that remembered results about the
/// node can be told from stale ones.
struct NodeInfo: Sendable {
  var node: Node
  var allocatable: Resources
  var allowedPods: Int64
  var requested = Resources()
  var nonZeroRequested = Resources()
  var pods: [String: PlacedPod] = [:]
  var hostPorts: [HostPort: Int] = [:]
  var generation: UInt64 = 0
  /// The node's number in the topology index.
  var slot = 0
  /// Bytes by image name.
  var images: [String: Int64] = [:]

  init(_ node: Node) {
    self.node = node
    allocatable = Resources(node.status.allocatable)
    allowedPods = node.status.allocatable["pods"]?.value ?? 0
    images = Self.images(node)
  }

  private static func images(_ node: Node) -> [String: Int64] {
    var sizes: [String: Int64] = [:]
    for image in node.status.images { for name in image.names { sizes[name] = image.sizeBytes } }
    return sizes
  }

  mutating func set(_ node: Node) {
    self.node = node
    allocatable = Resources(node.status.allocatable)
    allowedPods = node.status.allocatable["pods"]?.value ?? 0
    images = Self.images(node)
  }

  mutating func add(_ pod: PlacedPod) {
    remove(pod.uid)
    pods[pod.uid] = pod
    requested += pod.requests
    nonZeroRequested += pod.nonZeroRequests
    for port in pod.hostPorts { hostPorts[port, default: 0] += 1 }
  }

  mutating func remove(_ uid: String) {
    guard let pod = pods.removeValue(forKey: uid) else { return }
    requested -= pod.requests
    nonZeroRequested -= pod.nonZeroRequests
    for port in pod.hostPorts {
      let left = (hostPorts[port] ?? 1) - 1
      hostPorts[port] = left > 0 ? left : nil
    }
  }
}
