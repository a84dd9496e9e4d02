import API

/// Keeps pods near others, or away from them, as they ask or the others do.
struct InterPodAffinity: Sendable {
  static let name = "InterPodAffinity"
  static let weight: Int64 = 2
  /// What the required affinity of a pod that is there counts for one that comes.
  static let hardWeight: Int64 = 1

  private struct Table {
    var ofSlot: [Int32]
    var values: [Int64]

    func value(_ slot: Int) -> Int64 {
      let domain = ofSlot[slot]
      return domain < 0 ? 0 : values[Int(domain)]
    }
  }

  private var wanted: [Table] = []
  /// Nobody is there yet that the pod wants to be near, and it is itself of that kind: it may be the first.
  private var mayBeFirst = false
  private var shunned: [Table] = []
  private var forbidden: [Table] = []
  private var preferences: [Table] = []

  /// Nil where neither the pod nor any other has anything to say.
  init?(_ pod: PodInfo, _ snapshot: inout Snapshot) {
    let terms = pod.terms
    let (namespace, labels) = (pod.pod.metadata.namespace, pod.pod.metadata.labels)
    for (carried, counts) in snapshot.topology.carried where carried.term.query.matches(namespace, labels) {
      let domains = snapshot.domains(carried.term.topologyKey)
      switch carried.kind {
      case .forbids: forbidden.append(Self.table(domains, counts, 1))
      case .attracts: preferences.append(Self.table(domains, counts, Self.hardWeight))
      case .prefers: preferences.append(Self.table(domains, counts, carried.term.weight))
      }
    }
    for term in terms.antiAffinity {
      shunned.append(Self.table(snapshot.domains(term.topologyKey), snapshot.count(term.query), 1))
    }
    for term in terms.preferred {
      preferences.append(
        Self.table(snapshot.domains(term.topologyKey), snapshot.count(term.query), term.weight))
    }
    if let first = terms.affinity.first {
      // A pod counts only if it is one that all terms are about.
      var all = first.query
      for term in terms.affinity.dropFirst() {
        all.namespaces.formIntersection(term.query.namespaces)
        all.selector = all.selector.adding(term.query.selector.requirements)
      }
      let counts = snapshot.count(all)
      wanted = terms.affinity.map { Self.table(snapshot.domains($0.topologyKey), counts, 1) }
      mayBeFirst =
        wanted.allSatisfy { $0.values.allSatisfy { $0 == 0 } }
        && terms.affinity.allSatisfy { $0.query.matches(namespace, labels) }
    }
    if wanted.isEmpty, shunned.isEmpty, forbidden.isEmpty, preferences.isEmpty { return nil }
  }

  private static func table(_ domains: TopologyIndex.Domains, _ counts: [Int32], _ weight: Int64) -> Table {
    var values = [Int64](repeating: 0, count: domains.count)
    for (slot, domain) in domains.ofSlot.enumerated() where domain >= 0 && slot < counts.count && counts[slot] != 0 {
      values[Int(domain)] += Int64(counts[slot]) * weight
    }
    return Table(ofSlot: domains.ofSlot, values: values)
  }

  func refusal(_ slot: Int) -> Refusal? {
    let isNear = wanted.allSatisfy { $0.ofSlot[slot] >= 0 && (mayBeFirst || $0.value(slot) > 0) }
    if !isNear {
      return Refusal(
        plugin: Self.name, reasons: ["node(s) didn't match pod affinity rules"], unresolvable: true)
    }
    if shunned.contains(where: { $0.value(slot) > 0 }) {
      return Refusal(plugin: Self.name, reasons: ["node(s) didn't match pod anti-affinity rules"])
    }
    if forbidden.contains(where: { $0.value(slot) > 0 }) {
      return Refusal(plugin: Self.name, reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"])
    }
    return nil
  }

  var prefers: Bool { !preferences.isEmpty }

  /// From 0 to 100 for each of the slots, in relation to each other.
  func scores(_ slots: [Int]) -> [Int64] {
    let sums = slots.map { slot in preferences.reduce(Int64(0)) { $0 + $1.value(slot) } }
    guard let low = sums.min(), let high = sums.max(), high > low else {
      return [Int64](repeating: 0, count: slots.count)
    }
    return sums.map { 100 * ($0 - low) / (high - low) }
  }
}
