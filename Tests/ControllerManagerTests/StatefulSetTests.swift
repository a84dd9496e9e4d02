import API
import Client
import Testing

@testable import ControllerManager

/// What a StatefulSet decides, against a world that does what it is told.
@Suite struct StatefulSetDecisionTests {
  static func makeSet(replicas: Int32 = 3, policy: String = "OrderedReady") -> StatefulSet {
    StatefulSet {
      $0.metadata.name = "db"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "set-uid"
      $0.metadata.generation = 1
      $0.spec.replicas = replicas
      $0.spec.serviceName = "db"
      $0.spec.podManagementPolicy = policy
      $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
      $0.spec.template = template(image: "db:1")
      $0.spec.updateStrategy.type = "RollingUpdate"
      $0.spec.volumeClaimTemplates = [PersistentVolumeClaim { $0.metadata.name = "data" }]
    }
  }

  private let steady = StatefulSetDecision.History(
    currentTemplate: template(image: "db:1"), currentRevision: "db-1", updateRevision: "db-1")
  private let rolling = StatefulSetDecision.History(
    currentTemplate: template(image: "db:1"), currentRevision: "db-1", updateRevision: "db-2")

  static func pod(_ set: StatefulSet, _ ordinal: Int, revision: String = "db-1", ready: Bool = true) -> Pod {
    var pod = StatefulSetPod.make(set, set.spec.template, revision: revision, ordinal: ordinal)
    pod.metadata.uid = pod.metadata.name + "-uid"
    pod.status = makePod(pod.metadata.name, ready: ready).status
    pod.spec.nodeName = "node-1"
    return pod
  }

  private func names(_ decision: StatefulSetDecision) -> [String] {
    decision.actions.map {
      switch $0 {
      case .create(_, let pod): "+\(pod.metadata.name)"
      case .claims(let ordinal): "claims \(ordinal)"
      case .delete(let pod): "-\(pod.metadata.name)"
      case .identify(let pod): "identify \(pod.metadata.name)"
      case .own(let claim): "own \(claim.metadata.name)"
      }
    }
  }

  private func decide(
    _ set: StatefulSet, _ pods: [Pod], _ history: StatefulSetDecision.History,
    claims: [PersistentVolumeClaim] = []
  ) -> StatefulSetDecision {
    StatefulSetDecision.decide(
      set, pods: pods, claims: Dictionary(uniqueKeysWithValues: claims.map { ($0.metadata.name, $0) }),
      history: history, now: moment)
  }

  @Test func aParallelSetDoesEverythingAtOnce() {
    let set = Self.makeSet(policy: "Parallel")
    #expect(names(decide(set, [], steady)) == ["+db-0", "+db-1", "+db-2"])
    var small = set
    small.spec.replicas = 0
    #expect(names(decide(small, (0..<3).map { Self.pod(set, $0) }, steady)) == ["-db-2", "-db-1", "-db-0"])
  }

  @Test func ordinalsMayBeginElsewhere() {
    var set = Self.makeSet(replicas: 2, policy: "Parallel")
    set.spec.ordinals = StatefulSetOrdinals { $0.start = 5 }
    let decision = decide(set, [Self.pod(set, 0), Self.pod(set, 5)], steady)
    #expect(names(decision) == ["+db-6", "-db-0"])
    #expect(StatefulSetPod.make(set, set.spec.template, revision: "", ordinal: 6).metadata.name == "db-6")
  }

  @Test func aFailedPodIsReplaced() {
    let set = Self.makeSet()
    var failed = Self.pod(set, 1)
    failed.status.phase = "Failed"
    let pods = [Self.pod(set, 0), failed, Self.pod(set, 2)]
    #expect(names(decide(set, pods, steady)) == ["-db-1"])
    failed.metadata.deletionTimestamp = moment
    #expect(names(decide(set, [pods[0], failed, pods[2]], steady)).isEmpty)
  }

  @Test func aPodMustBeAvailableBeforeTheNextComes() {
    var set = Self.makeSet(replicas: 2)
    set.spec.minReadySeconds = 60
    let first = Self.pod(set, 0)
    #expect(decide(set, [first], steady).actions.isEmpty)
    #expect(decide(set, [first], steady).status.availableReplicas == 0)
    #expect([first].secondsToAvailability(minReadySeconds: 60, now: moment) == 10)
    let later = StatefulSetDecision.decide(set, pods: [first], history: steady, now: moment.adding(seconds: 10))
    #expect(names(later) == ["+db-1"])
  }

