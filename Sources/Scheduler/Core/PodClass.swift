import API
import HeapModule

/// Everything about a pod that filters and scores look at. Pods with equal classes fit the same nodes equally well.
/// Labels are in it only as far as something selects by them, so that pods with labels of their own share a class.
struct PodClassKey: Hashable, Sendable {
  /// Profiles judge differently.
  var schedulerName: String
  var requests: Resources
  var nonZeroRequests: Resources
  var hostPorts: Set<HostPort>
  var nodeName: String
  var nodeSelector: [String: String]
  var nodeAffinity: API.NodeAffinity?
  var tolerations: [Toleration]
  var images: [String]
  var namespace = ""
  var spread: [SpreadConstraint]
  var affinity: [PodTerm]
  var antiAffinity: [PodTerm]
  var preferred: [StandingTerm]
  var matchesOwnAffinity = false
  /// Numbers of the placed pods' terms that select the pod.
  var standing: [Int]

  init(_ info: PodInfo, _ snapshot: Snapshot) {
    schedulerName = info.pod.spec.schedulerName
    requests = info.requests
    nonZeroRequests = info.nonZeroRequests
    hostPorts = info.hostPorts
    nodeName = info.pod.spec.nodeName
    nodeSelector = info.pod.spec.nodeSelector
    nodeAffinity = info.pod.spec.affinity?.nodeAffinity
    tolerations = info.pod.spec.tolerations
    images = ImageLocality.images(of: info.pod).filter { snapshot.imageNodes[$0] != nil }
    spread = info.spread
    if !spread.isEmpty { namespace = info.labelSet.namespace }
    affinity = info.affinity
    antiAffinity = info.antiAffinity
    preferred = info.preferred
    if !affinity.isEmpty {
      matchesOwnAffinity = affinity.allSatisfy { $0.matches(info.labelSet, snapshot.namespaceLabels) }
    }
    standing = snapshot.terms.values.compactMap {
      $0.value.term.matches(info.labelSet, snapshot.namespaceLabels) ? $0.key : nil
    }.sorted()
  }
}

/// What is remembered for one class: the nodes that fit, and why the others do not. A node is looked at again only when
/// the snapshot's log says that it changed, so the next pod of the class costs the nodes changed since the last.
///
/// Nodes are grouped by all that decides about them in relation to others: their topology domains and the scores that
/// are measured against other nodes' scores. Within a group, one node's own score orders the nodes for good; between
/// groups, a decision is made anew for each pod, and there are few of them.
struct PodClass: Sendable {
  private struct Candidate: Comparable, Sendable {
    var score: Int64
    /// Breaks ties by chance, so that equal nodes share the load.
    var lot: UInt32
    var node: String
    var generation: UInt64

    static func < (a: Candidate, b: Candidate) -> Bool { (a.score, a.lot) < (b.score, b.lot) }
  }

  private struct Group: Sendable {
    var shares: [Topology.Share]
    var measures: [Int64]
    var members = 0
    var candidates = Heap<Candidate>()
  }

  fileprivate struct Record: Sendable {
    var group: [Int64]?
    var shares: [Topology.Share] = []
    var refusal: Refusal?
  }

  private(set) var topology: Topology
  private var groups: [[Int64]: Group] = [:]
  private var records: [String: Record] = [:]
  private var candidateCount = 0
  private var position: UInt64?
  /// Nodes judged so far: a measure of the work that does not depend on the machine.
  private(set) var looks = 0
  private let epoch: UInt64
  /// Refusals counted, so that a message costs nothing per node.
  private(set) var reasons: [String: Int] = [:]
  private(set) var refusers: [String: Int] = [:]
  private(set) var unresolvable = 0
  private var late: [String: Refusal] = [:]
  private let measured: [any ScorePlugin]
  private let direct: [any ScorePlugin]
  private let images: ImageLocality?
  private let spreadWeight: Int64
  private let affinityWeight: Int64

  init(_ pod: PodInfo, _ key: PodClassKey, _ snapshot: Snapshot, _ framework: Framework) {
    topology = Topology(pod, snapshot, framework, standing: key.standing)
    epoch = snapshot.epoch
    measured = framework.score.filter { $0.needsNormalizing(pod) }
    direct = framework.score.filter { !$0.needsNormalizing(pod) }
    images = key.images.isEmpty ? nil : framework.images
    spreadWeight = framework.spreadWeight
    affinityWeight = framework.affinityWeight
  }

  func isCurrent(_ snapshot: Snapshot) -> Bool { epoch == snapshot.epoch }

