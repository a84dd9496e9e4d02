import API
import Foundation

/// Counts by topology domain for one class of pods: what spreading and pod affinity turn on. Each node adds what its own
/// pods contribute, and is taken out and added again when it changes; no decision looks at all nodes.
struct Topology: Sendable {
  /// One count for each domain of a topology key.
  struct Tally: Sendable {
    enum Role: Hashable, Sendable {
      /// Pods that a spread constraint selects, on nodes where it counts.
      case spread(SpreadConstraint)
      /// Pods that match all required affinity terms.
      case affinity
      /// Required anti-affinity terms that match pods.
      case antiAffinity
      /// Anti-affinity terms of standing pods that match this one.
      case standing
      /// The weights of all preferences, both ways.
      case preference
    }

    var key: String
    var role: Role
    var sums: [Int64: Int64] = [:]
    /// Nodes in each domain; a domain without nodes is none.
    var nodes: [Int64: Int] = [:]
    /// How many domains have each sum: its least key is the least sum.
    var histogram: [Int64: Int] = [:]
    var total: Int64 = 0
    /// What one pod of a label set contributes.
    var perPod: [Int: Int64] = [:]
    var perTerm: [Int: Int64] = [:]

    mutating func change(_ domain: Int64, by amount: Int64, nodes step: Int) {
      let old = sums[domain]
      if let old {
        let count = (histogram[old] ?? 1) - 1
        histogram[old] = count > 0 ? count : nil
      }
      total += amount
      let members = (nodes[domain] ?? 0) + step
      nodes[domain] = members > 0 ? members : nil
      let new = (old ?? 0) + amount
      sums[domain] = members > 0 ? new : nil
      if members > 0 { histogram[new, default: 0] += 1 }
    }

    /// The least sum of any domain, as if one domain's sum were another.
    func least(minDomains: Int64, replacing: (old: Int64, new: Int64)? = nil) -> Int64 {
      if Int64(nodes.count) < minDomains { return 0 }
      guard let replacing, replacing.old != replacing.new else { return histogram.keys.min() ?? 0 }
      let others = histogram.filter { $0.key != replacing.old || $0.value > 1 }.keys.min()
      return min(others ?? .max, replacing.new)
    }
  }

  /// Where a node stands: its domain (nil without the label) and what it contributes (nil where it does not count).
  struct Share: Sendable {
    var domain: Int64?
    var amount: Int64?
  }

  private(set) var tallies: [Tally]
  let hasFilters: Bool
  let matchesOwnAffinity: Bool
  private var domains: [String: Int64] = [:]
  /// Topology keys of hard and of soft constraints: a node must have them all to count.
  private let hardKeys: [String]
  private let softKeys: [String]
  private let uniqueHosts: Bool

  init(_ pod: PodInfo, _ snapshot: Snapshot, _ framework: Framework, standing: [Int]) {
    uniqueHosts = snapshot.hostnamesAreUnique
    hardKeys = pod.spread.filter(\.hard).map(\.topologyKey)
    softKeys = pod.spreadIsDefault ? [] : pod.spread.filter { !$0.hard }.map(\.topologyKey)
    matchesOwnAffinity = pod.affinity.allSatisfy { $0.matches(pod.labelSet, snapshot.namespaceLabels) }
    var made = pod.spread.filter { $0.hard ? framework.spreadFilters : framework.spreadWeight > 0 }.map {
      Tally(key: $0.topologyKey, role: .spread($0))
    }
    func add(_ role: Tally.Role, _ keys: [String]) {
      for key in Set(keys).sorted() { made.append(Tally(key: key, role: role)) }
    }
    if framework.affinityFilters {
      add(.affinity, pod.affinity.map(\.topologyKey))
      add(.antiAffinity, pod.antiAffinity.map(\.topologyKey))
    }
    let terms = standing.compactMap { id in snapshot.terms.values[id].map { (id, $0) } }.filter { _, term in
      term.weight == nil
        ? framework.affinityFilters
        : framework.affinityWeight > 0 && (term.isRequired || !framework.ignoresPreferencesOfOthers)
    }
    let preferring = terms.filter { $0.1.weight != nil }.map(\.1.term.topologyKey)
    add(.standing, terms.filter { $0.1.weight == nil }.map(\.1.term.topologyKey))
    add(.preference, preferring + (framework.affinityWeight > 0 ? pod.preferred.map(\.term.topologyKey) : []))
    for index in made.indices {
      for (id, term) in terms where term.term.topologyKey == made[index].key {
        switch made[index].role {
        case .standing where term.weight == nil: made[index].perTerm[id] = 1
        case .preference:
          if let weight = term.weight {
            made[index].perTerm[id] = term.isRequired ? framework.hardPodAffinityWeight : weight
          }
        default: break
        }
      }
    }
    hasFilters = made.contains {
      switch $0.role {
      case .spread(let constraint): constraint.hard
      case .preference: false
      default: true
      }
    }
    tallies = made
  }

