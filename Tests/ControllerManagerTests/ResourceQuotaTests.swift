import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

@Suite struct ResourceQuotaTests {
  private func quota(_ hard: ResourceList) -> ResourceQuota {
    ResourceQuota {
      $0.metadata.name = "limits"
      $0.metadata.namespace = "default"
      $0.spec.hard = hard
    }
  }

  @Test func countsWhatIsThereAndWhatIsNot() {
    let pod = Pod { pod in
      pod.spec.containers = [Container { $0.resources.requests = ["cpu": 2] }]
    }
    let used = QuotaCount.used(
      quota(["requests.cpu": 10, "pods": 5, "services": 3, "count/jobs.batch": 1]).spec, pods: [pod, pod], services: [],
      claims: [], now: Time.now)
    #expect(used == ["requests.cpu": 4, "pods": 2, "services": 0, "count/jobs.batch": 0])
  }

  @Test func countsAgainWhenSomethingGoesAndThenIsSilent() async throws {
    try await withControllers(["resourcequota-controller"]) { api, client in
      try api.seed(
        Pod {
          $0.metadata.name = "one"
          $0.metadata.namespace = "default"
          $0.spec.containers = [Container { $0.name = "c" }]
        })
      try api.seed(quota(["pods": 3]))
      func used() -> Quantity? {
        api.object(ResourceQuota.self, namespace: "default", name: "limits")?.status.used["pods"]
      }
      #expect(await eventually { used() == 1 })
      try await client.delete(
        Pod.self, namespace: "default", name: "one", options: DeleteOptions { $0.gracePeriodSeconds = 0 })
      #expect(await eventually { used() == 0 })
    }
  }
}
