import API

/// How pods that somebody asks about are spread over nodes, kept current pod by pod. Nodes are known by small numbers,
/// their slots, so that a pass over all of them reads arrays.
struct TopologyIndex: Sendable {
  /// The values of one node label: which each slot has, by number.
  struct Domains: Sendable {
    /// -1: the node does not have the label.
    var ofSlot: [Int32] = []
    private var numbers: [String: Int32] = [:]

    var count: Int { numbers.count }

    mutating func set(_ slot: Int, _ value: String?) {
      while ofSlot.count <= slot { ofSlot.append(-1) }
      guard let value else {
        ofSlot[slot] = -1
        return
      }
      if let known = numbers[value] {
        ofSlot[slot] = known
      } else {
        ofSlot[slot] = Int32(numbers.count)
        numbers[value] = ofSlot[slot]
      }
    }
  }

  /// A term that placed pods carry, and that concerns pods which come later.
  struct Carried: Hashable, Sendable {
    enum Kind: Hashable, Sendable { case forbids, attracts, prefers }
    var kind: Kind
    var term: AffinityTerm
  }

  private(set) var slots: [String: Int] = [:]
  private(set) var names: [String?] = []
  private var free: [Int] = []
  private var labels: [[String: String]] = []
  private var domains: [String: Domains] = [:]
  private var counts: [PodQuery: [Int32]] = [:]
  private(set) var carried: [Carried: [Int32]] = [:]
  private static let maxQueries = 1024

  var slotCount: Int { names.count }

  // MARK: Nodes

  mutating func set(_ name: String, _ nodeLabels: [String: String]) -> Int {
    let slot: Int
    if let known = slots[name] {
      slot = known
      if labels[slot] == nodeLabels { return slot }
    } else {
      slot = free.popLast() ?? names.count
      if slot == names.count {
        names.append(nil)
        labels.append([:])
        for key in Array(counts.keys) { counts[key]?.append(0) }
        for key in Array(carried.keys) { carried[key]?.append(0) }
      }
      slots[name] = slot
      names[slot] = name
    }
    labels[slot] = nodeLabels
    for key in Array(domains.keys) { domains[key]?.set(slot, nodeLabels[key]) }
    return slot
  }

  mutating func remove(_ name: String) {
    guard let slot = slots.removeValue(forKey: name) else { return }
    names[slot] = nil
    labels[slot] = [:]
    free.append(slot)
    for key in Array(domains.keys) { domains[key]?.set(slot, nil) }
    for key in Array(counts.keys) { counts[key]?[slot] = 0 }
    for key in Array(carried.keys) { carried[key]?[slot] = 0 }
  }

  // MARK: Pods

  mutating func add(_ pod: PlacedPod, _ slot: Int) { change(pod, slot, 1) }
  mutating func subtract(_ pod: PlacedPod, _ slot: Int) { change(pod, slot, -1) }

  private mutating func change(_ pod: PlacedPod, _ slot: Int, _ delta: Int32) {
    if !counts.isEmpty {
      for index in counts.indices {
        let key = counts.keys[index]
        guard key.matches(pod.key.namespace, pod.labels, isTerminating: pod.isTerminating) else { continue }
        counts.values[index][slot] += delta
      }
    }
    guard let terms = pod.terms else { return }
    func carry(_ kind: Carried.Kind, _ term: AffinityTerm) {
      let key = Carried(kind: kind, term: term)
      carried[key, default: [Int32](repeating: 0, count: names.count)][slot] += delta
      if delta < 0, carried[key]?.allSatisfy({ $0 == 0 }) == true { carried[key] = nil }
    }
    for term in terms.antiAffinity { carry(.forbids, term) }
    for term in terms.affinity { carry(.attracts, term) }
    for term in terms.preferred { carry(.prefers, term) }
  }

  // MARK: Questions

  /// The values of a label, by slot.
  mutating func domains(_ key: String) -> Domains {
    if let known = domains[key] { return known }
    var made = Domains()
    for slot in names.indices { made.set(slot, labels[slot][key]) }
    domains[key] = made
    return made
  }

  /// How many pods match, by slot. The first question of a kind looks at every pod.
  mutating func count(_ query: PodQuery, nodes: [String: NodeInfo]) -> [Int32] {
    if let known = counts[query] { return known }
    if counts.count >= Self.maxQueries { counts = [:] }
    var made = [Int32](repeating: 0, count: names.count)
    for (name, info) in nodes {
      guard let slot = slots[name] else { continue }
      for pod in info.pods.values
      where query.matches(pod.key.namespace, pod.labels, isTerminating: pod.isTerminating) {
        made[slot] += 1
      }
    }
    counts[query] = made
    return made
  }
}