  @Test func onDeleteLeavesPodsAloneButMakesNewOnes() {
    var set = Self.makeSet()
    set.spec.updateStrategy.type = "OnDelete"
    let decision = decide(set, (0..<3).map { Self.pod(set, $0) }, rolling)
    #expect(decision.actions.isEmpty)
    #expect(decision.status.currentRevision == "db-1" && decision.status.updateRevision == "db-2")
    guard case .create(2, let pod)? = decide(set, (0..<2).map { Self.pod(set, $0) }, rolling).actions.first else {
      Issue.record("makes none")
      return
    }
    #expect(pod.metadata.labels["controller-revision-hash"] == "db-2")
  }

  @Test func belowThePartitionPodsComeBackAsTheyWere() {
    var set = Self.makeSet()
    set.spec.updateStrategy.rollingUpdate = RollingUpdateStatefulSetStrategy { $0.partition = 2 }
    set.spec.template = template(image: "db:2")
    guard case .create(1, let pod)? = decide(set, [Self.pod(set, 0), Self.pod(set, 2)], rolling).actions.first else {
      Issue.record("makes none")
      return
    }
    #expect(pod.spec.containers.first?.image == "db:1")
    #expect(pod.metadata.labels["controller-revision-hash"] == "db-1")
  }

  @Test func asManyAreUpdatedAsMayBeMissing() {
    var set = Self.makeSet(replicas: 5)
    set.spec.updateStrategy.rollingUpdate = RollingUpdateStatefulSetStrategy {
      $0.partition = 0
      $0.maxUnavailable = .int(2)
    }
    let old = (0..<5).map { Self.pod(set, $0) }
    let decision = decide(set, old, rolling)
    #expect(names(decision) == ["-db-4", "-db-3"])
    #expect(decision.status.currentReplicas == 3)
    set.spec.podManagementPolicy = "Parallel"
    let broken = Array(old.dropLast()) + [Self.pod(set, 4, ready: false)]
    #expect(names(decide(set, broken, rolling)) == ["-db-4", "-db-3"])
    set.spec.updateStrategy.rollingUpdate?.maxUnavailable = .string("10%")
    #expect(names(decide(set, old, rolling)) == ["-db-4"])
  }

  @Test func aBrokenPodThatIsOutdatedMakesWay() {
    let set = Self.makeSet(replicas: 1, policy: "Parallel")
    #expect(names(decide(set, [Self.pod(set, 0, ready: false)], rolling)) == ["-db-0"])
  }

  @Test func aFinishedUpdateBecomesCurrent() {
    let set = Self.makeSet()
    let decision = decide(set, (0..<3).map { Self.pod(set, $0, revision: "db-2") }, rolling)
    #expect(decision.status.currentRevision == "db-2" && decision.status.currentReplicas == 3)
    #expect(decision.status.collisionCount == 0)
    let partly = decide(set, (0..<2).map { Self.pod(set, $0, revision: "db-2") }, rolling)
    #expect(partly.status.currentRevision == "db-1" && partly.status.updatedReplicas == 2)
  }

  @Test func aLostLabelIsGivenBack() {
    let set = Self.makeSet(replicas: 1)
    var pod = Self.pod(set, 0)
    pod.metadata.labels["apps.kubernetes.io/pod-index"] = nil
    #expect(names(decide(set, [pod], steady)) == ["identify db-0"])
  }

  @Test func namesThatAreNotOrdinalsAreNobodys() {
    let set = Self.makeSet()
    for name in ["db-+1", "db--1", "db-x", "db", "other-1", "db-99999999999"] {
      #expect(StatefulSetPod.ordinal(makePod(name), of: set) == nil, "\(name)")
    }
    #expect(StatefulSetPod.owns(set, claim: "data-db-12") && !StatefulSetPod.owns(set, claim: "data-db-x"))
  }

  // MARK: Claims

