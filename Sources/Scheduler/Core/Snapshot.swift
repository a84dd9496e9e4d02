import API

/// The nodes and what runs on them, kept current by events rather than rebuilt. Every change to a node gives it a new
/// generation and a line in the change log, which is how remembered results learn what to look at again.
struct Snapshot: Sendable {
  private(set) var nodes: [String: NodeInfo] = [:]
  /// Names of changed nodes, oldest first; `logStart` is the position of its first entry.
  private(set) var log: [String] = []
  private(set) var logStart: UInt64 = 0
  /// Nodes with `PreferNoSchedule` taints; while there are none, the taint scores are all alike.
  private(set) var softTainted: Set<String> = []
  private(set) var topology = TopologyIndex()
  /// The labels of the namespaces.
  private(set) var namespaces: [String: [String: String]] = [:]
  /// On how many nodes each image is.
  private(set) var imageSpread: [String: Int] = [:]
  /// Pods that others make room for, by node; they count as being there for pods that are not more important.
  private(set) var nominated: [String: [String: PlacedPod]] = [:]
  private var nominations: [String: String] = [:]
  private var generation: UInt64 = 0
  /// Where each known pod stands.
  private var placement: [String: String] = [:]
  /// Pods seen on nodes not seen yet.
  private var homeless: [String: [String: PlacedPod]] = [:]

  var logEnd: UInt64 { logStart + UInt64(log.count) }

  mutating func set(_ node: Node) {
    let name = node.metadata.name
    let slot = topology.set(name, node.metadata.labels)
    if nodes[name] != nil {
      let before = nodes[name]?.images ?? [:]
      nodes[name]?.set(node)
      spread(from: before, to: nodes[name]?.images ?? [:])
    } else {
      var info = NodeInfo(node)
      info.slot = slot
      for pod in (homeless.removeValue(forKey: name) ?? [:]).values {
        info.add(pod)
        topology.add(pod, slot)
      }
      nodes[name] = info
      spread(from: [:], to: info.images)
    }
    if node.spec.taints.contains(where: { $0.effect == "PreferNoSchedule" }) {
      softTainted.insert(name)
    } else {
      softTainted.remove(name)
    }
    touch(name)
  }

  mutating func removeNode(_ name: String) {
    guard let info = nodes.removeValue(forKey: name) else { return }
    softTainted.remove(name)
    topology.remove(name)
    spread(from: info.images, to: [:])
    if !info.pods.isEmpty { homeless[name] = info.pods }
    touch(name)
  }

  private mutating func spread(from old: [String: Int64], to new: [String: Int64]) {
    if old.isEmpty && new.isEmpty { return }
    for name in old.keys where new[name] == nil {
      let left = (imageSpread[name] ?? 1) - 1
      imageSpread[name] = left > 0 ? left : nil
    }
    for name in new.keys where old[name] == nil { imageSpread[name, default: 0] += 1 }
  }

  mutating func place(_ pod: PlacedPod, on node: String) {
    let uid = pod.uid
    if let current = placement[uid], current != node { unplace(uid) }
    placement[uid] = node
    denominate(uid)
    guard let slot = nodes[node]?.slot else {
      homeless[node, default: [:]][uid] = pod
      return
    }
    if let before = nodes[node]?.pods[uid] { topology.subtract(before, slot) }
    nodes[node]?.add(pod)
    topology.add(pod, slot)
    touch(node)
  }

  mutating func unplace(_ uid: String) {
    guard let node = placement.removeValue(forKey: uid) else { return }
    guard let slot = nodes[node]?.slot else {
      homeless[node]?[uid] = nil
      return
    }
    if let before = nodes[node]?.pods[uid] { topology.subtract(before, slot) }
    nodes[node]?.remove(uid)
    touch(node)
  }

  /// Takes a pod off its node, or puts it back, for a question of what would be: nobody is told of a change.
  mutating func suppose(_ pod: PlacedPod, on node: String, isThere: Bool) {
    guard let slot = nodes[node]?.slot else { return }
    if isThere {
      nodes[node]?.add(pod)
      topology.add(pod, slot)
    } else {
      nodes[node]?.remove(pod.uid)
      topology.subtract(pod, slot)
    }
  }

  // MARK: Nominations

  mutating func nominate(_ pod: PlacedPod, to node: String) {
    denominate(pod.uid)
    nominations[pod.uid] = node
    nominated[node, default: [:]][pod.uid] = pod
  }

  mutating func denominate(_ uid: String) {
    guard let node = nominations.removeValue(forKey: uid) else { return }
    nominated[node]?[uid] = nil
    if nominated[node]?.isEmpty == true { nominated[node] = nil }
  }

  func nomination(of uid: String) -> String? { nominations[uid] }

  /// A node as a pod sees it: with those that are expected there and are no less important.
  func view(_ info: NodeInfo, for pod: PodInfo) -> NodeInfo {
    guard let expected = nominated[info.node.metadata.name] else { return info }
    var view = info
    for (uid, other) in expected where uid != pod.pod.metadata.uid && other.priority >= pod.priority { view.add(other) }
    return view
  }

  // MARK: Namespaces and questions about pods

  mutating func setNamespace(_ name: String, _ labels: [String: String]?) { namespaces[name] = labels }

  mutating func count(_ query: PodQuery) -> [Int32] { topology.count(query, nodes: nodes) }
  mutating func domains(_ key: String) -> TopologyIndex.Domains { topology.domains(key) }

  func node(of uid: String) -> String? { placement[uid] }

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
