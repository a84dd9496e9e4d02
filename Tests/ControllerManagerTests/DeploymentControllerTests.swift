import API
import Client
import Testing

@testable import ControllerManager

@Suite struct DeploymentControllerTests {
  @Test func rollsOutUpdatesAndTellsOfIt() async throws {
    try await withControllers(["deployment-controller", "replicaset-controller"]) { api, client in
      var deployment = makeDeployment()
      deployment.metadata.uid = ""
      try await client.create(deployment)
      #expect(await eventually { api.objects(Pod.self).count == 3 })
      func makeReady() {
        for pod in api.objects(Pod.self) where !pod.isReady {
          _ = try? api.modify(Pod.self, namespace: "default", name: pod.metadata.name) {
            $0.status.phase = "Running"
            $0.status.conditions = [
              PodCondition {
                $0.type = "Ready"
                $0.status = "True"
                $0.lastTransitionTime = moment
              }
            ]
          }
        }
      }
      func status() -> DeploymentStatus {
        api.object(Deployment.self, namespace: "default", name: "web")?.status ?? DeploymentStatus()
      }
      #expect(
        await eventually {
          makeReady()
          return status().availableReplicas == 3
        })
      let patch = #"{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:2"}]}}}}"#
      try await client.patch(Deployment.self, namespace: "default", name: "web", .strategic(Array(patch.utf8)))
      #expect(
        await eventually {
          makeReady()
          // One reading: parts of two would make a roll-out that has not begun look finished.
          let seen = status()
          return seen.conditions.condition("Progressing")?.reason == "NewReplicaSetAvailable"
            && seen.updatedReplicas == 3 && seen.replicas == 3 && seen.observedGeneration == 2
        })
      let pods = api.objects(Pod.self)
      #expect(pods.count == 3)
      #expect(pods.allSatisfy { $0.spec.containers.first?.image == "web:2" })
      #expect(
        api.object(Deployment.self, namespace: "default", name: "web")?
          .metadata.annotations["deployment.kubernetes.io/revision"] == "2")
      #expect(
        await eventually {
          api.objects(Event.self).contains {
            $0.reason == "ScalingReplicaSet" && $0.message.hasPrefix("Scaled up replica set web-")
              && $0.message.hasSuffix("from 0 to 3")
          }
        })
    }
  }

  @Test func aHashCollisionIsCountedAndOvercome() async throws {
    let api = MemoryAPI()
    var deployment = makeDeployment()
    deployment.metadata.uid = ""
    let name = DeploymentPlan.makeSet(for: deployment).metadata.name
    var stranger = makeReplicaSet(name: name)
    stranger.spec.template = template(image: "other")
    stranger.metadata.labels = ["app": "other"]
    try api.seed(stranger)
    try await withControllers(["deployment-controller"], api: api) { api, client in
      try await client.create(deployment)
      #expect(await eventually { api.objects(ReplicaSet.self).count == 2 })
      #expect(
        await eventually {
          api.object(Deployment.self, namespace: "default", name: "web")?.status.collisionCount == 1
        })
    }
  }
}
