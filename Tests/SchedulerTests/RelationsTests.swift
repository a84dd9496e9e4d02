import API
import Testing

@testable import Scheduler

/// Nodes `zone-number`, labelled with zone and name.
func makeZonedNode(_ zone: String, _ number: Int, cpu: Int64 = 4000) -> Node {
  var node = makeNode("\(zone)-\(number)", cpu: cpu)
  node.metadata.labels["topology.kubernetes.io/zone"] = zone
  return node
}

func selector(_ labels: [String: String]) -> LabelSelector {
  var selector = LabelSelector()
  selector.matchLabels = labels
  return selector
}

func spread(_ key: String, skew: Int32 = 1, required: Bool = true, app: String = "web") -> TopologySpreadConstraint {
  TopologySpreadConstraint {
    $0.topologyKey = key
    $0.maxSkew = skew
    $0.whenUnsatisfiable = required ? "DoNotSchedule" : "ScheduleAnyway"
    $0.labelSelector = selector(["app": app])
  }
}

func near(_ key: String, app: String) -> PodAffinityTerm {
  PodAffinityTerm {
    $0.topologyKey = key
    $0.labelSelector = selector(["app": app])
  }
}

let zone = "topology.kubernetes.io/zone"
let hostname = "kubernetes.io/hostname"

@Suite struct RelationsTests {
  private func core(_ nodes: [Node]) -> SchedulerCore {
    var core = SchedulerCore(random: Seeded(state: 7))
    for node in nodes { core.nodeChanged(node, now: 0) }
    return core
  }

  private func nodes(_ zones: [String: Int]) -> [Node] {
    zones.flatMap { zone, count in (0..<count).map { makeZonedNode(zone, $0) } }
  }

  private func place(_ core: inout SchedulerCore, _ pods: [Pod], now: Double = 0) -> [String: String] {
    for pod in pods { core.podChanged(pod, now: now) }
    var placed: [String: String] = [:]
    while let decision = core.next(now: now, .init(volumes: { _ in .anywhere })) {
      if case .place(let pod, let node) = decision { placed[pod.metadata.name] = node }
    }
    return placed
  }

  private func message(_ core: inout SchedulerCore, _ pod: Pod, now: Double = 0) -> String? {
    core.podChanged(pod, now: now)
    guard case .refuse(_, let message, _)? = core.next(now: now, .init(volumes: { _ in .anywhere })) else { return nil }
    return message
  }

  private func web(_ name: String, _ change: (inout Pod) -> Void = { _ in }) -> Pod {
    var pod = makePod(name)
    pod.metadata.labels = ["app": "web"]
    change(&pod)
    return pod
  }

  @Test func zonesGetEqualShares() {
    var core = core(nodes(["a": 1, "b": 3, "c": 2]))
    let placed = place(
      &core, (0..<9).map { index in web("p\(index)") { $0.spec.topologySpreadConstraints = [spread(zone)] } })
    let counts = Dictionary(grouping: placed.values) { $0.prefix(1) }.mapValues(\.count)
    #expect(counts == ["a": 3, "b": 3, "c": 3])
  }