  private func claim(_ ordinal: Int, _ owners: [OwnerReference] = []) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
      $0.metadata.name = "data-db-\(ordinal)"
      $0.metadata.namespace = "default"
      $0.metadata.ownerReferences = owners
    }
  }

  private func keeping(_ deleted: String, _ scaled: String, replicas: Int32 = 2) -> StatefulSet {
    var set = Self.makeSet(replicas: replicas)
    set.spec.persistentVolumeClaimRetentionPolicy = StatefulSetPersistentVolumeClaimRetentionPolicy {
      $0.whenDeleted = deleted
      $0.whenScaled = scaled
    }
    return set
  }

  @Test(arguments: [
    ("Retain", "Retain", 0, ""), ("Delete", "Retain", 0, "set-uid"), ("Delete", "Retain", 5, "set-uid"),
    ("Retain", "Delete", 0, ""), ("Retain", "Delete", 5, "db-5-uid"), ("Delete", "Delete", 0, "set-uid"),
    ("Delete", "Delete", 5, "db-5-uid"),
  ])
  func claimsGoWithWhomThePolicySays(deleted: String, scaled: String, ordinal: Int, owner: String) {
    let set = keeping(deleted, scaled)
    let pod = Self.pod(set, ordinal)
    let retention = ClaimRetention(set)
    for before in [[], [OwnerReference.controller(of: set)], [.controller(of: pod)]] {
      let claim = claim(ordinal, before)
      let after = retention.corrected(claim, pod: pod) ?? claim
      #expect(after.metadata.ownerReferences.map(\.uid) == (owner.isEmpty ? [] : [owner]))
      #expect(retention.corrected(after, pod: pod) == nil)
    }
  }

  @Test func foreignOwnersOfClaimsStay() {
    let set = keeping("Delete", "Delete")
    let pod = Self.pod(set, 0)
    var foreign = OwnerReference.controller(of: makeService())
    foreign.uid = "other"
    #expect(ClaimRetention(set).corrected(claim(0, [foreign]), pod: pod) == nil)
    let mixed = ClaimRetention(set).corrected(claim(0, [foreign, .controller(of: set)]), pod: pod)
    #expect(mixed?.metadata.ownerReferences == [foreign])
    var byHand = OwnerReference.controller(of: set)
    byHand.controller = nil
    #expect(ClaimRetention(set).corrected(claim(0, [byHand]), pod: pod) == nil)
  }

  @Test func aPodWaitsForTheClaimOfTheOneBefore() {
    let set = keeping("Retain", "Delete")
    var before = Self.pod(set, 1)
    before.metadata.uid = "earlier"
    let pods = [Self.pod(set, 0)]
    let stale = decide(set, pods, steady, claims: [claim(0), claim(1, [.controller(of: before)])])
    #expect(stale.actions.isEmpty)
    #expect(names(decide(set, pods, steady, claims: [claim(0), claim(1)])) == ["+db-1"])
  }

  @Test func claimsOfPodsThatGoAreGivenToThemFirst() {
    let set = keeping("Retain", "Delete", replicas: 1)
    let pods = (0..<2).map { Self.pod(set, $0) }
    let decision = decide(set, pods, steady, claims: [claim(0), claim(1)])
    #expect(names(decision) == ["own data-db-1", "-db-1"])
  }

  // MARK: Convergence

  /// Any set reaches what it wants, and then leaves it alone.
  @Test(arguments: 0..<60)
  func convergesFromAnywhere(seed: UInt64) {
    var random = SplitMix(state: seed)
    var set = keeping(
      Bool.random(using: &random) ? "Delete" : "Retain", Bool.random(using: &random) ? "Delete" : "Retain",
      replicas: .random(in: 0...5, using: &random))
    set.spec.podManagementPolicy = Bool.random(using: &random) ? "Parallel" : "OrderedReady"
    set.spec.ordinals = StatefulSetOrdinals { $0.start = .random(in: 0...2, using: &random) }
    let partition = Int32.random(in: 0...3, using: &random)
    set.spec.updateStrategy.rollingUpdate = RollingUpdateStatefulSetStrategy {
      $0.partition = partition
      if Bool.random(using: &random) { $0.maxUnavailable = .int(.random(in: 1...3, using: &random)) }
    }
    set.status.currentRevision = "db-1"
    var pods: [Int: Pod] = [:]
    var claims: [String: PersistentVolumeClaim] = [:]
    for ordinal in 0..<8 where Bool.random(using: &random) {
      let revision = ["db-0", "db-1", "db-2"].randomElement(using: &random) ?? ""
      var pod = Self.pod(set, ordinal, revision: revision)
      if Int.random(in: 0..<5, using: &random) == 0 { pod.status.phase = "Failed" }
      if Int.random(in: 0..<5, using: &random) == 0 { pod.metadata.deletionTimestamp = moment }
      pods[ordinal] = pod
    }
    var quiet = false
    for _ in 0..<60 where !quiet {
      let history = StatefulSetDecision.History(
        currentTemplate: template(image: "db:1"), currentRevision: set.status.currentRevision,
        updateRevision: "db-2")
      let decision = StatefulSetDecision.decide(
        set, pods: Array(pods.values), claims: claims, history: history, now: moment)
      quiet =
        decision.actions.isEmpty && decision.status == set.status && !pods.values.contains { $0.isBeingDeleted }
      set.status = decision.status
      var made = 0
      for action in decision.actions {
        switch action {
        case .create(let ordinal, let pod):
          made += 1
          #expect(pods[ordinal] == nil)
          for claim in StatefulSetPod.claims(set, ordinal) where claims[claim.metadata.name] == nil {
            claims[claim.metadata.name] = claim
          }
          var running = pod
          running.metadata.uid = "\(pod.metadata.name)-\(random.next())"
          running.status = makePod(pod.metadata.name).status
          pods[ordinal] = running
        case .delete(let pod): pods[StatefulSetPod.ordinal(pod, of: set) ?? -1]?.metadata.deletionTimestamp = moment
        case .identify(let pod): pods[StatefulSetPod.ordinal(pod, of: set) ?? -1] = pod
        case .own(let claim): claims[claim.metadata.name] = claim
        case .claims: break
        }
      }
      if set.spec.podManagementPolicy == "OrderedReady" { #expect(made <= 1) }
      // What is being deleted goes, with the claims that it owns, unless it has just been told to.
      for (ordinal, pod) in pods where pod.isBeingDeleted && Bool.random(using: &random) {
        pods[ordinal] = nil
        claims = claims.filter { claim in !claim.value.metadata.ownerReferences.contains { $0.uid == pod.metadata.uid }
        }
        quiet = false
      }
    }
    #expect(quiet)
    #expect(Set(pods.keys) == Set(StatefulSetPod.ordinals(set)))
    for (ordinal, pod) in pods where ordinal >= StatefulSetPod.ordinals(set).lowerBound + Int(partition) {
      #expect(pod.metadata.labels["controller-revision-hash"] == "db-2")
    }
  }
}

