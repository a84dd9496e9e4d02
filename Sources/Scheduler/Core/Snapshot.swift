import API

/// The nodes and what runs on them, kept current by events rather than rebuilt. Every change to a node gives it a new
/// generation and a line in the change log, which is how remembered results learn what to look at again.
struct Snapshot: Sendable {
  private(set) var nodes: [String: NodeInfo] = [:]
  /// Names of changed nodes, oldest first; `logStart` is the position of its first entry.
  private(set) var log: [String] = []
  private(set) var logStart: UInt64 = 0
  /// The label sets of placed pods, and what these pods say about others.
  private(set) var labelSets = Interner<LabelSet>()
  private(set) var terms = Interner<StandingTerm>()
  /// How many placed pods have each priority.
  private(set) var priorities: [Int32: Int] = [:]
  /// How many nodes hold each image, by name.
  private(set) var imageNodes: [String: Int] = [:]
  /// How many placed pods use each claim.
  private(set) var claims: [ObjectKey: Int] = [:]
  /// Grows when remembered results must go altogether.
  private(set) var epoch: UInt64 = 0
  var namespaceLabels: [String: [String: String]] = [:] {
    didSet { if namespaceLabels != oldValue { epoch += 1 } }
  }
  private var hostnames: [String: Int] = [:]
  private var generation: UInt64 = 0
  /// Where each known pod stands.
  private var placement: [String: String] = [:]
  private var placed: [String: PlacedPod] = [:]
  /// Pods seen on nodes not seen yet.
  private var homeless: [String: [String: PlacedPod]] = [:]

  var logEnd: UInt64 { logStart + UInt64(log.count) }

  /// Whether every node has a host name of its own, so that the node's own count is its domain's.
  private(set) var hostnamesAreUnique = true

  static let hostname = "kubernetes.io/hostname"

  mutating func set(_ node: Node) {
    let name = node.metadata.name
    if let old = nodes[name]?.node {
      countLabels(of: old, -1)
      nodes[name]?.set(node)
    } else {
      var info = NodeInfo(node)
      for pod in (homeless.removeValue(forKey: name) ?? [:]).values { info.add(pod) }
      nodes[name] = info
    }
    countLabels(of: node, 1)
    touch(name)
  }

  mutating func removeNode(_ name: String) {
    guard let info = nodes.removeValue(forKey: name) else { return }
    countLabels(of: info.node, -1)
    if !info.pods.isEmpty { homeless[name] = info.pods }
    touch(name)
  }

  private mutating func countLabels(of node: Node, _ step: Int) {
    if let value = node.metadata.labels[Self.hostname] {
      let count = (hostnames[value] ?? 0) + step
      hostnames[value] = count > 0 ? count : nil
      let unique = count <= 1 && (hostnamesAreUnique || hostnames.values.allSatisfy { $0 <= 1 })
      if unique != hostnamesAreUnique {
        hostnamesAreUnique = unique
        epoch += 1
      }
    }
    for name in node.status.images.flatMap(\.names) {
      let count = (imageNodes[name] ?? 0) + step
      imageNodes[name] = count > 0 ? count : nil
    }
  }

  mutating func place(_ pod: PlacedPod, on node: String) {
    unplace(pod.uid)
    var pod = pod
    pod.labelID = labelSets.acquire(pod.labels)
    pod.termIDs = pod.terms.map { terms.acquire($0) }
    priorities[pod.priority, default: 0] += 1
    for key in pod.claimKeys { claims[key, default: 0] += 1 }
    placement[pod.uid] = node
    placed[pod.uid] = pod
    if nodes[node] != nil {
      nodes[node]?.add(pod)
      touch(node)
    } else {
      homeless[node, default: [:]][pod.uid] = pod
    }
  }

  mutating func unplace(_ uid: String) {
    guard let node = placement.removeValue(forKey: uid), let pod = placed.removeValue(forKey: uid) else { return }
    labelSets.release(pod.labelID)
    for id in pod.termIDs { terms.release(id) }
    for key in pod.claimKeys { claims[key] = claims[key].flatMap { $0 > 1 ? $0 - 1 : nil } }
    let left = (priorities[pod.priority] ?? 1) - 1
    priorities[pod.priority] = left > 0 ? left : nil
    if nodes[node] != nil {
      nodes[node]?.remove(uid)
      touch(node)
    } else {
      homeless[node]?[uid] = nil
      if homeless[node]?.isEmpty ?? false { homeless[node] = nil }
    }
  }

  func node(of uid: String) -> String? { placement[uid] }
  func pod(_ uid: String) -> PlacedPod? { placed[uid] }

  private mutating func touch(_ name: String) {
    generation += 1
    nodes[name]?.generation = generation
    log.append(name)
    // Whoever fell behind a whole log looks at every node again.
    if log.count > 2 * nodes.count + 1024 {
      logStart += UInt64(log.count / 2)
      log.removeFirst(log.count / 2)
    }
  }

  /// The nodes changed since a position; nil where the log no longer reaches back.
  func changes(since position: UInt64) -> ArraySlice<String>? {
    position < logStart ? nil : log[Int(position - logStart)...]
  }
}
