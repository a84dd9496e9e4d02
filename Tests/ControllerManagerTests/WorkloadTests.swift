import API
import Client
import Testing

@testable import ControllerManager

@Suite struct StatefulSetTests {
  private func makeSet(replicas: Int32 = 3) -> StatefulSet {
    StatefulSet {
      $0.metadata.name = "db"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "set"
      $0.metadata.generation = 1
      $0.spec.replicas = replicas
      $0.spec.serviceName = "db"
      $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
      $0.spec.template = template(image: "db:1")
      $0.spec.updateStrategy.type = "RollingUpdate"
      $0.spec.volumeClaimTemplates = [PersistentVolumeClaim { $0.metadata.name = "data" }]
    }
  }

  private func history(_ current: String = "db-1", _ update: String = "db-1") -> StatefulSetDecision.History {
    .init(currentTemplate: template(image: "db:1"), currentRevision: current, updateRevision: update)
  }

  private func pod(_ set: StatefulSet, _ ordinal: Int, revision: String = "db-1", ready: Bool = true) -> Pod {
    var pod = StatefulSetPod.make(set, set.spec.template, revision: revision, ordinal: ordinal)
    pod.metadata.uid = pod.metadata.name
    let model = makePod(pod.metadata.name, ready: ready)
    pod.status = model.status
    pod.spec.nodeName = "node-1"
    return pod
  }

  @Test func growsOneAtATimeInOrder() {
    let set = makeSet()
    func next(_ pods: [Pod]) -> [StatefulSetDecision.Action] {
      StatefulSetDecision.decide(set, pods: pods, history: history(), now: moment).actions
    }
    guard case .create(0, let first)? = next([]).first else {
      Issue.record("does not begin at zero")
      return
    }
    #expect(first.metadata.name == "db-0")
    #expect(first.spec.hostname == "db-0")
    #expect(first.metadata.labels["statefulset.kubernetes.io/pod-name"] == "db-0")
    #expect(first.spec.volumes.first?.persistentVolumeClaim?.claimName == "data-db-0")
    #expect(next([pod(set, 0, ready: false)]).isEmpty)
    guard case .create(1, _)? = next([pod(set, 0)]).first else {
      Issue.record("does not go on")
      return
    }
    #expect(next((0..<3).map { pod(set, $0) }).isEmpty)
  }

  @Test func shrinksFromTheTop() {
    let set = makeSet(replicas: 1)
    let actions = StatefulSetDecision.decide(
      set, pods: (0..<3).map { pod(set, $0) }, history: history(), now: moment
    ).actions
    guard actions.count == 1, case .delete(let victim) = actions[0] else {
      Issue.record("wrong: \(actions)")
      return
    }
    #expect(victim.metadata.name == "db-2")
  }

  @Test func updatesFromTheTopDownToThePartition() {
    var set = makeSet()
    set.spec.updateStrategy.rollingUpdate = RollingUpdateStatefulSetStrategy { $0.partition = 2 }
    let old = (0..<3).map { pod(set, $0) }
    let news = history("db-1", "db-2")
    let update = StatefulSetDecision.decide(set, pods: old, history: news, now: moment)
    guard case .delete(let victim)? = update.actions.first else {
      Issue.record("does not update")
      return
    }
    #expect(victim.metadata.name == "db-2")
    let partly = [old[0], old[1], pod(set, 2, revision: "db-2")]
    let done = StatefulSetDecision.decide(set, pods: partly, history: news, now: moment)
    #expect(done.actions.isEmpty)
    #expect(done.status.updatedReplicas == 1)
    #expect(done.status.currentRevision == "db-1")
  }

  @Test func theControllerMakesPodsClaimsAndRevisions() async throws {
    try await withControllers(["statefulset-controller"]) { api, client in
      var set = makeSet(replicas: 2)
      set.metadata.uid = ""
      try await client.create(set)
      #expect(
        await eventually {
          for pod in api.objects(Pod.self) where !pod.isReady {
            _ = try? api.modify(Pod.self, namespace: "default", name: pod.metadata.name) {
              $0.status = makePod("x").status
            }
          }
          return api.object(StatefulSet.self, namespace: "default", name: "db")?.status.readyReplicas == 2
        })
      #expect(api.objects(Pod.self).map(\.metadata.name) == ["db-0", "db-1"])
      #expect(api.objects(PersistentVolumeClaim.self).map(\.metadata.name) == ["data-db-0", "data-db-1"])
      #expect(api.objects(ControllerRevision.self).count == 1)
    }
  }
}

@Suite struct DaemonSetTests {
  private func makeSet() -> DaemonSet {
    DaemonSet {
      $0.metadata.name = "agent"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "set"
      $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
      $0.spec.template = template(image: "agent:1")
    }
  }

  private func node(_ name: String, _ change: (inout Node) -> Void = { _ in }) -> Node {
    var node = Node { $0.metadata.name = name }
    change(&node)
    return node
  }

  private func taint(_ key: String, _ effect: String) -> (inout Node) -> Void {
    { node in
      node.spec.taints = [
        Taint {
          $0.key = key
          $0.effect = effect
        }
      ]
    }
  }

