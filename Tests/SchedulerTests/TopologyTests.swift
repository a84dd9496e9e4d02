import API
import APIMachinery
import Testing

@testable import Scheduler

private func zoned(_ name: String, _ zone: String, cpu: Int64 = 8000) -> Node {
  var node = makeNode(name, cpu: cpu)
  node.metadata.labels["topology.kubernetes.io/zone"] = zone
  return node
}

private func labelled(_ name: String, _ labels: [String: String], cpu: Int64 = 100, priority: Int32 = 0) -> Pod {
  var pod = makePod(name, cpu: cpu, priority: priority)
  pod.metadata.labels = labels
  return pod
}

private func constraint(_ key: String, skew: Int32 = 1, hard: Bool = true, app: String = "web")
  -> TopologySpreadConstraint
{
  var constraint = TopologySpreadConstraint()
  constraint.topologyKey = key
  constraint.maxSkew = skew
  constraint.whenUnsatisfiable = hard ? "DoNotSchedule" : "ScheduleAnyway"
  constraint.labelSelector = LabelSelector(matchLabels: ["app": app])
  return constraint
}

private func term(_ key: String, app: String = "web") -> PodAffinityTerm {
  var term = PodAffinityTerm()
  term.topologyKey = key
  term.labelSelector = LabelSelector(matchLabels: ["app": app])
  return term
}

private func keepingAway(_ pod: Pod, _ key: String = "kubernetes.io/hostname") -> Pod {
  var pod = pod
  var affinity = Affinity()
  var anti = PodAntiAffinity()
  anti.requiredDuringSchedulingIgnoredDuringExecution = [term(key)]
  affinity.podAntiAffinity = anti
  pod.spec.affinity = affinity
  return pod
}

private func joining(_ pod: Pod, _ key: String, app: String = "web") -> Pod {
  var pod = pod
  var affinity = Affinity()
  var near = PodAffinity()
  near.requiredDuringSchedulingIgnoredDuringExecution = [term(key, app: app)]
  affinity.podAffinity = near
  pod.spec.affinity = affinity
  return pod
}

@Suite struct TopologyTests {
  private func core(_ nodes: [Node]) -> SchedulerCore {
    var core = SchedulerCore(random: Seeded(state: 7))
    for node in nodes { core.nodeChanged(node, now: 0) }
    return core
  }

  @Test func hardSpreadingKeepsTheSkew() {
    var core = core([zoned("a", "x"), zoned("b", "y"), zoned("c", "z", cpu: 250)])
    var nodes: [String: Int] = [:]
    for index in 0..<9 {
      var pod = labelled("p\(index)", ["app": "web"])
      pod.spec.topologySpreadConstraints = [constraint(zone)]
      core.podChanged(pod, now: 0)
    }
    while let placed = core.place() { nodes[placed.node, default: 0] += 1 }
    // The full zone holds two; no other may be more than one ahead of it.
    #expect(nodes == ["a": 3, "b": 3, "c": 2])
  }

  @Test func spreadingMessageAndMissingLabel() {
    var core = core([zoned("a", "x"), makeNode("b")])
    var first = labelled("p", ["app": "web"])
    first.spec.topologySpreadConstraints = [constraint(zone)]
    first.spec.topologySpreadConstraints[0].minDomains = 2
    core.podChanged(first, now: 0)
    #expect(core.place()?.node == "a")
    var second = first
    second.metadata.name = "q"
    second.metadata.uid = "q"
    core.podChanged(second, now: 0)
    #expect(
      core.refusal() == "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, "
        + "1 node(s) didn't match pod topology spread constraints (missing required label).")
    core.nodeChanged(zoned("c", "y"), now: 20)
    _ = core.flush(now: 20)
    #expect(core.place(now: 20)?.node == "c")
  }

  @Test func softSpreadingPrefersTheEmptierZone() {
    // Zone x is by far the emptier in resources, y has fewer matching pods.
    var core = core([zoned("a", "x", cpu: 64000), zoned("b", "y", cpu: 4000)])
    var pod = labelled("old", ["app": "web"])
    pod.spec.nodeName = "a"
    core.podChanged(pod, now: 0)
    var next = labelled("next", ["app": "web"])
    next.spec.topologySpreadConstraints = [constraint(zone, hard: false)]
    core.podChanged(next, now: 0)
    #expect(core.place()?.node == "b")
  }

  @Test func antiAffinityHoldsBothWays() {
    var core = core([makeNode("a"), makeNode("b")])
    core.podChanged(keepingAway(labelled("p", ["app": "web"])), now: 0)
    core.podChanged(keepingAway(labelled("q", ["app": "web"])), now: 0)
    #expect(Set([core.place()?.node, core.place()?.node]) == ["a", "b"])
    core.podChanged(labelled("plain", ["app": "web"]), now: 0)
    #expect(
      core.refusal()?.hasPrefix("0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.")
        == true)
    core.podChanged(keepingAway(labelled("r", ["app": "db"])), now: 0)
    #expect(
      core.refusal()?.hasPrefix("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.") == true)
    core.podChanged(labelled("other", ["app": "db"]), now: 0)
    #expect(core.place()?.pod == "other")
  }

  @Test func affinityStartsWithItselfAndStaysTogether() {
    var core = core([zoned("a", "x"), zoned("b", "x"), zoned("c", "y")])
    var zones: Set<String> = []
    for index in 0..<6 { core.podChanged(joining(labelled("p\(index)", ["app": "web"]), zone), now: 0) }
    var count = 0
    while let placed = core.place() {
      zones.insert(placed.node == "c" ? "y" : "x")
      count += 1
    }
    #expect(count == 6 && zones.count == 1)
    core.podChanged(joining(labelled("lone", ["app": "web"]), zone, app: "none"), now: 0)
    #expect(core.refusal()?.hasPrefix("0/3 nodes are available: 3 node(s) didn't match pod affinity rules.") == true)
  }
}
