import API
import Testing

@testable import ControllerManager

/// A world of one Deployment whose plans are carried out at once, and whose pods become ready when told.
private struct World {
  var deployment: Deployment
  var sets: [ReplicaSet] = []
  var now = moment
  var serial: Int64 = 0
  var events: [String] = []
  var writes = 0

  mutating func sync() {
    let actions = DeploymentPlan.actions(for: deployment, sets: sets, pods: [:], now: now)
    for action in actions {
      switch action {
      case .create(var set):
        serial += 1
        writes += 1
        set.metadata.uid = "uid-\(serial)"
        set.metadata.creationTimestamp = moment.adding(seconds: serial)
        sets.append(set)
        if set.spec.replicas ?? 0 > 0 { events.append("\(set.metadata.name) 0 \(set.spec.replicas ?? 0)") }
      case .update(let set, let from):
        writes += 1
        if let index = sets.firstIndex(where: { $0.metadata.uid == set.metadata.uid }) { sets[index] = set }
        if let from { events.append("\(set.metadata.name) \(from) \(set.spec.replicas ?? 0)") }
      case .delete(let set):
        writes += 1
        sets.removeAll { $0.metadata.uid == set.metadata.uid }
      case .updateStatus(let changed):
        writes += 1
        deployment.status = changed.status
        deployment.metadata.annotations = changed.metadata.annotations
      case .requeue: break
      }
    }
  }

  /// The ReplicaSets' controller and the kubelet: as many pods as asked for, of which `ready` says how many serve.
  mutating func settle(ready: (ReplicaSet) -> Int32 = { $0.spec.replicas ?? 0 }) {
    for index in sets.indices {
      sets[index].status.replicas = sets[index].spec.replicas ?? 0
      sets[index].status.readyReplicas = min(ready(sets[index]), sets[index].status.replicas)
      sets[index].status.availableReplicas = sets[index].status.readyReplicas
    }
  }

  mutating func run(_ rounds: Int) {
    for _ in 0..<rounds {
      sync()
      settle()
    }
  }

  mutating func change(_ body: (inout Deployment) -> Void) {
    body(&deployment)
    deployment.metadata.generation += 1
  }

  var available: Int { DeploymentMath.available(sets) }
  var total: Int { DeploymentMath.specReplicas(sets) }
  func progressing() -> DeploymentCondition? { deployment.status.conditions.condition("Progressing") }
}

@Suite struct DeploymentPlanTests {
  @Test func makesAReplicaSetWithHashRevisionAndOwner() throws {
    var world = World(deployment: makeDeployment())
    world.sync()
    let set = try #require(world.sets.first)
    let hash = try #require(set.metadata.labels["pod-template-hash"])
    #expect(set.metadata.name == "web-\(hash)")
    #expect(set.spec.selector?.matchLabels == ["app": "web", "pod-template-hash": hash])
    #expect(set.spec.template.metadata.labels["pod-template-hash"] == hash)
    #expect(set.metadata.annotations["deployment.kubernetes.io/revision"] == "1")
    #expect(set.metadata.annotations["deployment.kubernetes.io/desired-replicas"] == "3")
    #expect(set.metadata.annotations["deployment.kubernetes.io/max-replicas"] == "4")
    #expect(set.metadata.controllerOwner?.uid == "deployment-uid")
    #expect(set.spec.replicas == 3)
    #expect(world.deployment.metadata.annotations["deployment.kubernetes.io/revision"] == "1")
    #expect(world.progressing()?.reason == "NewReplicaSetCreated")
  }

