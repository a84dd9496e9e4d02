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
  private var generation: UInt64 = 0
  /// Where each known pod stands.
  private var placement: [String: String] = [:]
  /// Pods seen on nodes not seen yet.
  private var homeless: [String: [String: PlacedPod]] = [:]

  var logEnd: UInt64 { logStart + UInt64(log.count) }

  mutating func set(_ node: Node) {
    let name = node.metadata.name
    if nodes[name] != nil {
      nodes[name]?.set(node)
    } else {
      var info = NodeInfo(node)
      for pod in (homeless.removeValue(forKey: name) ?? [:]).values { info.add(pod) }
      nodes[name] = info
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
    if !info.pods.isEmpty { homeless[name] = info.pods }
    touch(name)
  }

  mutating func place(_ pod: PlacedPod, on node: String) {
    if let current = placement[pod.uid], current != node { unplace(pod.uid) }
    placement[pod.uid] = node
    if nodes[node] != nil {
      nodes[node]?.add(pod)
      touch(node)
    } else {
      homeless[node, default: [:]][pod.uid] = pod
    }
  }

  mutating func unplace(_ uid: String) {
    guard let node = placement.removeValue(forKey: uid) else { return }
    if nodes[node] != nil {
      nodes[node]?.remove(uid)
      touch(node)
    } else {
      homeless[node]?[uid] = nil
    }
  }

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
