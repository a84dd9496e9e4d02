import API
import Client
import Testing

@testable import ControllerManager

@Suite struct DaemonSetDecisionTests {
  static func makeSet(surge: Int32 = 0, unavailable: Int32 = 1) -> DaemonSet {
    DaemonSet {
      $0.metadata.name = "agent"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "set"
      $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
      $0.spec.template = template(image: "agent:1")
      $0.spec.updateStrategy.type = "RollingUpdate"
      $0.spec.updateStrategy.rollingUpdate = RollingUpdateDaemonSet {
        $0.maxSurge = .int(surge)
        $0.maxUnavailable = .int(unavailable)
      }
    }
  }

  private func nodes(_ count: Int) -> [Node] { (0..<count).map { index in Node { $0.metadata.name = "n\(index)" } } }

  private func pod(_ node: String, _ revision: String, name: String? = nil, ready: Bool = true) -> Pod {
    var pod = makePod(name ?? "agent-\(node)-\(revision)", node: node, ready: ready)
    pod.metadata.labels["controller-revision-hash"] = revision
    return pod
  }

  private func decide(_ set: DaemonSet, _ nodes: [Node], _ pods: [Pod]) -> DaemonSetDecision {
    DaemonSetDecision.decide(set, nodes: nodes, pods: pods, revision: "2", now: moment)
  }

  private func deleted(_ decision: DaemonSetDecision) -> [String] { decision.delete.map(\.metadata.name).sorted() }

  @Test func aSurgingPodComesUpBesideTheOldOne() {
    let set = Self.makeSet(surge: 1, unavailable: 0)
    let old = ["n0", "n1", "n2"].map { pod($0, "1") }
    let first = decide(set, nodes(3), old)
    #expect(first.create == ["n0"] && first.delete.isEmpty)
    // While it starts nothing else happens; once it serves the old one goes and the next node follows.
    let starting = decide(set, nodes(3), old + [pod("n0", "2", ready: false)])
    #expect(starting.create.isEmpty && starting.delete.isEmpty)
    let serving = decide(set, nodes(3), old + [pod("n0", "2")])
    #expect(deleted(serving) == ["agent-n0-1"] && serving.create == ["n1"])
    #expect(first.status.numberAvailable == 3 && first.status.updatedNumberScheduled == 0)
  }

  @Test func whereTheOldPodDoesNotServeTheNewOneNeedsNoRoom() {
    let set = Self.makeSet(surge: 1, unavailable: 0)
    let pods = [pod("n0", "1", ready: false), pod("n1", "1"), pod("n2", "1")]
    #expect(decide(set, nodes(3), pods).create == ["n0", "n1"])
  }

  @Test func withoutSurgeOnlySoManyMayBeMissing() {
    let set = Self.makeSet(unavailable: 2)
    let old = ["n0", "n1", "n2", "n3"].map { pod($0, "1") }
    #expect(deleted(decide(set, nodes(4), old)) == ["agent-n0-1", "agent-n1-1"])
    #expect(deleted(decide(set, nodes(4), Array(old.dropFirst()))) == ["agent-n1-1"])
    let broken = [pod("n0", "1", ready: false)] + old.dropFirst()
    #expect(deleted(decide(set, nodes(4), broken)) == ["agent-n0-1", "agent-n1-1"])
    #expect(deleted(decide(set, nodes(4), old + [pod("n0", "2", ready: false)])) == ["agent-n0-2", "agent-n1-1"])
    var byHand = set
    byHand.spec.updateStrategy.type = "OnDelete"
    #expect(decide(byHand, nodes(4), old).delete.isEmpty)
  }

  @Test func bothAtZeroMoveOneAtATime() {
    let set = Self.makeSet(surge: 0, unavailable: 0)
    #expect(deleted(decide(set, nodes(2), [pod("n0", "1"), pod("n1", "1")])) == ["agent-n0-1"])
  }

  @Test func excessAndOverAreCleared() {
    let set = Self.makeSet()
    var failed = pod("n0", "2", name: "failed")
    failed.status.phase = "Failed"
    var done = pod("n1", "2", name: "done")
    done.status.phase = "Succeeded"
    let twice = [pod("n2", "2", name: "b"), pod("n2", "2", name: "a")]
    let decision = decide(set, nodes(3), [failed, done] + twice)
    #expect(decision.failed.map(\.metadata.name) == ["failed"])
    #expect(decision.succeeded.map(\.metadata.name) == ["done"])
    #expect(deleted(decision) == ["b"])
    // One that is over and only waits for a finalizer does not keep its node.
    failed.metadata.deletionTimestamp = moment
    #expect(decide(set, nodes(1), [failed]).create == ["n0"])
  }

  @Test func podsForNodesThatAreGoneAreTakenBack() {
    var waiting = DaemonSetPlacement.pod(Self.makeSet(), node: "gone", revision: "2")
    waiting.metadata.name = "waiting"
    #expect(deleted(decide(Self.makeSet(), nodes(1), [waiting, pod("n0", "2")])) == ["waiting"])
    #expect(decide(Self.makeSet(), [], [pod("gone", "2")]).delete.isEmpty)
  }

  @Test func tolerationsOfATimeBecomeTolerationsForEver() {
    var set = Self.makeSet()
    set.spec.template.spec.tolerations = [
      Toleration {
        $0.key = "node.kubernetes.io/not-ready"
        $0.operator = "Exists"
        $0.effect = "NoExecute"
        $0.tolerationSeconds = 30
      }
    ]
    set.spec.template.spec.hostNetwork = true
    let tolerations = DaemonSetPlacement.tolerations(set.spec.template.spec)
    #expect(tolerations.count == 7)
    #expect(tolerations.allSatisfy { $0.tolerationSeconds == nil })
  }