  /// The best node for the pod among those that `accepts` has nothing against.
  mutating func best(
    for pod: PodInfo, in snapshot: Snapshot, framework: Framework, random: inout some RandomNumberGenerator,
    accepts: (NodeInfo) -> Refusal?
  ) -> String? {
    refresh(pod, snapshot, framework, &random)
    late = [:]
    var open: [[Int64]] = []
    for (key, group) in groups where !topology.hasFilters || topology.refusal(group.shares) == nil { open.append(key) }
    let totals = weigh(open, pod, snapshot)
    var aside: [([Int64], Candidate)] = []
    defer {
      for (key, candidate) in aside {
        groups[key]?.candidates.insert(candidate)
        candidateCount += 1
      }
    }
    while true {
      var best: (total: Int64, candidate: Candidate, key: [Int64])?
      for (index, key) in open.enumerated() {
        guard let candidate = top(key, snapshot) else { continue }
        let total = totals[index] + candidate.score
        if let best, (total, candidate.lot) <= (best.total, best.candidate.lot) { continue }
        best = (total, candidate, key)
      }
      guard let best, let info = snapshot.nodes[best.candidate.node] else { return nil }
      guard let refusal = accepts(info) else { return best.candidate.node }
      late[best.candidate.node] = refusal
      _ = groups[best.key]?.candidates.popMax()
      candidateCount -= 1
      aside.append((best.key, best.candidate))
    }
  }

  /// Every node for the pod that `accepts` has nothing against, with its score.
  mutating func all(
    for pod: PodInfo, in snapshot: Snapshot, framework: Framework, random: inout some RandomNumberGenerator,
    accepts: (NodeInfo) -> Refusal?
  ) -> [(node: String, score: Int64)] {
    refresh(pod, snapshot, framework, &random)
    late = [:]
    var open: [[Int64]] = []
    for (key, group) in groups where !topology.hasFilters || topology.refusal(group.shares) == nil { open.append(key) }
    let totals = weigh(open, pod, snapshot)
    var result: [(node: String, score: Int64)] = []
    for (index, key) in open.enumerated() {
      for candidate in groups[key]?.candidates.unordered ?? [] {
        guard let info = snapshot.nodes[candidate.node], info.generation == candidate.generation else { continue }
        if let refusal = accepts(info) {
          late[candidate.node] = refusal
        } else {
          result.append((candidate.node, totals[index] + candidate.score))
        }
      }
    }
    return result
  }

  /// Whether one node, which was nominated for the pod, can run it.
  func fits(_ node: String) -> Bool {
    guard let record = records[node], record.group != nil else { return false }
    return topology.refusal(record.shares) == nil
  }

  private mutating func top(_ key: [Int64], _ snapshot: Snapshot) -> Candidate? {
    while let top = groups[key]?.candidates.max {
      if let info = snapshot.nodes[top.node], info.generation == top.generation { return top }
      _ = groups[key]?.candidates.popMax()
      candidateCount -= 1
    }
    return nil
  }

  /// What each group's nodes gain by the scores that are measured against others'.
  private func weigh(_ open: [[Int64]], _ pod: PodInfo, _ snapshot: Snapshot) -> [Int64] {
    guard open.count > 1 else { return [0] }
    let kinds = open.compactMap { groups[$0] }
    var totals = [Int64](repeating: 0, count: open.count)
    for (index, plugin) in measured.enumerated() {
      var scores = kinds.map { $0.measures[index] }
      plugin.normalize(&scores)
      for kind in totals.indices { totals[kind] += plugin.weight * scores[kind] }
    }
    if let images {
      for kind in totals.indices {
        totals[kind] += images.weight * images.score(kinds[kind].measures[measured.count...], pod.pod, snapshot)
      }
    }
    if !topology.isEmpty {
      let scores = topology.scores(kinds.map { ($0.shares, $0.members) }, isDefault: pod.spreadIsDefault)
      for kind in totals.indices {
        totals[kind] += spreadWeight * scores.spread[kind] + affinityWeight * scores.affinity[kind]
      }
    }
    return totals
  }

  mutating func refresh(
    _ pod: PodInfo, _ snapshot: Snapshot, _ framework: Framework, _ random: inout some RandomNumberGenerator
  ) {
    defer { position = snapshot.logEnd }
    if let position, let changed = snapshot.changes(since: position), changed.count <= snapshot.nodes.count {
      if changed.count == 1, let name = changed.first {
        evaluate(name, pod, snapshot, framework, &random)
      } else if !changed.isEmpty {
        for name in Set(changed) { evaluate(name, pod, snapshot, framework, &random) }
      }
      // Stale candidates below the top are only dropped when they surface; rebuild before they outnumber the nodes.
      guard candidateCount > 3 * snapshot.nodes.count + 64 else { return }
    }
    let known = Array(records.keys)
    groups = [:]
    candidateCount = 0
    for name in known { forget(name) }
    for name in snapshot.nodes.keys { evaluate(name, pod, snapshot, framework, &random) }
  }

