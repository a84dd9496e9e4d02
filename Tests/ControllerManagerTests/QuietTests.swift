import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

/// All controllers at once, over one server, with kubelets that do what they are told.
@Suite(.serialized) struct QuietTests {
  /// Starts and ends pods as kubelets and schedulers would, one pass; says whether there was anything to do.
  private func kubelets(_ api: MemoryAPI, nodes: [String]) -> Bool {
    var busy = false
    for (index, pod) in api.objects(Pod.self).enumerated() {
      if pod.isBeingDeleted {
        try? api.modify(Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name) {
          $0.status.phase = "Succeeded"
          $0.metadata.finalizers = []
        }
        busy = true
      } else if pod.status.phase.isEmpty || pod.status.phase == "Pending" {
        _ = try? api.modify(Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name) {
          $0.spec.nodeName = DaemonSetPlacement.node(of: pod) ?? nodes[index % nodes.count]
          $0.status = makePod(pod.metadata.name).status
          $0.status.conditions[0].lastTransitionTime = .now
          if pod.metadata.controllerOwner?.kind == "Job" { $0.status.phase = "Succeeded" }
        }
        busy = true
      }
    }
    return busy
  }

  @Test(.timeLimit(.minutes(1)), arguments: 0..<3 as Range<UInt64>)
  func nothingIsWrittenOnceAllIsWell(seed: UInt64) async throws {
    var random = SplitMix(state: seed)
    var configuration: [String] = ["*"]
    configuration.append("-garbage-collector-controller")
    try await withControllers(configuration) { api, client in
      for index in 0..<3 {
        try api.seed(
          Node {
            $0.metadata.name = "n\(index)"
            $0.metadata.annotations[AttachDecision.managedAnnotation] = "true"
            $0.status.conditions = [
              NodeCondition {
                $0.type = "Ready"
                $0.status = "True"
                $0.reason = "KubeletReady"
              }
            ]
          })
      }
      try await client.create(Namespace { $0.metadata.name = "default" })
      var deployment = makeDeployment(replicas: .random(in: 0...8, using: &random))
      deployment.metadata.uid = ""
      try await client.create(deployment)
      var set = StatefulSetDecisionTests.makeSet(replicas: .random(in: 0...4, using: &random))
      set.metadata.uid = ""
      set.spec.selector = LabelSelector(matchLabels: ["app": "db"])
      set.spec.template.metadata.labels = ["app": "db"]
      try await client.create(set)
      var daemons = DaemonSetDecisionTests.makeSet(surge: 1, unavailable: 0)
      daemons.metadata.uid = ""
      daemons.spec.selector = LabelSelector(matchLabels: ["app": "agent"])
      daemons.spec.template.metadata.labels = ["app": "agent"]
      try await client.create(daemons)
      try await client.create(
        Job {
          $0.metadata.name = "work"
          $0.metadata.namespace = "default"
          $0.spec.completions = .random(in: 1...4, using: &random)
          $0.spec.parallelism = 2
          $0.spec.backoffLimit = 6
          $0.spec.completionMode = "Indexed"
          $0.spec.template = template(image: "work:1", labels: ["app": "work"])
          $0.spec.template.spec.restartPolicy = "Never"
        })
      try await client.create(makeService())
      try await client.create(
        PodDisruptionBudget {
          $0.metadata.name = "budget"
          $0.metadata.namespace = "default"
          $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
          $0.spec.minAvailable = .int(1)
        })
      try await client.create(
        ServiceCIDR {
          $0.metadata.name = "range"
          $0.spec.cidrs = ["10.0.0.0/16"]
        })
      for version in 2...3 {
        try api.modify(Deployment.self, namespace: "default", name: "web") {
          $0.spec.template = template(image: "web:\(version)")
          $0.metadata.generation += 1
        }
        _ = kubelets(api, nodes: ["n0", "n1", "n2"])
      }
      // Until nothing was written for a while, then for as long again.
      var seen = -1
      var calm = 0
      for _ in 0..<400 where calm < 8 {
        let busy = kubelets(api, nodes: ["n0", "n1", "n2"])
        try await Task.sleep(for: .milliseconds(25))
        let writes = api.writes.filter { !$0.path.contains("/events") }.count
        calm = busy || writes != seen ? 0 : calm + 1
        seen = writes
      }
      #expect(calm == 8)
      let status = api.object(Deployment.self, namespace: "default", name: "web")?.status
      #expect(status?.availableReplicas == deployment.spec.replicas ?? 0 && status?.updatedReplicas == status?.replicas)
      #expect(
        api.object(StatefulSet.self, namespace: "default", name: "db")?.status.availableReplicas
          == set.spec.replicas ?? 0)
      #expect(api.object(DaemonSet.self, namespace: "default", name: "agent")?.status.numberAvailable == 3)
      #expect(api.object(Job.self, namespace: "default", name: "work")?.status.conditions.isTrue("Complete") == true)
    }
  }
}
