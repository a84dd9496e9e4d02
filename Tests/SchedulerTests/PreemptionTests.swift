import API
import Testing

@testable import Scheduler

@Suite struct PreemptionTests {
  private func core(_ nodes: [Node], _ pods: [(pod: Pod, node: String)]) -> SchedulerCore {
    var core = SchedulerCore(random: Seeded(state: 3))
    for node in nodes { core.nodeChanged(node, now: 0) }
    for (pod, node) in pods {
      var placed = pod
      placed.spec.nodeName = node
      core.podChanged(placed, now: 0)
    }
    return core
  }

  private func choice(_ core: inout SchedulerCore, _ pod: Pod, budgets: [PodDisruptionBudget] = []) -> (
    node: String?, victims: [String], message: String
  ) {
    core.podChanged(pod, now: 0)
    guard
      case .refuse(_, let message, let choice)? = core.next(
        now: 0, .init(volumes: { _ in .anywhere }, budgets: { budgets }))
    else { return (nil, [], "placed") }
    return (choice?.node, choice?.victims.map(\.metadata.name).sorted() ?? [], message)
  }

  @Test func asFewAndAsUnimportantAsPossible() {
    var core = core(
      [makeNode("a", cpu: 1000), makeNode("b", cpu: 1000)],
      [
        (makePod("a1", cpu: 500, priority: 1), "a"), (makePod("a2", cpu: 500, priority: 5), "a"),
        (makePod("b1", cpu: 900, priority: 7), "b"),
      ])
    let before = core.snapshot.nodes.mapValues(\.requested)
    let found = choice(&core, makePod("vip", cpu: 400, priority: 10))
    #expect(found.node == "a")
    #expect(found.victims == ["a1"])
    #expect(found.message == "0/2 nodes are available: 2 Insufficient cpu.")
    // It was only supposed.
    #expect(core.snapshot.nodes.mapValues(\.requested) == before)
    // Room is kept for it: another of its rank does not get it, a more important one does.
    core.podDeleted("a1", now: 1)
    let other = choice(&core, makePod("other", cpu: 400, priority: 10))
    #expect(other.node != "a")
  }

  @Test func theOneForWhomRoomWasMadeGetsIt() {
    var core = core([makeNode("a", cpu: 1000)], [(makePod("low", cpu: 900, priority: 0), "a")])
    let found = choice(&core, makePod("vip", cpu: 900, priority: 10))
    #expect(found.victims == ["low"])
    core.podChanged(makePod("rival", cpu: 900, priority: 5), now: 1)
    core.podDeleted("low", now: 1)
    _ = core.flush(now: 5)
    var placed: [String] = []
    while let decision = core.next(now: 5, .init(volumes: { _ in .anywhere })) {
      if case .place(let pod, _) = decision { placed.append(pod.metadata.name) }
    }
    #expect(placed == ["vip"])
  }

  @Test func budgetsAreSparedWhereThatIsPossible() {
    var guarded = makePod("guarded", cpu: 900, priority: 0)
    guarded.metadata.labels = ["app": "web"]
    var core = core(
      [makeNode("a", cpu: 1000), makeNode("b", cpu: 1000)],
      [(guarded, "a"), (makePod("free", cpu: 900, priority: 3), "b")])
    let budget = PodDisruptionBudget {
      $0.metadata.namespace = "default"
      $0.spec.selector = selector(["app": "web"])
    }
    let found = choice(&core, makePod("vip", cpu: 500, priority: 10), budgets: [budget])
    #expect(found.victims == ["free"])
  }

  @Test func whoMayNotOrCannot() {
    var core = core([makeNode("a", cpu: 1000)], [(makePod("low", cpu: 900, priority: 0), "a")])
    var polite = makePod("polite", cpu: 900, priority: 10)
    polite.spec.preemptionPolicy = "Never"
    #expect(
      choice(&core, polite).message
        == "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.")
    #expect(
      choice(&core, makePod("equal", cpu: 900, priority: 0)).message
        == "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims "
        + "found for incoming pod.")
    #expect(
      choice(&core, makePod("huge", cpu: 9000, priority: 10)).message.hasSuffix(
        "1 Preemption is not helpful for scheduling."))
  }

  @Test func shyPodsMakeWayToo() {
    var shy = makePod("shy", cpu: 10, priority: 0)
    shy.metadata.labels = ["app": "web"]
    shy.spec.affinity = Affinity {
      $0.podAntiAffinity = PodAntiAffinity {
        $0.requiredDuringSchedulingIgnoredDuringExecution = [near(hostname, app: "web")]
      }
    }
    var core = core([makeNode("a")], [(shy, "a"), (makePod("bystander", cpu: 10, priority: 0), "a")])
    var vip = makePod("vip", cpu: 10, priority: 10)
    vip.metadata.labels = ["app": "web"]
    let found = choice(&core, vip)
    #expect(found.victims == ["shy"])
  }
}