  @Test func saysWhenItIsAvailableAndComplete() {
    var world = World(deployment: makeDeployment())
    world.sync()
    #expect(world.deployment.status.conditions.condition("Available")?.reason == "MinimumReplicasUnavailable")
    world.settle()
    world.sync()
    let available = world.deployment.status.conditions.condition("Available")
    #expect(available?.status == "True")
    #expect(available?.message == "Deployment has minimum availability.")
    #expect(world.progressing()?.reason == "NewReplicaSetAvailable")
    #expect(
      world.progressing()?.message == "ReplicaSet \"\(world.sets[0].metadata.name)\" has successfully progressed.")
    #expect(world.deployment.status.updatedReplicas == 3)
    let writes = world.writes
    world.run(3)
    #expect(world.writes == writes)
  }

  @Test func aRollingUpdateKeepsWithinItsFences() {
    var world = World(deployment: makeDeployment(replicas: 10))
    world.run(4)
    world.change { $0.spec.template = template(image: "web:2") }
    for _ in 0..<40 {
      world.sync()
      #expect(world.total <= 13)
      #expect(world.available >= 8)
      world.settle()
    }
    #expect(world.sets.count == 2)
    #expect(world.sets[0].spec.replicas == 0)
    #expect(world.sets[1].spec.replicas == 10)
    #expect(world.sets[1].metadata.annotations["deployment.kubernetes.io/revision"] == "2")
    #expect(world.progressing()?.reason == "NewReplicaSetAvailable")
  }

  @Test func aBrokenUpdateStopsAndMissesItsDeadline() {
    var world = World(deployment: makeDeployment(replicas: 4))
    world.run(4)
    world.change { $0.spec.template = template(image: "broken") }
    let old = world.sets[0].metadata.uid
    for _ in 0..<10 {
      world.sync()
      world.settle { $0.metadata.uid == old ? $0.spec.replicas ?? 0 : 0 }
    }
    #expect(world.available == 3)
    #expect(world.progressing()?.reason == "ReplicaSetUpdated")
    world.now = moment.adding(seconds: 700)
    world.sync()
    #expect(world.progressing()?.status == "False")
    #expect(world.progressing()?.reason == "ProgressDeadlineExceeded")
  }

  @Test func goingBackTakesTheOldReplicaSetWithANewRevision() {
    var world = World(deployment: makeDeployment())
    world.run(4)
    world.change { $0.spec.template = template(image: "web:2") }
    world.run(12)
    world.change { $0.spec.template = template(image: "web:1") }
    world.run(12)
    #expect(world.sets.count == 2)
    #expect(world.sets[0].spec.replicas == 3)
    #expect(world.sets[0].metadata.annotations["deployment.kubernetes.io/revision"] == "3")
    #expect(world.sets[0].metadata.annotations["deployment.kubernetes.io/revision-history"] == "1")
    #expect(world.deployment.metadata.annotations["deployment.kubernetes.io/revision"] == "3")
  }

  @Test func scalingDuringARollOutIsProportional() {
    var world = World(deployment: makeDeployment(replicas: 10))
    world.run(4)
    world.change { $0.spec.template = template(image: "broken") }
    let old = world.sets[0].metadata.uid
    for _ in 0..<6 {
      world.sync()
      world.settle { $0.metadata.uid == old ? $0.spec.replicas ?? 0 : 0 }
    }
    // 8 old ones serve, 5 new ones do not.
    #expect(world.sets.map { $0.spec.replicas } == [8, 5])
    world.change { $0.spec.replicas = 20 }
    world.sync()
    #expect(world.total == 25)
    #expect(world.sets.map { $0.spec.replicas } == [15, 10])
  }

  @Test func aPausedDeploymentOnlyScales() {
    var world = World(deployment: makeDeployment())
    world.run(4)
    world.change {
      $0.spec.paused = true
      $0.spec.template = template(image: "web:2")
      $0.spec.replicas = 5
    }
    world.run(4)
    #expect(world.sets.count == 1)
    #expect(world.sets[0].spec.replicas == 5)
    #expect(world.progressing()?.reason == "DeploymentPaused")
    world.change { $0.spec.paused = false }
    world.run(12)
    #expect(world.sets.map { $0.spec.replicas } == [0, 5])
  }

  @Test func recreateEmptiesTheOldBeforeTheNew() {
    var world = World(deployment: makeDeployment(type: "Recreate"))
    world.run(4)
    world.change { $0.spec.template = template(image: "web:2") }
    world.sync()
    #expect(world.sets.map { $0.spec.replicas } == [0])
    world.sync()
    #expect(world.sets.count == 1)
    world.settle()
    world.run(4)
    #expect(world.sets.map { $0.spec.replicas } == [0, 3])
  }

  @Test func keepsNoMoreHistoryThanAsked() {
    var world = World(deployment: makeDeployment())
    world.deployment.spec.revisionHistoryLimit = 2
    for version in 1...6 {
      world.change { $0.spec.template = template(image: "web:\(version)") }
      world.run(12)
    }
    #expect(world.sets.count == 3)
    #expect(world.sets.last?.metadata.annotations["deployment.kubernetes.io/revision"] == "6")
  }

  @Test(arguments: 0..<40 as Range<UInt64>)
  func convergesFromAnyStateAndThenRests(seed: UInt64) {
    var random = SplitMix(state: seed)
    var world = World(
      deployment: makeDeployment(
        replicas: .random(in: 0...12, using: &random), type: seed % 5 == 0 ? "Recreate" : "RollingUpdate"))
    for _ in 0..<12 {
      switch Int.random(in: 0..<4, using: &random) {
      case 0: world.change { $0.spec.replicas = .random(in: 0...12, using: &random) }
      case 1: world.change { $0.spec.template = template(image: "web:\(Int.random(in: 1...4, using: &random))") }
      case 2: world.change { $0.spec.paused.toggle() }
      default:
        world.change {
          guard $0.spec.strategy.type == "RollingUpdate" else { return }
          $0.spec.strategy.rollingUpdate?.maxSurge = .int(.random(in: 0...3, using: &random))
          $0.spec.strategy.rollingUpdate?.maxUnavailable = .int(.random(in: 0...3, using: &random))
        }
      }
      world.sync()
      let share = Int32.random(in: 0...12, using: &random)
      world.settle { min($0.spec.replicas ?? 0, share) }
    }
    world.change { $0.spec.paused = false }
    world.run(60)
    let wanted = world.deployment.spec.replicas
    let newest = DeploymentPlan.findNew(world.deployment, world.sets)
    #expect(newest?.spec.replicas == wanted)
    #expect(world.total == Int(wanted ?? -1))
    #expect(DeploymentMath.isComplete(world.deployment, world.deployment.status))
    let writes = world.writes
    world.run(5)
    #expect(world.writes == writes)
  }
}