  @Test func wantsAPodOnEveryNodeThatSuits() {
    let nodes = [
      node("a"), node("b", taint("mine", "NoSchedule")),
      node("c", taint("node.kubernetes.io/not-ready", "NoExecute")), node("d") { $0.spec.unschedulable = true },
    ]
    let decision = DaemonSetDecision.decide(makeSet(), nodes: nodes, pods: [], revision: "1", now: moment)
    #expect(decision.create == ["a", "c", "d"])
    #expect(decision.status.desiredNumberScheduled == 3)
    let pod = DaemonSetPlacement.pod(makeSet(), node: "a", revision: "1")
    #expect(DaemonSetPlacement.node(of: pod) == "a")
  }

  @Test func replacesOutdatedPodsAFewAtATime() {
    let nodes = [node("a"), node("b"), node("c")]
    let pods = nodes.map { node in
      var pod = makePod("agent-\(node.metadata.name)", node: node.metadata.name)
      pod.metadata.labels["controller-revision-hash"] = "1"
      return pod
    }
    let rest = DaemonSetDecision.decide(makeSet(), nodes: nodes, pods: pods, revision: "1", now: moment)
    #expect(rest.create.isEmpty && rest.delete.isEmpty)
    #expect(rest.status.numberAvailable == 3)
    let update = DaemonSetDecision.decide(makeSet(), nodes: nodes, pods: pods, revision: "2", now: moment)
    #expect(update.delete.count == 1)
    let gone = DaemonSetDecision.decide(
      makeSet(), nodes: Array(nodes.dropLast()), pods: pods, revision: "1", now: moment)
    #expect(gone.create.isEmpty)
  }

  @Test func theControllerFollowsNodes() async throws {
    try await withControllers(["daemonset-controller"]) { api, client in
      var set = makeSet()
      set.metadata.uid = ""
      try await client.create(node("a"))
      try await client.create(set)
      #expect(await eventually { api.objects(Pod.self).count == 1 })
      try await client.create(node("b"))
      #expect(await eventually { api.objects(Pod.self).count == 2 })
      #expect(
        await eventually {
          api.object(DaemonSet.self, namespace: "default", name: "agent")?.status.desiredNumberScheduled == 2
        })
    }
  }
}

@Suite struct JobTests {
  private func makeJob(completions: Int32? = 3, parallelism: Int32 = 2, mode: String = "NonIndexed") -> Job {
    Job {
      $0.metadata.name = "work"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "job"
      $0.spec.completions = completions
      $0.spec.parallelism = parallelism
      $0.spec.completionMode = mode
      $0.spec.backoffLimit = 2
      $0.spec.template = template(image: "work:1")
      $0.spec.template.spec.restartPolicy = "Never"
    }
  }

  @Test func writesIndexesAsRanges() {
    #expect(IndexSet("0,2-4,7").description == "0,2-4,7")
    #expect(IndexSet("0-1").description == "0,1")
    var set = IndexSet("0,2-4")
    #expect([set.insert(1), set.insert(1)] == [true, false])
    #expect(set.description == "0-4")
  }

  @Test(arguments: ["NonIndexed", "Indexed"])
  func runsToCompletion(mode: String) async throws {
    try await withControllers(["job-controller"]) { api, client in
      var job = makeJob(mode: mode)
      job.metadata.uid = ""
      try await client.create(job)
      var most = 0
      #expect(
        await eventually {
          let active = api.objects(Pod.self).filter(\.isActive)
          most = max(most, active.count)
          for pod in active.prefix(1) {
            _ = try? api.modify(Pod.self, namespace: "default", name: pod.metadata.name) {
              $0.status.phase = "Succeeded"
            }
          }
          return api.object(Job.self, namespace: "default", name: "work")?.status.conditions.isTrue("Complete") == true
        })
      let status = api.object(Job.self, namespace: "default", name: "work")?.status
      #expect(status?.succeeded == 3)
      #expect(most <= 2)
      #expect(status?.completionTime != nil)
      if mode == "Indexed" { #expect(status?.completedIndexes == "0-2") }
      #expect(
        await eventually { api.objects(Pod.self).allSatisfy { $0.metadata.finalizers.isEmpty } })
    }
  }

  @Test func givesUpBeyondTheBackoffLimit() {
    var job = makeJob()
    job.status.failed = 3
    job.status.startTime = moment
    let first = JobDecision.decide(job, pods: [], now: moment)
    #expect(first.create.isEmpty)
    #expect(first.status.conditions.condition("Failed")?.reason == "BackoffLimitExceeded")
    job.status = first.status
    #expect(JobDecision.decide(job, pods: [], now: moment).status == job.status)
  }

  @Test func countsAPodOnlyOnce() {
    var job = makeJob()
    var pod = makePod("p")
    pod.status.phase = "Succeeded"
    pod.metadata.finalizers = [JobDecision.finalizer]
    let first = JobDecision.decide(job, pods: [pod], now: moment)
    #expect(first.status.succeeded == 0)
    #expect(first.status.uncountedTerminatedPods?.succeeded == ["p-uid"])
    job.status = first.status
    let second = JobDecision.decide(job, pods: [pod], now: moment)
    #expect(second.release.map(\.metadata.name) == ["p"])
    #expect(second.status.succeeded == 0)
    pod.metadata.finalizers = []
    let third = JobDecision.decide(job, pods: [pod], now: moment)
    #expect(third.status.succeeded == 1)
    #expect(third.status.uncountedTerminatedPods?.succeeded.isEmpty == true)
    job.status = third.status
    #expect(JobDecision.decide(job, pods: [pod], now: moment).status.succeeded == 1)
  }
}
