import API
import APIMachinery

/// Making room for a pod by evicting less important ones (upstream's DefaultPreemption).
enum Preemption {
  /// The node that costs least, and who must go.
  struct Choice: Sendable {
    var node: String
    var victims: [Pod]
  }
}

extension SchedulerCore {
  /// Upstream's `MoreImportantPod`: the higher priority, then the longer run.
  private static func isMoreImportant(_ a: PlacedPod, _ b: PlacedPod) -> Bool {
    if a.priority != b.priority { return a.priority > b.priority }
    return startTime(a) < startTime(b)
  }

  private static func startTime(_ pod: PlacedPod) -> Time {
    pod.pod.status.startTime ?? pod.pod.metadata.creationTimestamp
  }

  private struct Candidate {
    var node: String
    var victims: [PlacedPod]
    var violations: Int
  }

  /// Looks for the node where room costs least. Answers what to do, or why nothing helps.
  mutating func preempt(
    _ info: PodInfo, _ podClass: PodClass, unresolvable: Int, budgets: [Budget],
    accepts: (NodeInfo, Snapshot) -> Refusal?
  ) -> (choice: Preemption.Choice?, message: String) {
    let total = snapshot.nodes.count
    let framework = framework(of: info.pod)
    if info.pod.spec.preemptionPolicy == "Never" { return (nil, "not eligible due to preemptionPolicy=Never.") }
    if let promised = nominations[info.pod.metadata.uid]?.node, let node = snapshot.nodes[promised],
      node.pods.values.contains(where: {
        $0.priority < info.priority && $0.pod.metadata.deletionTimestamp != nil
      })
    {
      return (nil, "not eligible due to terminating pod on the nominated node.")
    }
    var counts: [String: Int] = [:]
    if unresolvable > 0 { counts["Preemption is not helpful for scheduling"] = unresolvable }
    func message() -> String {
      "0/\(total) nodes are available: "
        + counts.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ") + "."
    }
    let none = "No preemption victims found for incoming pod"
    guard snapshot.priorities.keys.contains(where: { $0 < info.priority }) else {
      if total > unresolvable { counts[none] = total - unresolvable }
      return (nil, message())
    }
    let names = podClass.resolvableNodes()
    var checker = podClass.checker
    guard !names.isEmpty else { return (nil, message()) }
    let wanted = min(names.count, max(framework.minCandidatesAbsolute, total * framework.minCandidatesPercentage / 100))
    let offset = Int.random(in: 0..<names.count, using: &random)
    var found: [Candidate] = []
    for step in names.indices where found.count < wanted {
      guard let node = snapshot.nodes[names[(offset + step) % names.count]] else { continue }
      let trial = tryOn(node, info, &checker, budgets, accepts)
      if let candidate = trial.candidate { found.append(candidate) }
      for reason in trial.reasons { counts[reason, default: 0] += 1 }
      // Nothing is cheaper than one victim of the lowest priority there is, without a budget harmed.
      if let candidate = found.last, candidate.violations == 0, candidate.victims.count == 1,
        candidate.victims[0].priority == snapshot.priorities.keys.min(), found.count >= 8
      {
        break
      }
    }
    guard let best = Self.cheapest(found) else { return (nil, message()) }
    nominations[info.pod.metadata.uid] = Nomination(node: best.node, pod: PlacedPod(info))
    return (Preemption.Choice(node: best.node, victims: best.victims.map(\.pod)), message())
  }

  /// Pods that are less important than one that has just been given a node lose their claim to it.
  mutating func outrankedNominations(by pod: Pod, on node: String) -> [Pod] {
    let priority = pod.spec.priority ?? 0
    let lesser = nominations.values.filter { $0.node == node && $0.pod.priority < priority }
    for other in lesser { nominations[other.pod.uid] = nil }
    return lesser.map(\.pod.pod)
  }

