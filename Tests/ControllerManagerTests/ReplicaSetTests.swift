import API
import Client
import Testing

@testable import ControllerManager

@Suite struct ReplicaDecisionTests {
  @Test func asksForWhatIsMissingOrTooMuch() {
    let set = makeReplicaSet(replicas: 3)
    let pods = (0..<5).map { makePod("p\($0)") }
    #expect(ReplicaDecision.action(set, active: [], related: [], now: moment) == .create(3))
    #expect(ReplicaDecision.action(set, active: Array(pods.prefix(3)), related: [], now: moment) == .nothing)
    guard case .delete(let victims) = ReplicaDecision.action(set, active: pods, related: pods, now: moment) else {
      Issue.record("nothing deleted")
      return
    }
    #expect(victims.count == 2)
  }

  @Test func neverMoreThanABurstAtATime() {
    let set = makeReplicaSet(replicas: 5000)
    #expect(ReplicaDecision.action(set, active: [], related: [], now: moment) == .create(500))
  }

  @Test func givesUpWhatServesLeast() {
    var expensive = makePod("expensive")
    expensive.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] = "100"
    var pending = makePod("pending")
    pending.status.phase = "Pending"
    let unready = makePod("unready", ready: false)
    let unassigned = makePod("unassigned", node: "")
    let plain = makePod("plain", node: "node-2")
    let ranking = PodRanking(now: moment, related: [expensive, plain])
    let order = [expensive, plain, unready, pending, unassigned].sorted(by: ranking.precedes).map(\.metadata.name)
    #expect(order == ["unassigned", "pending", "unready", "plain", "expensive"])
  }

  @Test func crowdedNodesGiveFirst() {
    let pods = [makePod("a"), makePod("b"), makePod("c", node: "node-2")]
    let ranking = PodRanking(now: moment, related: pods)
    #expect(ranking.victims(of: pods, count: 1)[0].spec.nodeName == "node-1")
  }

  @Test func countsReadyAndAvailable() {
    var set = makeReplicaSet(replicas: 3)
    set.spec.minReadySeconds = 60
    let pods = [makePod("a"), makePod("b", ready: false)]
    let status = ReplicaDecision.status(set, active: pods, terminating: 1, failure: nil, now: moment)
    #expect(status.replicas == 2)
    #expect(status.ready == 1)
    #expect(status.available == 0)
    #expect(status.fullyLabeled == 2)
    #expect(status.terminating == 1)
    #expect(ReplicaDecision.nextAvailability(set, active: pods, now: moment) == 10)
  }

  @Test func claimsSortOwnStrangersAndStrays() throws {
    var own = makePod("own")
    let set = makeReplicaSet()
    own.metadata.ownerReferences = [.controller(of: set)]
    var stray = makePod("stray", labels: ["app": "other"])
    stray.metadata.ownerReferences = [.controller(of: set)]
    var foreign = makePod("foreign")
    foreign.metadata.ownerReferences = [.controller(of: makeReplicaSet(name: "other"))]
    let claims = Claims(
      of: [own, stray, foreign, makePod("orphan")], owner: set.metadata.uid,
      selector: try set.podSelector(), isDeleting: false)
    #expect(claims.owned.map(\.metadata.name) == ["own"])
    #expect(claims.release.map(\.metadata.name) == ["stray"])
    #expect(claims.adopt.map(\.metadata.name) == ["orphan"])
  }

  @Test func slowStartStopsAtTheFirstFailingBatch() async {
    let calls = Calls()
    let (succeeded, error) = await slowStart(count: 100) { index in
      await calls.add()
      if index >= 3 { throw CollectorError(message: "no") }
    }
    #expect(succeeded == 3)
    #expect(error != nil)
    #expect(await calls.count == 7)
  }

  actor Calls {
    var count = 0
    func add() { count += 1 }
  }
}

@Suite struct ReplicaSetControllerTests {
  @Test func createsReplacesAndScales() async throws {
    try await withControllers(["replicaset-controller"]) { api, client in
      var set = makeReplicaSet()
      set.metadata.uid = ""
      try await client.create(set)
      #expect(await eventually { api.objects(Pod.self).count == 3 })
      #expect(api.objects(Pod.self).allSatisfy { $0.metadata.name.hasPrefix("web-1-") })
      #expect(api.objects(Pod.self).allSatisfy { $0.metadata.controllerOwner?.kind == "ReplicaSet" })
      try await client.delete(Pod.self, namespace: "default", name: api.objects(Pod.self)[0].metadata.name)
      #expect(await eventually { api.objects(Pod.self).count == 3 })
      var scale = try await client.getScale(ReplicaSet.self, namespace: "default", name: "web-1")
      scale.spec.replicas = 1
      try await client.updateScale(ReplicaSet.self, scale)
      #expect(await eventually { api.objects(Pod.self).count == 1 })
      #expect(
        await eventually {
          api.object(ReplicaSet.self, namespace: "default", name: "web-1")?.status.observedGeneration == 2
        })
      #expect(await eventually { api.objects(Event.self).contains { $0.reason == "SuccessfulCreate" } })
      #expect(await eventually { api.objects(Event.self).contains { $0.reason == "SuccessfulDelete" } })
    }
  }

  @Test func adoptsAnOrphanInsteadOfCreating() async throws {
    let api = MemoryAPI()
    try api.seed(makePod("orphan"))
    try await withControllers(["replicaset-controller"], api: api) { api, client in
      try await client.create(makeReplicaSet(replicas: 1))
      #expect(
        await eventually {
          api.object(Pod.self, namespace: "default", name: "orphan")?.metadata.controllerOwner?.name == "web-1"
        })
      #expect(
        await eventually {
          api.object(ReplicaSet.self, namespace: "default", name: "web-1")?.status.readyReplicas == 1
        })
      #expect(api.objects(Pod.self).count == 1)
    }
  }

  @Test func aReplicationControllerIsServedTheSame() async throws {
    try await withControllers(["replicationcontroller-controller"]) { api, client in
      try await client.create(
        ReplicationController {
          $0.metadata.name = "rc"
          $0.metadata.namespace = "default"
          $0.spec.replicas = 2
          $0.spec.selector = ["app": "web"]
          $0.spec.template = template(image: "web:1")
        })
      #expect(await eventually { api.objects(Pod.self).count == 2 })
    }
  }
}
