/// Use over a span of time, as `metrics.k8s.io` tells it.
struct ResourceUsage: Sendable, Equatable {
  /// The end of the span, in milliseconds since 1970.
  var time: Int64
  /// The span's length in milliseconds.
  var window: Int64
  /// Billionths of a core.
  var nanocores: Int64
  /// Bytes.
  var memory: Int64

  /// From what was used up to two moments; nil where the second is not after the first or the thing began anew.
  init?(from first: UsagePoint, to last: UsagePoint) {
    let window = last.time - first.time
    guard window > 0, last.cpu >= first.cpu else { return nil }
    time = last.time
    self.window = window
    nanocores = Int64(((last.cpu - first.cpu) / (Double(window) / 1000) * 1e9).rounded())
    memory = last.memory
  }
}

/// The last samples of every node, and what they come to.
///
/// Rates need two samples. Containers that began after the first are reckoned from their start.
struct ResourceHistory: Sendable {
  private struct Pair: Sendable {
    var first: ResourceSample?
    var last: ResourceSample
  }
  private var nodes: [String: Pair] = [:]
  /// Shorter spans say little of a rate: a container's first moments are left out.
  static let shortest: Int64 = 1000

  /// Takes a node's newest sample.
  mutating func add(_ sample: ResourceSample, node: String) {
    nodes[node] = Pair(first: nodes[node]?.last, last: sample)
  }

  /// Forgets nodes that are gone.
  mutating func keep(only names: Set<String>) { nodes = nodes.filter { names.contains($0.key) } }

  /// What a node uses; nil until that is known.
  func node(_ name: String) -> ResourceUsage? {
    guard let pair = nodes[name], let last = pair.last.node else { return nil }
    return pair.first?.node.flatMap { ResourceUsage(from: $0, to: last) }
  }

  /// What a pod's containers use; nil until that is known of all of them.
  func pod(_ key: ResourceSample.PodKey, node: String) -> [String: ResourceUsage]? {
    guard let pair = nodes[node], let last = pair.last.pods[key], !last.isEmpty else { return nil }
    var result: [String: ResourceUsage] = [:]
    for (name, point) in last {
      guard let usage = usage(point, before: pair.first?.pods[key]?[name]) else { return nil }
      result[name] = usage
    }
    return result
  }

  private func usage(_ last: UsagePoint, before: UsagePoint?) -> ResourceUsage? {
    if let before, last.start <= before.time { return ResourceUsage(from: before, to: last) }
    guard last.start > 0, last.time - last.start >= Self.shortest else { return nil }
    return ResourceUsage(from: UsagePoint(time: last.start, cpu: 0, memory: 0), to: last)
  }
}