  private mutating func forget(_ name: String) {
    guard let old = records.removeValue(forKey: name) else { return }
    if !topology.isEmpty { topology.add(old.shares, -1) }
    if let key = old.group, let left = groups[key]?.members {
      groups[key]?.members = left - 1
      if left <= 1 {
        candidateCount -= groups[key]?.candidates.count ?? 0
        groups[key] = nil
      }
    }
    if let refusal = old.refusal { count(refusal, -1) }
  }

  private mutating func count(_ refusal: Refusal, _ step: Int) {
    for reason in refusal.reasons { Self.count(reason, step, &reasons) }
    Self.count(refusal.plugin, step, &refusers)
    if refusal.unresolvable { unresolvable += step }
  }

  private static func count(_ key: String, _ step: Int, _ counts: inout [String: Int]) {
    let count = (counts[key] ?? 0) + step
    counts[key] = count > 0 ? count : nil
  }

  private mutating func evaluate(
    _ name: String, _ pod: PodInfo, _ snapshot: Snapshot, _ framework: Framework,
    _ random: inout some RandomNumberGenerator
  ) {
    looks += 1
    forget(name)
    guard let info = snapshot.nodes[name] else { return }
    var record = Record()
    if !topology.isEmpty {
      record.shares = topology.shares(of: info, for: pod, snapshot)
      topology.add(record.shares, 1)
    }
    if let refusal = framework.refusal(of: pod, on: info) {
      record.refusal = refusal
      count(refusal, 1)
    } else {
      var measures = measured.map { $0.score(pod, info) }
      if images != nil { measures += ImageLocality.measures(of: pod.pod, on: info.node) }
      var key = measures
      for (index, share) in record.shares.enumerated() {
        if topology.isOwn(topology.tallies[index]) {
          key.append(share.domain == nil ? .min : share.amount ?? -1)
        } else {
          key.append(share.domain ?? -1)
        }
      }
      record.group = key
      let score = direct.reduce(Int64(0)) { $0 + $1.weight * $1.score(pod, info) }
      groups[key, default: Group(shares: record.shares, measures: measures)].members += 1
      groups[key]?.candidates.insert(
        Candidate(
          score: score, lot: UInt32.random(in: 0...UInt32.max, using: &random), node: name, generation: info.generation
        ))
      candidateCount += 1
    }
    records[name] = record
  }

  /// After a vain search: all reasons and who gave them, counted.
  func verdict() -> (reasons: [String: Int], refusers: Set<String>, unresolvable: Int) {
    var counts = reasons
    var names = Set(refusers.keys)
    var fixed = unresolvable
    for group in groups.values {
      guard topology.hasFilters, let refusal = topology.refusal(group.shares) else { continue }
      for reason in refusal.reasons { counts[reason, default: 0] += group.members }
      names.insert(refusal.plugin)
      if refusal.unresolvable { fixed += group.members }
    }
    for refusal in late.values {
      for reason in refusal.reasons { counts[reason, default: 0] += 1 }
      names.insert(refusal.plugin)
      if refusal.unresolvable { fixed += 1 }
    }
    return (counts, names, fixed)
  }

  /// The nodes where other pods stand in the way rather than the node itself.
  func resolvableNodes() -> [String] {
    var openGroups: [[Int64]: Bool] = [:]
    for (key, group) in groups {
      openGroups[key] = !(topology.hasFilters && topology.refusal(group.shares)?.unresolvable ?? false)
    }
    return records.compactMap { name, record in
      if let refusal = record.refusal { return refusal.unresolvable ? nil : name }
      if let refusal = late[name] { return refusal.unresolvable ? nil : name }
      return record.group.flatMap { openGroups[$0] } ?? false ? name : nil
    }
  }

  /// What tells whether the pod would fit a node that were otherwise than the snapshot has it.
  struct Checker: Sendable {
    fileprivate var topology: Topology
    fileprivate let records: [String: Record]

    mutating func refusal(
      of pod: PodInfo, on node: NodeInfo, _ snapshot: Snapshot, _ framework: Framework
    ) -> Refusal? {
      if let refusal = framework.refusal(of: pod, on: node) { return refusal }
      guard topology.hasFilters, let before = records[node.node.metadata.name]?.shares else { return nil }
      return topology.refusal(topology.shares(of: node, for: pod, snapshot), before: before)
    }
  }

  var checker: Checker { Checker(topology: topology, records: records) }
}

extension Framework {
  /// The first filter's refusal.
  func refusal(of pod: PodInfo, on node: NodeInfo) -> Refusal? {
    for plugin in filter {
      if let refusal = plugin.filter(pod, node) { return refusal }
    }
    return nil
  }
}