  /// Takes all less important pods away and puts back, in order of importance, those that need not go.
  private func tryOn(
    _ node: NodeInfo, _ info: PodInfo, _ checker: inout PodClass.Checker, _ budgets: [Budget],
    _ accepts: (NodeInfo, Snapshot) -> Refusal?
  ) -> (candidate: Candidate?, reasons: [String]) {
    let possible = node.pods.values.filter { $0.priority < info.priority }
    if possible.isEmpty { return (nil, ["No preemption victims found for incoming pod"]) }
    let framework = framework(of: info.pod)
    var trial = node
    for nomination in nominations.values
    where nomination.node == node.node.metadata.name && nomination.pod.priority >= info.priority
      && nomination.pod.uid != info.pod.metadata.uid
    {
      trial.add(nomination.pod)
    }
    for pod in possible { trial.remove(pod.uid) }
    if let refusal = checker.refusal(of: info, on: trial, snapshot, framework) ?? accepts(trial, snapshot) {
      return (nil, refusal.reasons)
    }
    let (violating, harmless) = Self.split(possible.sorted(by: Self.isMoreImportant), by: budgets)
    var victims: [PlacedPod] = []
    var violations = 0
    func reprieve(_ pod: PlacedPod) -> Bool {
      trial.add(pod)
      if checker.refusal(of: info, on: trial, snapshot, framework) ?? accepts(trial, snapshot) == nil { return true }
      trial.remove(pod.uid)
      victims.append(pod)
      return false
    }
    for pod in violating where !reprieve(pod) { violations += 1 }
    for pod in harmless { _ = reprieve(pod) }
    victims.sort(by: Self.isMoreImportant)
    return (Candidate(node: node.node.metadata.name, victims: victims, violations: violations), [])
  }

  /// Pods whose eviction a disruption budget does not allow, and the others.
  private static func split(_ pods: [PlacedPod], by budgets: [Budget]) -> (
    violating: [PlacedPod], harmless: [PlacedPod]
  ) {
    if budgets.isEmpty { return ([], pods) }
    var allowed = budgets.map(\.allowed)
    var violating: [PlacedPod] = []
    var harmless: [PlacedPod] = []
    for pod in pods {
      var breaks = false
      if !pod.labels.labels.isEmpty {
        for (index, budget) in budgets.enumerated() where budget.matches(pod) {
          allowed[index] -= 1
          if allowed[index] < 0 { breaks = true }
        }
      }
      if breaks { violating.append(pod) } else { harmless.append(pod) }
    }
    return (violating, harmless)
  }

  /// Upstream's order: budgets broken, the most important victim, the sum of priorities, how many, and last the latest
  /// start of the most important.
  private static func cheapest(_ candidates: [Candidate]) -> Candidate? {
    candidates.min { a, b in
      if a.violations != b.violations { return a.violations < b.violations }
      let (first, second) = (a.victims.first?.priority ?? .min, b.victims.first?.priority ?? .min)
      if first != second { return first < second }
      let (sumA, sumB) = (priorities(a), priorities(b))
      if sumA != sumB { return sumA < sumB }
      if a.victims.count != b.victims.count { return a.victims.count < b.victims.count }
      return earliestStart(a) > earliestStart(b)
    }
  }

  private static func priorities(_ candidate: Candidate) -> Int64 {
    candidate.victims.reduce(0) { $0 + Int64($1.priority) + Int64(Int32.max) + 1 }
  }

  private static func earliestStart(_ candidate: Candidate) -> Time {
    candidate.victims.filter { $0.priority == candidate.victims.first?.priority }.map(startTime).min() ?? .now
  }
}

/// A pod that waits for its victims to leave a node.
struct Nomination: Sendable {
  var node: String
  var pod: PlacedPod
}

/// What a PodDisruptionBudget allows at the moment.
struct Budget: Sendable {
  var namespace: String
  var selector: Labels.Selector
  var allowed: Int32
  /// Pods whose eviction is already counted.
  var disrupted: Set<String>

  init(_ budget: PodDisruptionBudget) {
    namespace = budget.metadata.namespace
    selector = (try? budget.spec.selector.selector()) ?? .nothing
    if selector.isEmpty { selector = .nothing }
    allowed = budget.status.disruptionsAllowed
    disrupted = Set(budget.status.disruptedPods.keys)
  }

  func matches(_ pod: PlacedPod) -> Bool {
    namespace == pod.labels.namespace && selector.matches(pod.labels.labels)
      && !disrupted.contains(pod.pod.metadata.name)
  }
}