/// What the controller makes of its decisions.
@Suite struct StatefulSetControllerTests {
  @Test func revisionsAreKeptAdoptedAndTrimmed() async throws {
    try await withControllers(["statefulset-controller"]) { api, client in
      var set = StatefulSetDecisionTests.makeSet(replicas: 0)
      set.metadata.uid = ""
      set.spec.revisionHistoryLimit = 1
      // An orphan of an earlier set of this name.
      var orphan = try Revisions.make(template(image: "db:0"), for: set, collisions: nil, style: .statefulSet)
      orphan.metadata.ownerReferences = []
      orphan.revision = 7
      try await client.create(orphan)
      try await client.create(set)
      #expect(await eventually { api.objects(ControllerRevision.self).map(\.revision).sorted() == [7, 8] })
      #expect(
        await eventually {
          api.objects(ControllerRevision.self).allSatisfy { $0.metadata.controllerOwner?.name == "db" }
        })
      for image in ["db:2", "db:3", "db:1"] {
        try api.modify(StatefulSet.self, namespace: "default", name: "db") {
          $0.spec.template = template(image: image)
        }
        #expect(
          await eventually {
            let newest = api.objects(ControllerRevision.self).max { $0.revision < $1.revision }
            return newest.flatMap(Revisions.template)?.spec.containers.first?.image == image
          })
      }
      #expect(
        await eventually {
          let newest = api.objects(ControllerRevision.self).max { $0.revision < $1.revision }
          let status = api.object(StatefulSet.self, namespace: "default", name: "db")?.status
          return api.objects(ControllerRevision.self).count == 2 && status?.updateRevision == newest?.metadata.name
        })
    }
  }

  @Test func aTakenNameOfARevisionIsCounted() async throws {
    try await withControllers(["statefulset-controller"]) { api, client in
      var set = StatefulSetDecisionTests.makeSet(replicas: 0)
      set.metadata.uid = ""
      var taken = try Revisions.make(set.spec.template, for: set, collisions: nil, style: .statefulSet)
      taken.data = try Revisions.data(template(image: "other"))
      taken.metadata.labels = [:]
      taken.metadata.ownerReferences = []
      try await client.create(taken)
      try await client.create(set)
      #expect(
        await eventually {
          let status = api.object(StatefulSet.self, namespace: "default", name: "db")?.status
          return status?.collisionCount == 1 && status?.updateRevision.isEmpty == false
        })
      #expect(api.objects(ControllerRevision.self).count == 2)
    }
  }
}
