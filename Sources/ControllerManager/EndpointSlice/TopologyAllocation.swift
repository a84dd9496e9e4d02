import API

/// Which part of a cluster's processors is in which zone: a value, kept up as nodes come, change and go.
struct ZoneCapacity: Sendable {
  private static let excluded = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"]
  private var nodes: [String: (zone: String, milli: Int64)] = [:]

  /// Takes a node as it is now; says whether anything changed.
  mutating func note(_ node: Node) -> Bool {
    let name = node.metadata.name
    guard node.isReady, Self.excluded.allSatisfy({ node.metadata.labels[$0] == nil }) else { return forget(name) }
    let zone = node.metadata.labels["topology.kubernetes.io/zone"] ?? ""
    let milli = node.status.allocatable["cpu"]?.milliValue ?? 0
    if let known = nodes[name], known == (zone, milli) { return false }
    nodes[name] = (zone, milli)
    return true
  }

  /// A node is gone, or takes no part.
  mutating func forget(_ name: String) -> Bool { nodes.removeValue(forKey: name) != nil }

  /// Each zone's part; nil while something is not known of some node, empty while there is but one zone.
  var shares: [String: Double]? {
    guard !nodes.isEmpty, nodes.values.allSatisfy({ !$0.zone.isEmpty && $0.milli > 0 }) else { return nil }
    var zones: [String: Double] = [:]
    for node in nodes.values { zones[node.zone, default: 0] += Double(node.milli) }
    let total = zones.values.reduce(0, +)
    return zones.count < 2 ? [:] : zones.mapValues { $0 / total }
  }
}

/// Which zone each endpoint of a Service is for, so that every zone has its part of them: pure, after upstream's
/// topology-aware routing (`service.kubernetes.io/topology-mode: Auto`).
struct TopologyAllocation: Sendable {
  /// What to tell of it.
  struct Notice: Sendable, Equatable {
    var type: String
    var reason: String
    var message: String
  }

  private struct Part {
    var desired: Double
    var maximum: Int
  }

  private static let overload = 0.2
  private static let annotations = [
    "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode",
  ]

  /// Whether a Service asks for it; the older annotation decides where both are there.
  static func isWanted(_ service: Service) -> Bool {
    let value = annotations.lazy.compactMap { service.metadata.annotations[$0] }.first
    return value == "Auto" || value == "auto"
  }

  /// Gives endpoints their hints, in order. Those that have sensible ones from before keep them as far as that goes.
  /// Without hints where not every zone could have enough, with why.
  static func hint(
    _ endpoints: [Endpoint], before: (Endpoint) -> String?, shares: [String: Double]?, family: String
  ) -> (endpoints: [Endpoint], notice: Notice?) {
    let plain = endpoints.map { endpoint in
      var endpoint = endpoint
      endpoint.hints = nil
      return endpoint
    }
    func refused(_ message: String) -> ([Endpoint], Notice?) {
      let text = "\(message), addressType: \(family)"
      return (plain, Notice(type: "Warning", reason: "TopologyAwareHintsDisabled", message: text))
    }
    let ready = plain.indices.filter { plain[$0].conditions.ready ?? true }
    guard let shares else {
      return refused("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")
    }
    guard shares.count > 1 else { return refused("Nodes only ready in one zone") }
    let numbers = "(\(ready.count) endpoints, \(shares.count) zones)"
    guard shares.count <= ready.count else { return refused("Insufficient number of endpoints \(numbers)") }
    guard let parts = parts(ready.count, shares) else {
      return refused(
        "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold \(numbers)")
    }
    guard ready.allSatisfy({ plain[$0].zone?.isEmpty == false }) else {
      return refused("One or more endpoints do not have a zone specified")
    }
    let zones = assign(plain, ready, parts, before)
    var hinted = plain
    for (index, zone) in zones { hinted[index].hints = EndpointHints { $0.forZones = [ForZone { $0.name = zone }] } }
    return (hinted, nil)
  }

  /// How many endpoints each zone should have, and may; nil when the least for each is more than there are.
  private static func parts(_ count: Int, _ shares: [String: Double]) -> [String: Part]? {
    var least: [String: Int] = [:]
    for (zone, share) in shares {
      // What rounding adds to a whole number is no endpoint.
      least[zone] = Int((share * Double(count) / (1 + overload) - 1e-9).rounded(.up))
    }
    let total = least.values.reduce(0, +)
    guard total <= count else { return nil }
    var parts: [String: Part] = [:]
    for (zone, minimum) in least {
      parts[zone] = Part(
        desired: max((shares[zone] ?? 0) * Double(count), Double(minimum)), maximum: minimum + count - total)
    }
    return parts
  }

  private static func assign(
    _ endpoints: [Endpoint], _ ready: [Int], _ parts: [String: Part], _ before: (Endpoint) -> String?
  ) -> [Int: String] {
    var zones: [Int: String] = [:]
    var counts: [String: Int] = [:]
    var isNew = false
    for index in ready {
      let zone: String
      if let known = before(endpoints[index]), let part = parts[known], counts[known, default: 0] < part.maximum {
        zone = known
      } else {
        isNew = true
        zone = endpoints[index].zone ?? ""
      }
      zones[index] = zone
      counts[zone, default: 0] += 1
    }
    // Only what changes anyway is balanced: every move is a write that all nodes hear of.
    guard isNew else { return zones }
    for (from, to) in moves(counts, parts) {
      // Rather one that is for the zone by chance than one that is in it.
      let candidates = ready.filter { zones[$0] == from }
      if let index = candidates.first(where: { endpoints[$0].zone == to })
        ?? candidates.last(where: { endpoints[$0].zone != from }) ?? candidates.last
      {
        zones[index] = to
      }
    }
    return zones
  }

  /// From which zone to which an endpoint is to be given, one after another: the richest gives to the poorest.
  private static func moves(_ counts: [String: Int], _ parts: [String: Part]) -> [(from: String, to: String)] {
    var giving: [String: Double] = [:]
    var receiving: [String: Double] = [:]
    for zone in Set(counts.keys).union(parts.keys) {
      let surplus = Double(counts[zone] ?? 0) - (parts[zone]?.desired ?? 0)
      if surplus > 0 { giving[zone] = surplus }
      if surplus < 0 { receiving[zone] = -surplus }
    }
    func most(_ zones: [String: Double]) -> (key: String, value: Double)? {
      zones.max { ($0.value, $1.key) < ($1.value, $0.key) }
    }
    var moves: [(from: String, to: String)] = []
    while let from = most(giving), let to = most(receiving), from.value + to.value >= 1, to.value >= 0.5 {
      moves.append((from.key, to.key))
      giving[from.key] = from.value - 1
      receiving[to.key] = to.value - 1
    }
    return moves
  }
}
