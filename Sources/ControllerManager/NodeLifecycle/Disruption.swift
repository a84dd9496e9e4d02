import API
import APIMachinery

/// Whether the silence of nodes tells of the nodes, or of what stands between them and this controller: a value, kept
/// up as nodes come, change and go, after upstream's zone states.
struct Disruption: Sendable {
  /// What is seen of a zone.
  enum State: Sendable, Equatable {
    case normal
    /// So many nodes are silent that there may be no room for their pods elsewhere.
    case partial
    /// Nobody of the zone is heard of.
    case full
  }

  /// How fast nodes are given up.
  struct Rates: Sendable {
    var normal = 0.1
    var secondary = 0.01
    var unhealthyShare = 0.55
    var largeZone = 50

    init() {}

    init(_ configuration: ControllerManager.Configuration) {
      normal = configuration.nodeEvictionRate
      secondary = configuration.secondaryNodeEvictionRate
      unhealthyShare = configuration.unhealthyZoneThreshold
      largeZone = configuration.largeClusterSizeThreshold
    }
  }

  private struct Zone {
    var ready = 0
    var silent = 0
  }

  private let rates: Rates
  private var nodes: [String: (zone: String, isReady: Bool)] = [:]
  private var zones: [String: Zone] = [:]
  private var ready = 0

  init(_ rates: Rates = Rates()) {
    self.rates = rates
  }

  /// The zone that counts for a node.
  static func zone(of node: Node) -> String {
    let labels = node.metadata.labels
    return "\(labels["topology.kubernetes.io/region"] ?? "")/\(labels["topology.kubernetes.io/zone"] ?? "")"
  }

  /// Takes a node as it is now.
  mutating func note(_ node: Node) {
    forget(node.metadata.name)
    let entry = (zone: Self.zone(of: node), isReady: node.isReady)
    nodes[node.metadata.name] = entry
    count(entry, 1)
  }

  /// A node is gone.
  mutating func forget(_ name: String) {
    if let entry = nodes.removeValue(forKey: name) { count(entry, -1) }
  }

  private mutating func count(_ entry: (zone: String, isReady: Bool), _ change: Int) {
    var zone = zones[entry.zone] ?? Zone()
    if entry.isReady {
      zone.ready += change
      ready += change
    } else {
      zone.silent += change
    }
    zones[entry.zone] = zone.ready + zone.silent == 0 ? nil : zone
  }

  /// Not while every node is silent: then it is this controller that is cut off.
  var mayEvict: Bool { ready > 0 }

  func state(_ zone: String) -> State {
    guard let zone = zones[zone], zone.silent > 0 else { return .normal }
    if zone.ready == 0 { return .full }
    let share = Double(zone.silent) / Double(zone.silent + zone.ready)
    return zone.silent > 2 && share >= rates.unhealthyShare ? .partial : .normal
  }

  /// How many nodes of a zone may be given up a second; none where it is small and disrupted.
  func rate(_ zone: String) -> Double {
    guard state(zone) == .partial, let zone = zones[zone] else { return rates.normal }
    return zone.ready + zone.silent > rates.largeZone ? rates.secondary : 0
  }
}

/// Nodes of a zone are given up one after another, at a rate: a value.
struct EvictionLimiter: Sendable {
  private struct Bucket {
    var tokens: Double
    var time: Time
    var node: String
  }

  private var zones: [String: Bucket] = [:]

  /// Nil takes the turn; else the seconds until the next one. Whose turn it is keeps it, should the write have failed.
  mutating func wait(_ zone: String, node: String, rate: Double, now: Time) -> Int64? {
    guard rate > 0 else { return 5 }
    let full = max(1, rate)
    var bucket = zones[zone] ?? Bucket(tokens: full, time: now, node: "")
    bucket.tokens = min(full, bucket.tokens + Double(max(0, now.seconds(since: bucket.time))) * rate)
    bucket.time = now
    defer { zones[zone] = bucket }
    // Clocks and rates are coarse; what is as good as a whole turn is one.
    let missing = 1 - bucket.tokens - 1e-6
    if missing <= 0 {
      bucket.tokens -= 1
      bucket.node = node
      return nil
    }
    return bucket.node == node ? nil : max(1, Int64((missing / rate).rounded(.up)))
  }
}