  var isEmpty: Bool { tallies.isEmpty }

  /// Whether the node's own amount is all there is to its domain.
  func isOwn(_ tally: Tally) -> Bool { uniqueHosts && tally.key == Snapshot.hostname }

  /// What the node, with the pods it has, adds to each tally.
  mutating func shares(of node: NodeInfo, for pod: PodInfo, _ snapshot: Snapshot) -> [Share] {
    let labels = node.node.metadata.labels
    return tallies.indices.map { index in
      guard let value = labels[tallies[index].key] else { return Share() }
      let domain: Int64
      if let known = domains[value] {
        domain = known
      } else {
        domain = Int64(domains.count)
        domains[value] = domain
      }
      if case .spread(let constraint) = tallies[index].role, !counts(constraint, node, pod) {
        return Share(domain: domain)
      }
      return Share(domain: domain, amount: amount(index, node, pod, snapshot))
    }
  }

  private func counts(_ constraint: SpreadConstraint, _ node: NodeInfo, _ pod: PodInfo) -> Bool {
    let labels = node.node.metadata.labels
    guard (constraint.hard ? hardKeys : softKeys).allSatisfy({ labels[$0] != nil }) else { return false }
    if constraint.honoursAffinity, !NodeAffinity.matches(pod.pod, node.node) { return false }
    if constraint.honoursTaints, TaintToleration().filter(pod, node) != nil { return false }
    return true
  }

  private mutating func amount(_ index: Int, _ node: NodeInfo, _ pod: PodInfo, _ snapshot: Snapshot) -> Int64 {
    var sum: Int64 = 0
    for (id, weight) in tallies[index].perTerm { if let count = node.termCounts[id] { sum += weight * count } }
    if tallies[index].role == .standing { return sum }
    if tallies[index].perPod.count > 4096 { tallies[index].perPod = [:] }
    for (id, count) in node.labelCounts {
      let each: Int64
      if let known = tallies[index].perPod[id] {
        each = known
      } else {
        each = snapshot.labelSets.values[id].map { contribution(tallies[index], $0, pod, snapshot) } ?? 0
        tallies[index].perPod[id] = each
      }
      sum += each * count
    }
    return sum
  }

  private func contribution(_ tally: Tally, _ set: LabelSet, _ pod: PodInfo, _ snapshot: Snapshot) -> Int64 {
    let namespaces = snapshot.namespaceLabels
    switch tally.role {
    case .spread(let constraint):
      let selected =
        !set.terminating && set.namespace == pod.labelSet.namespace && constraint.selector.matches(set.labels)
      return selected ? 1 : 0
    case .affinity: return pod.affinity.allSatisfy { $0.matches(set, namespaces) } ? 1 : 0
    case .antiAffinity:
      return Int64(pod.antiAffinity.count { $0.topologyKey == tally.key && $0.matches(set, namespaces) })
    case .standing: return 0
    case .preference:
      return pod.preferred.reduce(0) {
        $1.term.topologyKey == tally.key && $1.term.matches(set, namespaces) ? $0 + ($1.weight ?? 0) : $0
      }
    }
  }

  mutating func add(_ shares: [Share], _ sign: Int64) {
    for (index, share) in shares.enumerated() {
      guard let domain = share.domain, let amount = share.amount else { continue }
      tallies[index].change(domain, by: sign * amount, nodes: Int(sign))
    }
  }

  /// The tally's sum where the node stands; nil without the label.
  func sum(_ index: Int, _ share: Share) -> Int64? { share.domain.map { tallies[index].sums[$0] ?? 0 } }

