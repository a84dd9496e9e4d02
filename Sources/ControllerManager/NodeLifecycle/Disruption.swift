import API
import APIMachinery

/// Whether the silence of nodes tells of the nodes, or of what stands between them and this controller: pure, after
/// upstream's zone states.
enum Disruption {
  /// A zone in which this part of the nodes is silent is disrupted.
  private static let unhealthyShare = 0.55
  /// Up to this size a disrupted zone's pods are left alone: there would be no room for them elsewhere.
  private static let largeZone = 50

  /// The zone that counts for a node.
  static func zone(of node: Node) -> String {
    let labels = node.metadata.labels
    return "\(labels["topology.kubernetes.io/region"] ?? "")/\(labels["topology.kubernetes.io/zone"] ?? "")"
  }

  /// Not while every node is silent: then it is this controller that is cut off.
  static func mayEvict(_ nodes: [Node]) -> Bool { nodes.contains(where: \.isReady) }

  /// Whether no further node of a zone is to be given up.
  static func isPaused(_ zone: [Node]) -> Bool {
    let silent = zone.count { !$0.isReady }
    guard silent > 2, silent < zone.count, zone.count <= largeZone else { return false }
    return Double(silent) / Double(zone.count) >= unhealthyShare
  }
}

/// One node of a zone at a time is given up, one every ten seconds (upstream's `--node-eviction-rate=0.1`): a value.
struct EvictionLimiter: Sendable {
  private static let interval: Int64 = 10
  private var last: [String: (node: String, time: Time)] = [:]

  /// Nil takes the turn; else the seconds until the next one. Whose turn it is keeps it, should the write have failed.
  mutating func wait(_ zone: String, node: String, now: Time) -> Int64? {
    if let last = last[zone] {
      let left = last.time.adding(seconds: Self.interval).seconds(since: now)
      if left > 0 { return last.node == node ? nil : left }
    }
    last[zone] = (node, now)
    return nil
  }
}