  @Test func aRollbackRestartsNothing() throws {
    var set = Self.makeSet()
    let first = try DaemonSetHistory.plan(set, [], pods: []).present.update
    #expect(first.revision == 1)
    let live = pod("n0", Revisions.hash(first))
    set.spec.template = template(image: "agent:2")
    let second = try DaemonSetHistory.plan(set, [first], pods: [live]).present.update
    #expect(second.revision == 2)
    set.spec.template = template(image: "agent:1")
    let back = try DaemonSetHistory.plan(set, [first, second], pods: [live])
    #expect(back.present.isRenumbered && back.present.update.revision == 3)
    #expect(back.past == [second] && back.relabel.isEmpty)
    let decision = DaemonSetDecision.decide(
      set, nodes: nodes(1), pods: [live], revision: Revisions.hash(back.present.update), now: moment)
    #expect(decision.delete.isEmpty && decision.create.isEmpty && decision.status.updatedNumberScheduled == 1)
  }

  @Test func twinsAmongRevisionsAreMerged() throws {
    let set = Self.makeSet()
    let one = try Revisions.make(set.spec.template, for: set, collisions: nil)
    var two = try Revisions.make(set.spec.template, for: set, collisions: 1)
    two.revision = 2
    let plan = try DaemonSetHistory.plan(set, [one, two], pods: [pod("n0", Revisions.hash(one))])
    #expect(plan.duplicates == [one] && plan.present.update == two)
    #expect(plan.relabel.map { $0.metadata.labels["controller-revision-hash"] } == [Revisions.hash(two)])
  }

  @Test func historyKeepsWhatPodsAreOf() {
    let past = (1...4).map { number in
      ControllerRevision {
        $0.metadata.name = "agent-\(number)"
        $0.metadata.labels["controller-revision-hash"] = "h\(number)"
        $0.revision = Int64(number)
      }
    }
    let surplus = DaemonSetHistory.surplus(past, pods: [pod("n0", "h1")], limit: 2)
    #expect(surplus.map(\.revision) == [2, 3])
    #expect(DaemonSetHistory.surplus(past, pods: [], limit: nil).isEmpty)
  }

  @Test func aNodeOnWhichPodsFailIsLeftAloneForLongerAndLonger() {
    var backoff = FailureBackoff()
    #expect(backoff.wait("n", now: moment) == 0)
    #expect(backoff.wait("n", now: moment) == 1)
    #expect(backoff.wait("n", now: moment.adding(seconds: 1)) == 0)
    #expect(backoff.wait("n", now: moment.adding(seconds: 2)) == 1)
    #expect(backoff.wait("n", now: moment.adding(seconds: 3)) == 0)
    #expect(backoff.wait("n", now: moment.adding(seconds: 3)) == 4)
    #expect(backoff.wait("other", now: moment) == 0)
  }

  /// Any set reaches what it wants, never with more missing than may be, and then leaves it alone.
  @Test(arguments: 0..<60)
  func convergesFromAnywhere(seed: UInt64) {
    var random = SplitMix(state: seed)
    let surge = Int32.random(in: 0...2, using: &random)
    var set = Self.makeSet(surge: surge, unavailable: surge > 0 ? 0 : .random(in: 1...3, using: &random))
    let nodes = nodes(.random(in: 0...6, using: &random)).map { node in
      var node = node
      if Int.random(in: 0..<4, using: &random) == 0 {
        node.spec.taints = [
          Taint {
            $0.key = "mine"
            $0.effect = Bool.random(using: &random) ? "NoSchedule" : "NoExecute"
          }
        ]
      }
      return node
    }
    var pods: [String: Pod] = [:]
    for index in 0..<8 where Bool.random(using: &random) {
      var pod = pod(
        "n\(Int.random(in: 0..<6, using: &random))", ["1", "2"].randomElement(using: &random) ?? "", name: "p\(index)",
        ready: Bool.random(using: &random))
      if Int.random(in: 0..<6, using: &random) == 0 { pod.status.phase = "Failed" }
      pods[pod.metadata.name] = pod
    }
    pods = pods.filter { entry in nodes.contains { $0.metadata.name == entry.value.spec.nodeName } }
    var quiet = false
    for round in 0..<80 where !quiet {
      let decision = decide(set, nodes, Array(pods.values))
      quiet =
        decision.create.isEmpty && decision.delete.isEmpty && decision.failed.isEmpty && decision.status == set.status
      set.status = decision.status
      for node in decision.create {
        let name = "r\(round)-\(node)"
        var made = pod(node, "2", name: name, ready: false)
        made.metadata.creationTimestamp = moment
        pods[name] = made
      }
      for victim in decision.delete + decision.failed { pods[victim.metadata.name] = nil }
      // New pods start when they please; old ones that do not serve never will.
      for (name, pod) in pods where !pod.isReady && pod.metadata.labels["controller-revision-hash"] == "2" {
        quiet = false
        if Bool.random(using: &random) { pods[name]?.status = makePod(name).status }
      }
    }
    #expect(quiet)
    let fitting = nodes.filter { $0.spec.taints.isEmpty }.map(\.metadata.name)
    for node in fitting {
      let here = pods.values.filter { $0.spec.nodeName == node }
      #expect(here.count == 1 && here.first?.metadata.labels["controller-revision-hash"] == "2")
    }
  }
}
