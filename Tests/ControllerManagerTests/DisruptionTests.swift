import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

@Suite struct DisruptionTests {
  private func budget(_ change: (inout PodDisruptionBudget) -> Void) -> PodDisruptionBudget {
    PodDisruptionBudget {
      $0.metadata.name = "budget"
      $0.metadata.namespace = "default"
      var selector = LabelSelector()
      selector.matchLabels = ["app": "web"]
      $0.spec.selector = selector
      change(&$0)
    }
  }

  private func pod(_ name: String, ready: Bool = true) -> Pod {
    var pod = makePod(name)
    pod.metadata.labels = ["app": "web"]
    pod.status.conditions = [
      PodCondition {
        $0.type = "Ready"
        $0.status = ready ? "True" : "False"
      }
    ]
    return pod
  }

  private func allowed(_ budget: PodDisruptionBudget, _ pods: [Pod], scale: Int = 0) -> [Int32] {
    let expectation = DisruptionDecision.expectation(budget, pods: pods) { scale }
    let status = DisruptionDecision.decide(budget, pods: pods, expectation, now: moment).status
    return [status.expectedPods, status.desiredHealthy, status.currentHealthy, status.disruptionsAllowed]
  }

  @Test func countsWhatMayGo() {
    let pods = [pod("a"), pod("b"), pod("c"), pod("d", ready: false)]
    #expect(allowed(budget { $0.spec.minAvailable = .int(2) }, pods) == [4, 2, 3, 1])
    #expect(allowed(budget { $0.spec.minAvailable = .string("50%") }, pods, scale: 5) == [5, 3, 3, 0])
    #expect(allowed(budget { $0.spec.maxUnavailable = .int(3) }, pods, scale: 5) == [5, 2, 3, 1])
    #expect(allowed(budget { $0.spec.maxUnavailable = .string("20%") }, pods, scale: 4) == [4, 3, 3, 0])
    #expect(allowed(budget { $0.spec.minAvailable = .int(0) }, []) == [0, 0, 0, 0])
  }

  @Test func evictedPodsCountAsGoneForAWhile() {
    let budget = budget {
      $0.spec.minAvailable = .int(1)
      $0.status.disruptedPods = [
        "a": moment.adding(seconds: -10), "b": moment.adding(seconds: -500), "gone": moment,
      ]
    }
    let pods = [pod("a"), pod("b"), pod("c")]
    let expectation = DisruptionDecision.expectation(budget, pods: pods) { 3 }
    let decision = DisruptionDecision.decide(budget, pods: pods, expectation, now: moment)
    #expect(decision.status.currentHealthy == 2)
    #expect(decision.status.disruptedPods.keys.sorted() == ["a"])
    #expect(decision.notDeleted.map(\.metadata.name) == ["b"])
    #expect(decision.recheck == 110)
  }

  @Test func followsItsPods() async throws {
    try await withControllers(["disruption-controller"]) { api, client in
      for name in ["a", "b"] { try api.seed(pod(name)) }
      try api.seed(budget { $0.spec.minAvailable = .int(1) })
      func status() -> PodDisruptionBudgetStatus? {
        api.object(PodDisruptionBudget.self, namespace: "default", name: "budget")?.status
      }
      #expect(await eventually { status()?.disruptionsAllowed == 1 })
      #expect(status()?.conditions.condition("DisruptionAllowed")?.reason == "SufficientPods")
      try await client.delete(
        Pod.self, namespace: "default", name: "a", options: DeleteOptions { $0.gracePeriodSeconds = 0 })
      #expect(await eventually { status()?.disruptionsAllowed == 0 })
    }
  }

  @Test func podsWithoutControllerCannotBeScaled() async throws {
    try await withControllers(["disruption-controller"]) { api, client in
      try api.seed(
        ReplicaSet {
          $0.metadata.name = "set"
          $0.metadata.namespace = "default"
          $0.spec.replicas = 4
        })
      let set = try #require(api.object(ReplicaSet.self, namespace: "default", name: "set"))
      for name in ["a", "b", "c"] {
        var owned = pod(name)
        owned.metadata.ownerReferences = [.controller(of: set)]
        try api.seed(owned)
      }
      try api.seed(budget { $0.spec.maxUnavailable = .string("50%") })
      #expect(
        await eventually {
          let status = api.object(PodDisruptionBudget.self, namespace: "default", name: "budget")?.status
          return status?.expectedPods == 4 && status?.desiredHealthy == 2 && status?.disruptionsAllowed == 1
        })
    }
  }
}
