import API
import APIMachinery
import Testing

@testable import Quota

@Suite struct QuotaTests {
  private func pod(_ requests: [[String: Quantity]], limits: [String: Quantity] = [:]) -> Pod {
    Pod { pod in
      pod.spec.containers = requests.enumerated().map { index, request in
        Container {
          $0.name = "c\(index)"
          $0.resources.requests = request
          $0.resources.limits = limits
        }
      }
    }
  }

  @Test func podsTakeWhatTheyAskFor() {
    let usage = QuotaUsage.of(
      pod(
        [["cpu": Quantity(milli: 100), "example.com/gpu": 2], ["cpu": Quantity(milli: 200)]], limits: ["memory": 7]),
      now: Time.now)
    #expect(usage["pods"] == 1)
    #expect(usage["count/pods"] == 1)
    #expect(usage["cpu"] == Quantity(milli: 300))
    #expect(usage["requests.cpu"] == Quantity(milli: 300))
    #expect(usage["limits.memory"] == 14)
    #expect(usage["requests.example.com/gpu"] == 2)
    #expect(usage["example.com/gpu"] == nil)
    #expect(usage["limits.cpu"] == nil)
  }

  @Test func podsThatHaveEndedTakeOnlyTheirPlace() {
    var ended = pod([["cpu": 1]])
    ended.status.phase = "Succeeded"
    #expect(QuotaUsage.of(ended, now: Time.now) == ["count/pods": 1])
    var going = pod([["cpu": 1]])
    going.metadata.deletionTimestamp = Time.now.adding(seconds: -100)
    going.metadata.deletionGracePeriodSeconds = 30
    #expect(QuotaUsage.of(going, now: Time.now) == ["count/pods": 1])
    going.metadata.deletionGracePeriodSeconds = 300
    #expect(QuotaUsage.of(going, now: Time.now)["pods"] == 1)
  }

  @Test func servicesTakePortsAndBalancers() {
    func usage(_ type: String, ports: [Int32], allocate: Bool? = nil) -> [Quantity?] {
      let usage = QuotaUsage.of(
        Service { service in
          service.spec.type = type
          service.spec.allocateLoadBalancerNodePorts = allocate
          service.spec.ports = ports.map { port in ServicePort { $0.nodePort = port } }
        })
      return ["services", "services.nodeports", "services.loadbalancers"].map { usage[$0] }
    }
    #expect(usage("ClusterIP", ports: [0, 0]) == [1, 0, 0])
    #expect(usage("NodePort", ports: [0, 0]) == [1, 2, 0])
    #expect(usage("LoadBalancer", ports: [0, 0]) == [1, 2, 1])
    #expect(usage("LoadBalancer", ports: [0, 30000], allocate: false) == [1, 1, 1])
  }

  @Test func claimsTakeStorageByClass() {
    let usage = QuotaUsage.of(
      PersistentVolumeClaim {
        $0.spec.storageClassName = "fast"
        $0.spec.resources.requests = ["storage": 5]
        $0.status.allocatedResources = ["storage": 8]
      })
    #expect(usage["requests.storage"] == 8)
    #expect(usage["fast.storageclass.storage.k8s.io/requests.storage"] == 8)
    #expect(usage["fast.storageclass.storage.k8s.io/persistentvolumeclaims"] == 1)
  }

  @Test func kindsAreCountedByName() {
    let deployments = GroupResource(group: "apps", resource: "deployments")
    #expect(QuotaUsage.count(deployments) == ["count/deployments.apps": 1])
    #expect(QuotaUsage.counted(by: "count/deployments.apps") == deployments)
    #expect(QuotaUsage.count(GroupResource(group: "", resource: "secrets")) == ["count/secrets": 1, "secrets": 1])
    #expect(QuotaUsage.counted(by: "requests.cpu") == nil)
  }

  @Test func containersMustSayWhatIsLimited() {
    let some = pod([["cpu": 1], ["memory": 1]])
    #expect(
      QuotaUsage.missing(some, limited: ["requests.cpu", "memory", "pods"])
        == "must specify memory for: c0; requests.cpu for: c1")
    #expect(QuotaUsage.missing(some, limited: ["requests.ephemeral-storage"]) == nil)
  }

  @Test(arguments: [
    ("Terminating", "Exists", [], false), ("NotTerminating", "Exists", [], true), ("BestEffort", "Exists", [], false),
    ("NotBestEffort", "Exists", [], true), ("PriorityClass", "In", ["high"], true),
    ("PriorityClass", "NotIn", ["high"], false), ("PriorityClass", "Exists", [], true),
    ("PriorityClass", "DoesNotExist", [], false), ("CrossNamespacePodAffinity", "Exists", [], false),
  ])
  func scopes(_ scope: String, _ operation: String, _ values: [String], _ covers: Bool) {
    var pod = pod([["cpu": 1]])
    pod.spec.priorityClassName = "high"
    let spec = ResourceQuotaSpec { spec in
      spec.scopeSelector = ScopeSelector {
        $0.matchExpressions = [
          ScopedResourceSelectorRequirement {
            $0.scopeName = scope
            $0.operator = operation
            $0.values = values
          }
        ]
      }
    }
    #expect(spec.covers(pod) == covers)
    #expect(!spec.coversPlainObjects)
  }
}