  /// Whether the constraints let the pod onto a node that stands so. `before` is what the node adds to the sums now,
  /// where `shares` is what it would.
  func refusal(_ shares: [Share], before: [Share]? = nil) -> Refusal? {
    var affinityHeld = true
    var affinityTotal: Int64 = 0
    var hasAffinity = false
    for (index, tally) in tallies.enumerated() {
      let share = shares[index]
      let change = before.map { (share.amount ?? 0) - ($0[index].amount ?? 0) } ?? 0
      let old =
        isOwn(tally) ? share.domain.map { _ in (before ?? shares)[index].amount ?? 0 } : sum(index, share)
      let now = old.map { $0 + change }
      switch tally.role {
      case .spread(let constraint):
        guard constraint.hard else { continue }
        guard let now, let old else {
          return Refusal(
            plugin: "PodTopologySpread",
            reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
            unresolvable: true)
        }
        let least = tally.least(minDomains: constraint.minDomains, replacing: (old, now))
        if now + (constraint.matchesSelf ? 1 : 0) - least > constraint.maxSkew {
          return Refusal(
            plugin: "PodTopologySpread", reasons: ["node(s) didn't match pod topology spread constraints"])
        }
      case .affinity:
        hasAffinity = true
        affinityTotal += tally.total + change
        guard let now else { return Self.unlike }
        if now <= 0 { affinityHeld = false }
      case .antiAffinity:
        if hasAffinity, !affinityHeld, !(affinityTotal == 0 && matchesOwnAffinity) { return Self.unlike }
        if let now, now > 0 {
          return Refusal(plugin: "InterPodAffinity", reasons: ["node(s) didn't match pod anti-affinity rules"])
        }
      case .standing:
        if hasAffinity, !affinityHeld, !(affinityTotal == 0 && matchesOwnAffinity) { return Self.unlike }
        if let now, now > 0 {
          return Refusal(
            plugin: "InterPodAffinity", reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"])
        }
      case .preference: break
      }
    }
    if hasAffinity, !affinityHeld, !(affinityTotal == 0 && matchesOwnAffinity) { return Self.unlike }
    return nil
  }

  private static let unlike = Refusal(
    plugin: "InterPodAffinity", reasons: ["node(s) didn't match pod affinity rules"], unresolvable: true)

  /// Spreading's and affinity's scores of nodes that stand so, `members` of each kind, all of which can run the pod.
  func scores(_ kinds: [(shares: [Share], members: Int)], isDefault: Bool) -> (spread: [Int64], affinity: [Int64]) {
    (spreadScores(kinds, isDefault), affinityScores(kinds))
  }

  private func spreadScores(_ kinds: [(shares: [Share], members: Int)], _ isDefault: Bool) -> [Int64] {
    let soft = tallies.indices.filter {
      if case .spread(let constraint) = tallies[$0].role { !constraint.hard } else { false }
    }
    guard !soft.isEmpty else { return Array(repeating: 0, count: kinds.count) }
    let ignored = kinds.map { kind in !isDefault && soft.contains { kind.shares[$0].domain == nil } }
    let counted = kinds.indices.reduce(0) { ignored[$1] ? $0 : $0 + kinds[$1].members }
    var raw = [Double](repeating: 0, count: kinds.count)
    for index in soft {
      guard case .spread(let constraint) = tallies[index].role else { continue }
      let size: Int
      if constraint.topologyKey == Snapshot.hostname {
        size = counted
      } else {
        size = Set(kinds.indices.compactMap { ignored[$0] ? nil : kinds[$0].shares[index].domain }).count
      }
      let weight = log(Double(size + 2))
      for kind in kinds.indices where !ignored[kind] {
        guard
          let sum = isOwn(tallies[index])
            ? kinds[kind].shares[index].amount ?? 0 : sum(index, kinds[kind].shares[index])
        else { continue }
        if kinds[kind].shares[index].domain == nil { continue }
        raw[kind] += Double(sum) * weight + Double(constraint.maxSkew - 1)
      }
    }
    let rounded = raw.map { Int64($0.rounded()) }
    let seen = kinds.indices.filter { !ignored[$0] }.map { rounded[$0] }
    guard let most = seen.max(), let least = seen.min() else { return Array(repeating: 0, count: kinds.count) }
    return kinds.indices.map { ignored[$0] ? 0 : most == 0 ? 100 : 100 * (most + least - rounded[$0]) / most }
  }

  private func affinityScores(_ kinds: [(shares: [Share], members: Int)]) -> [Int64] {
    let indices = tallies.indices.filter { tallies[$0].role == .preference }
    guard !indices.isEmpty else { return Array(repeating: 0, count: kinds.count) }
    let raw = kinds.map { kind in
      indices.reduce(Int64(0)) { total, index in
        guard kind.shares[index].domain != nil else { return total }
        return total
          + (isOwn(tallies[index]) ? kind.shares[index].amount ?? 0 : sum(index, kind.shares[index]) ?? 0)
      }
    }
    guard let most = raw.max(), let least = raw.min(), most > least else {
      return Array(repeating: 0, count: kinds.count)
    }
    return raw.map { Int64(100 * (Double($0 - least) / Double(most - least))) }
  }
}
