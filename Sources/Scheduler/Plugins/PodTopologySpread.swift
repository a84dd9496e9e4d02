import API

/// Spreads pods over the values of node labels (KEP-895): required constraints forbid, the others prefer.
struct PodTopologySpread: Sendable {
  static let name = "PodTopologySpread"
  static let weight: Int64 = 2
  private static let hostname = "kubernetes.io/hostname"

  /// A constraint with the number of matching pods in each domain.
  private struct Table {
    var constraint: SpreadConstraint
    var ofSlot: [Int32]
    /// -1: no node of the domain counts.
    var counts: [Int64]
    var least: Int64
  }

  private var required: [Table] = []
  private var preferred: [Table] = []
  /// Whether nodes without one of the labels are left out of the preferences.
  private let needsAllLabels: Bool

  /// Nil for a pod that does not ask for it.
  init?(_ pod: PodInfo, _ snapshot: inout Snapshot, isDefaulted: Bool) {
    let constraints = pod.terms.spread
    if constraints.isEmpty { return nil }
    needsAllLabels = !isDefaulted
    let hard = constraints.filter(\.isRequired)
    let soft = constraints.filter { !$0.isRequired }
    let hardDomains = hard.map { snapshot.domains($0.topologyKey) }
    let softDomains = soft.map { snapshot.domains($0.topologyKey) }
    required = zip(hard, hardDomains).map { Self.table($0, $1, all: hardDomains, pod, &snapshot) }
    preferred = zip(soft, softDomains).map {
      Self.table($0, $1, all: isDefaulted ? [$1] : softDomains, pod, &snapshot)
    }
  }

  private static func table(
    _ constraint: SpreadConstraint, _ domains: TopologyIndex.Domains, all: [TopologyIndex.Domains], _ pod: PodInfo,
    _ snapshot: inout Snapshot
  ) -> Table {
    let pods = snapshot.count(constraint.query)
    var counts = [Int64](repeating: -1, count: domains.count)
    let asksNodes = constraint.honoursAffinity && pod.restrictsNodes
    for (slot, domain) in domains.ofSlot.enumerated() where domain >= 0 {
      if all.count > 1, !all.allSatisfy({ $0.ofSlot[slot] >= 0 }) { continue }
      if asksNodes || constraint.honoursTaints {
        guard let name = snapshot.topology.names[slot], let node = snapshot.nodes[name]?.node else { continue }
        if asksNodes, !NodeAffinity.matches(pod.pod, node) { continue }
        if constraint.honoursTaints, !TaintToleration.tolerates(pod.pod, node) { continue }
      }
      counts[Int(domain)] = max(0, counts[Int(domain)]) + Int64(pods[slot])
    }
    let present = counts.filter { $0 >= 0 }
    let least = Int64(present.count) < constraint.minDomains ? 0 : present.min() ?? 0
    return Table(constraint: constraint, ofSlot: domains.ofSlot, counts: counts, least: least)
  }

  func refusal(_ slot: Int) -> Refusal? {
    for table in required {
      let domain = table.ofSlot[slot]
      if domain < 0 {
        return Refusal(
          plugin: Self.name,
          reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
          unresolvable: true)
      }
      let own: Int64 = table.constraint.countsSelf ? 1 : 0
      if max(0, table.counts[Int(domain)]) + own - table.least > table.constraint.maxSkew {
        return Refusal(plugin: Self.name, reasons: ["node(s) didn't match pod topology spread constraints"])
      }
    }
    return nil
  }

  var prefers: Bool { !preferred.isEmpty }

  /// From 0 to 100 for each of the slots, in relation to each other.
  func scores(_ slots: [Int]) -> [Int64] {
    let counted = slots.filter { slot in !needsAllLabels || preferred.allSatisfy { $0.ofSlot[slot] >= 0 } }
    if counted.isEmpty { return [Int64](repeating: 0, count: slots.count) }
    var sums = [Double](repeating: 0, count: slots.count)
    var isIgnored = [Bool](repeating: false, count: slots.count)
    for table in preferred {
      let key = table.constraint.topologyKey
      let size: Int
      if key == Self.hostname {
        size = counted.count
      } else {
        size = Set(counted.lazy.map { table.ofSlot[$0] }.filter { $0 >= 0 }).count
      }
      let weight = Self.logarithm(Double(size + 2))
      for (index, slot) in slots.enumerated() {
        let domain = table.ofSlot[slot]
        if domain < 0 {
          if needsAllLabels { isIgnored[index] = true }
          continue
        }
        sums[index] +=
          Double(max(0, table.counts[Int(domain)])) * weight + Double(table.constraint.maxSkew - 1)
      }
    }
    let rounded = sums.map { Int64($0.rounded()) }
    var (low, high) = (Int64.max, Int64(0))
    for index in rounded.indices where !isIgnored[index] {
      low = min(low, rounded[index])
      high = max(high, rounded[index])
    }
    return rounded.indices.map { index in
      if isIgnored[index] { return 0 }
      return high == 0 ? 100 : 100 * (high + low - rounded[index]) / high
    }
  }

  /// The natural logarithm, without the C library: by halving the argument into reach of a series.
  private static func logarithm(_ value: Double) -> Double {
    let exponent = value.exponent
    let x = value.significand - 1
    let t = x / (2 + x)
    var (term, sum) = (t, 0.0)
    for n in stride(from: 1.0, through: 41, by: 2) {
      sum += term / n
      term *= t * t
    }
    return 2 * sum + Double(exponent) * 0.693_147_180_559_945_3
  }
}

extension PodInfo {
  /// Whether the pod can run on some nodes only.
  var restrictsNodes: Bool {
    !pod.spec.nodeSelector.isEmpty
      || pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution != nil
  }
}
