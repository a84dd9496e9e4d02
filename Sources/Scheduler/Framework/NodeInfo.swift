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
  var pod: Pod
  var requests: Resources
  var nonZeroRequests: Resources
  var hostPorts: Set<HostPort>
  var labels: LabelSet
  var terms: [StandingTerm]
  var claimKeys: [ObjectKey]
  /// Numbers that the snapshot gives label sets and terms, so that equal ones are counted together.
  var labelID = 0
  var termIDs: [Int] = []

  init(_ pod: Pod) { self.init(PodInfo(pod)) }

  init(_ info: PodInfo) {
    pod = info.pod
    requests = info.requests
    nonZeroRequests = info.nonZeroRequests
    hostPorts = info.hostPorts
    labels = info.labelSet
    terms = info.standingTerms
    claimKeys = pod.spec.volumes.isEmpty ? [] : pod.claimKeys
  }

  var key: ObjectKey { pod.key }
  var uid: String { pod.metadata.uid }
  var priority: Int32 { pod.spec.priority ?? 0 }
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
  /// Pods by the number of their label set, and standing terms by theirs.
  var labelCounts: [Int: Int64] = [:]
  var termCounts: [Int: Int64] = [:]
  /// How many pods use each claim.
  var claims: [ObjectKey: Int] = [:]
  var generation: UInt64 = 0

  init(_ node: Node) {
    self.node = node
    allocatable = Resources(node.status.allocatable)
    allowedPods = node.status.allocatable["pods"]?.value ?? 0
  }

  mutating func set(_ node: Node) {
    self.node = node
    allocatable = Resources(node.status.allocatable)
    allowedPods = node.status.allocatable["pods"]?.value ?? 0
  }

  mutating func add(_ pod: PlacedPod) {
    remove(pod.uid)
    pods[pod.uid] = pod
    requested += pod.requests
    nonZeroRequested += pod.nonZeroRequests
    for port in pod.hostPorts { hostPorts[port, default: 0] += 1 }
    labelCounts[pod.labelID, default: 0] += 1
    for id in pod.termIDs { termCounts[id, default: 0] += 1 }
    for key in pod.claimKeys { claims[key, default: 0] += 1 }
  }

  mutating func remove(_ uid: String) {
    guard let pod = pods.removeValue(forKey: uid) else { return }
    requested -= pod.requests
    nonZeroRequested -= pod.nonZeroRequests
    for port in pod.hostPorts {
      let left = (hostPorts[port] ?? 1) - 1
      hostPorts[port] = left > 0 ? left : nil
    }
    labelCounts[pod.labelID] = labelCounts[pod.labelID].flatMap { $0 > 1 ? $0 - 1 : nil }
    for id in pod.termIDs { termCounts[id] = termCounts[id].flatMap { $0 > 1 ? $0 - 1 : nil } }
    for key in pod.claimKeys { claims[key] = claims[key].flatMap { $0 > 1 ? $0 - 1 : nil } }
  }
}
