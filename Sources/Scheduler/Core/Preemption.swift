import API

/// Finds pods whose going would let a more important one in (upstream's DefaultPreemption). It changes nothing: pods are
/// only supposed to be away while a node is looked at.
struct Preemption {
  /// The node that costs least, and who must go.
  struct Choice: Sendable {
    var node: String
    var victims: [Pod]
  }

  /// A disruption budget as far as it matters here.
  struct Budget: Sendable {
    var namespace: String
    var selector: Labels.Selector
    var allowed: Int32
    /// Pods that are counted as gone already.
    var disrupted: Set<String>

    init?(_ budget: PodDisruptionBudget) {
      guard let selector = try? budget.spec.selector?.selector(), !selector.isEmpty else { return nil }
      namespace = budget.metadata.namespace
      self.selector = selector
      allowed = budget.status.disruptionsAllowed
      disrupted = Set(budget.status.disruptedPods.keys)
    }
  }

  private struct Candidate {
    var node: String
    var victims: [PlacedPod]
    var violations: Int
  }

  let framework: Framework
  let budgets: [Budget]

  /// Tries to make room. `messages` says for each node why there is none, if there is none at all.
  func choose(
    for pod: PodInfo, isDefaulted: Bool, refusals: [String: Refusal], in snapshot: inout Snapshot,
    volumes: (@Sendable (String) -> Refusal?)?
  ) -> (choice: Choice?, messages: [String: Int]) {
    var messages: [String: Int] = [:]
    var hopeful: [String] = []
    for name in snapshot.nodes.keys.sorted() {
      if refusals[name]?.unresolvable == true || refusals[name] == nil {
        messages["Preemption is not helpful for scheduling", default: 0] += 1
      } else {
        hopeful.append(name)
      }
    }
    // Enough to choose from is enough: a tenth of the nodes, and at least a hundred.
    let enough = max(100, snapshot.nodes.count / 10)
    var candidates: [Candidate] = []
    let start = hopeful.isEmpty ? 0 : Int.random(in: 0..<hopeful.count)
    for offset in hopeful.indices where candidates.count < enough {
      let name = hopeful[(start + offset) % hopeful.count]
      if let candidate = candidate(name, pod, isDefaulted, &snapshot, volumes) {
        candidates.append(candidate)
      } else {
        messages["No preemption victims found for incoming pod", default: 0] += 1
      }
    }
    guard let best = candidates.min(by: Self.isCheaper) else { return (nil, messages) }
    return (Choice(node: best.node, victims: best.victims.map(\.pod)), messages)
  }

  private func candidate(
    _ name: String, _ pod: PodInfo, _ isDefaulted: Bool, _ snapshot: inout Snapshot,
    _ volumes: (@Sendable (String) -> Refusal?)?
  ) -> Candidate? {
    guard let info = snapshot.nodes[name] else { return nil }
    let lesser = info.pods.values.filter { $0.priority < pod.priority }
    if lesser.isEmpty { return nil }
    for other in lesser { snapshot.suppose(other, on: name, isThere: false) }
    var away = Dictionary(lesser.map { ($0.uid, $0) }, uniquingKeysWith: { a, _ in a })
    defer { for other in away.values { snapshot.suppose(other, on: name, isThere: true) } }
    guard fits(pod, isDefaulted, name, &snapshot, volumes) else { return nil }
    // The more important come back first, and before all those whose budget would suffer.
    let ordered = lesser.sorted(by: Self.isMoreImportant)
    let (violating, others) = split(ordered)
    var victims: [PlacedPod] = []
    var violations = 0
    func tryToKeep(_ other: PlacedPod) -> Bool {
      snapshot.suppose(other, on: name, isThere: true)
      if fits(pod, isDefaulted, name, &snapshot, volumes) {
        away[other.uid] = nil
        return true
      }
      snapshot.suppose(other, on: name, isThere: false)
      victims.append(other)
      return false
    }
    for other in violating where !tryToKeep(other) { violations += 1 }
    for other in others { _ = tryToKeep(other) }
    // They are back where they were: nobody is away for good.
    return victims.isEmpty
      ? nil : Candidate(node: name, victims: victims.sorted(by: Self.isMoreImportant), violations: violations)
  }

  private func fits(
    _ pod: PodInfo, _ isDefaulted: Bool, _ name: String, _ snapshot: inout Snapshot,
    _ volumes: (@Sendable (String) -> Refusal?)?
  ) -> Bool {
    guard let info = snapshot.nodes[name], framework.refusal(of: pod, on: snapshot.view(info, for: pod)) == nil
    else { return false }
    let relations = Relations(pod, &snapshot, framework, isDefaulted: isDefaulted, volumes: volumes)
    return relations.refusal(info.slot, name, pod, snapshot, framework) == nil
  }

  /// Pods whose eviction would break a budget, and the others.
  private func split(_ pods: [PlacedPod]) -> (violating: [PlacedPod], others: [PlacedPod]) {
    var left = budgets.map(\.allowed)
    var result: (violating: [PlacedPod], others: [PlacedPod]) = ([], [])
    for pod in pods {
      var violates = false
      for (index, budget) in budgets.enumerated()
      where budget.namespace == pod.key.namespace && budget.selector.matches(pod.labels)
        && !budget.disrupted.contains(pod.key.name)
      {
        left[index] -= 1
        if left[index] < 0 { violates = true }
      }
      if violates { result.violating.append(pod) } else { result.others.append(pod) }
    }
    return result
  }

  /// By priority, then by age.
  private static func isMoreImportant(_ a: PlacedPod, _ b: PlacedPod) -> Bool {
    if a.priority != b.priority { return a.priority > b.priority }
    return start(a) < start(b)
  }

  private static func start(_ pod: PlacedPod) -> Time { pod.pod.status.startTime ?? pod.pod.metadata.creationTimestamp }

  /// Upstream's order: broken budgets, the most important victim, the sum of priorities, the number of victims, and then
  /// rather those who began last.
  private static func isCheaper(_ a: Candidate, _ b: Candidate) -> Bool {
    if a.violations != b.violations { return a.violations < b.violations }
    let (highA, highB) = (a.victims[0].priority, b.victims[0].priority)
    if highA != highB { return highA < highB }
    func sum(_ candidate: Candidate) -> Int64 {
      candidate.victims.reduce(0) { $0 + Int64($1.priority) + Int64(Int32.max) + 1 }
    }
    let (sumA, sumB) = (sum(a), sum(b))
    if sumA != sumB { return sumA < sumB }
    if a.victims.count != b.victims.count { return a.victims.count < b.victims.count }
    func earliest(_ candidate: Candidate) -> Time {
      candidate.victims.prefix { $0.priority == candidate.victims[0].priority }.map(start).min() ?? Time()
    }
    let (timeA, timeB) = (earliest(a), earliest(b))
    return timeA == timeB ? a.node < b.node : timeA > timeB
  }
}