  @Test func whatWouldLeanTooFarIsRefused() {
    var core = core([makeZonedNode("a", 0), makeZonedNode("b", 0, cpu: 50), makeNode("bare")])
    let constrained = { (name: String) in self.web(name) { $0.spec.topologySpreadConstraints = [spread(zone)] } }
    #expect(place(&core, [constrained("one")]) == ["one": "a-0"])
    #expect(
      message(&core, constrained("two"))
        == "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints, 1 "
        + "node(s) didn't match pod topology spread constraints (missing required label). preemption: 0/3 nodes are "
        + "available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.")
    // A node that could take it changes that.
    core.nodeChanged(makeZonedNode("b", 1), now: 20)
    _ = core.flush(now: 20)
    guard case .place(_, let node)? = core.next(now: 20, .init(volumes: { _ in .anywhere })) else {
      Issue.record("not placed")
      return
    }
    #expect(node == "b-1")
  }

  @Test func tooFewDomainsCountAsEmptyOnes() {
    var core = core(nodes(["a": 2]))
    let pod = { (name: String) in
      self.web(name) {
        var constraint = spread(zone)
        constraint.minDomains = 2
        $0.spec.topologySpreadConstraints = [constraint]
      }
    }
    #expect(place(&core, [pod("one"), pod("two")]).count == 1)
  }

  @Test func preferencesSpreadTheUnconstrained() {
    var core = core(nodes(["a": 2, "b": 2]))
    for index in 0..<4 { core.podChanged(web("p\(index)"), now: 0) }
    var zones: [String] = []
    let workload = try? selector(["app": "web"]).selector()
    while let decision = core.next(now: 0, .init(volumes: { _ in .anywhere }, workload: { _ in workload })) {
      if case .place(_, let node) = decision { zones.append(node) }
    }
    #expect(Set(zones).count == 4)
  }

  @Test func podsStayApartWhenOneOfThemAsks() {
    var core = core(nodes(["a": 2]))
    let shy = web("shy") {
      $0.spec.affinity = Affinity {
        $0.podAntiAffinity = PodAntiAffinity {
          $0.requiredDuringSchedulingIgnoredDuringExecution = [near(hostname, app: "web")]
        }
      }
    }
    let first = place(&core, [shy])["shy"]
    // The other does not mind, but the first does.
    let second = place(&core, [web("bold")])["bold"]
    #expect(first != nil && second != nil && first != second)
    #expect(
      message(&core, web("third"))?.contains("1 node(s) didn't satisfy existing pods anti-affinity rules") != true)
    var crowded = shy
    crowded.metadata.name = "crowded"
    crowded.metadata.uid = "crowded"
    #expect(
      message(&core, crowded)?.hasPrefix("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.")
        == true)
  }

  @Test func podsKeepCompany() {
    var core = core(nodes(["a": 3, "b": 3]))
    let friend = { (name: String, of: String) in
      self.web(name) {
        $0.metadata.labels = ["app": name.hasPrefix("db") ? "db" : "web"]
        $0.spec.affinity = Affinity {
          $0.podAffinity = PodAffinity {
            $0.requiredDuringSchedulingIgnoredDuringExecution = [near(zone, app: of)]
          }
        }
      }
    }
    #expect(
      message(&core, friend("lonely", "db"))?.hasPrefix(
        "0/6 nodes are available: 6 node(s) didn't match pod affinity rules.") == true)
    // The first of a kind that wants its own company may begin anywhere.
    let home = place(&core, [friend("db-0", "db")])["db-0"]?.prefix(1)
    #expect(home != nil)
    let company = place(&core, [friend("db-1", "db"), friend("web-0", "db"), friend("web-1", "db")])
    #expect(company.count == 3)
    #expect(company.values.allSatisfy { $0.prefix(1) == home })
  }

  @Test func preferredCompanyDecidesAmongEquals() {
    var core = core(nodes(["a": 1, "b": 1, "c": 1]))
    var anchor = web("anchor")
    anchor.spec.nodeName = "b-0"
    core.podChanged(anchor, now: 0)
    let fan = makePod("fan", cpu: 0, memory: 0)
    var wanting = fan
    wanting.spec.affinity = Affinity {
      $0.podAffinity = PodAffinity {
        $0.preferredDuringSchedulingIgnoredDuringExecution = [
          WeightedPodAffinityTerm {
            $0.weight = 100
            $0.podAffinityTerm = near(zone, app: "web")
          }
        ]
      }
    }
    #expect(place(&core, [wanting])["fan"] == "b-0")
  }

  @Test func otherNamespacesCountWhereTheyAreNamed() {
    var core = core(nodes(["a": 1, "b": 1]))
    core.namespaceChanged("other", labels: ["team": "x"])
    core.namespaceChanged("default", labels: [:])
    var anchor = web("anchor")
    anchor.metadata.namespace = "other"
    anchor.spec.nodeName = "a-0"
    core.podChanged(anchor, now: 0)
    let away = makePod("away")
    var term = near(zone, app: "web")
    func anti(_ term: PodAffinityTerm) -> Affinity {
      Affinity {
        $0.podAntiAffinity = PodAntiAffinity { $0.requiredDuringSchedulingIgnoredDuringExecution = [term] }
      }
    }
    term.namespaceSelector = selector(["team": "x"])
    var pod = away
    pod.spec.affinity = anti(term)
    #expect(place(&core, [pod])["away"] == "b-0")
  }

  /// No placement may break a rule, and no pod may wait while a node would take it: against a reckoning from scratch.
  @Test(arguments: 0..<20) func randomClustersKeepTheirRules(seed: UInt64) {
    var random = Seeded(state: seed)
    var core = core(nodes(["a": 3, "b": 2, "c": 2]))
    var placed: [String: (pod: Pod, node: String)] = [:]
    let all = core.snapshot.nodes.mapValues(\.node)

    func matches(_ term: PodAffinityTerm, _ pod: Pod) -> Bool {
      (try? term.labelSelector?.selector().matches(pod.metadata.labels)) ?? false
    }
    func domain(_ node: String, _ key: String) -> String? { all[node]?.metadata.labels[key] }
    func allowed(_ pod: Pod, _ node: String) -> Bool {
      for constraint in pod.spec.topologySpreadConstraints {
        guard let own = domain(node, constraint.topologyKey), let chosen = try? constraint.labelSelector?.selector()
        else { return false }
        var counts: [String: Int] = [:]
        for name in all.keys { if let value = domain(name, constraint.topologyKey) { counts[value] = 0 } }
        for other in placed.values where chosen.matches(other.pod.metadata.labels) {
          if let value = domain(other.node, constraint.topologyKey) { counts[value, default: 0] += 1 }
        }
        let plus = chosen.matches(pod.metadata.labels) ? 1 : 0
        if (counts[own] ?? 0) + plus - (counts.values.min() ?? 0) > Int(constraint.maxSkew) { return false }
      }
      for term in pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [] {
        for other in placed.values
        where matches(term, other.pod) && domain(other.node, term.topologyKey) == domain(node, term.topologyKey) {
          return false
        }
      }
      for other in placed.values {
        for term in other.pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
        where matches(term, pod) && domain(other.node, term.topologyKey) == domain(node, term.topologyKey) {
          return false
        }
      }
      let used = placed.values.filter { $0.node == node }.count * 100
      return used + 100 <= 4000
    }

    for index in 0..<60 {
      if index % 7 == 6, let victim = placed.keys.sorted().randomElement(using: &random) {
        core.podDeleted(victim, now: Double(index) * 1000)
        placed[victim] = nil
      }
      let app = ["x", "y"].randomElement(using: &random) ?? "x"
      var pod = makePod("p\(index)")
      pod.metadata.labels = ["app": app]
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        pod.spec.topologySpreadConstraints = [
          spread([zone, hostname].randomElement(using: &random) ?? zone, skew: 1, app: app)
        ]
      case 1:
        pod.spec.affinity = Affinity {
          $0.podAntiAffinity = PodAntiAffinity {
            $0.requiredDuringSchedulingIgnoredDuringExecution = [near(hostname, app: app)]
          }
        }
      default: break
      }
      core.podChanged(pod, now: Double(index) * 1000)
      guard let decision = core.next(now: Double(index) * 1000, .init(volumes: { _ in .anywhere })) else { continue }
      switch decision {
      case .place(let pod, let node):
        #expect(allowed(pod, node), "\(pod.metadata.name) on \(node)")
        placed[pod.metadata.uid] = (pod, node)
        core.bound(pod)
      case .refuse(let pod, let message, _):
        #expect(!all.keys.contains { allowed(pod, $0) }, "\(pod.metadata.name): \(message)")
        core.podDeleted(pod.metadata.uid, now: Double(index) * 1000)
      case .consult: Issue.record("nobody is to be asked")
      }
    }
  }
}
