import API
import Client
import Logging
import Synchronization

@testable import ControllerManager

/// Time for deciders: a fixed moment.
let moment = Time(seconds: 1_700_000_000)

func template(image: String, labels: [String: String] = ["app": "web"]) -> PodTemplateSpec {
  PodTemplateSpec {
    $0.metadata.labels = labels
    $0.spec.containers = [
      Container {
        $0.name = "main"
        $0.image = image
      }
    ]
  }
}

func makeDeployment(replicas: Int32 = 3, image: String = "web:1", type: String = "RollingUpdate") -> Deployment {
  Deployment {
    $0.metadata.name = "web"
    $0.metadata.namespace = "default"
    $0.metadata.uid = "deployment-uid"
    $0.metadata.generation = 1
    $0.spec.replicas = replicas
    $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
    $0.spec.template = template(image: image)
    $0.spec.strategy.type = type
    if type == "RollingUpdate" {
      $0.spec.strategy.rollingUpdate = RollingUpdateDeployment {
        $0.maxSurge = .string("25%")
        $0.maxUnavailable = .string("25%")
      }
    }
    $0.spec.revisionHistoryLimit = 10
    $0.spec.progressDeadlineSeconds = 600
  }
}

func makeReplicaSet(name: String = "web-1", replicas: Int32 = 3) -> ReplicaSet {
  ReplicaSet {
    $0.metadata.name = name
    $0.metadata.namespace = "default"
    $0.metadata.uid = name + "-uid"
    $0.spec.replicas = replicas
    $0.spec.selector = LabelSelector(matchLabels: ["app": "web"])
    $0.spec.template = template(image: "web:1")
  }
}

func makePod(
  _ name: String, node: String = "node-1", ready: Bool = true, labels: [String: String] = ["app": "web"]
) -> Pod {
  Pod {
    $0.metadata.name = name
    $0.metadata.namespace = "default"
    $0.metadata.uid = name + "-uid"
    $0.metadata.labels = labels
    $0.metadata.creationTimestamp = moment.adding(seconds: -100)
    $0.spec.nodeName = node
    $0.spec.containers = [
      Container {
        $0.name = "main"
        $0.ports = [
          ContainerPort {
            $0.name = "http"
            $0.containerPort = 8080
            $0.protocol = "TCP"
          }
        ]
      }
    ]
    $0.status.phase = "Running"
    $0.status.podIP = "10.0.0.\(name.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) & 127 } + 1)"
    $0.status.conditions = [
      PodCondition {
        $0.type = "Ready"
        $0.status = ready ? "True" : "False"
        $0.lastTransitionTime = moment.adding(seconds: -50)
      }
    ]
  }
}

func makeService(_ name: String = "web", port: IntOrString = .int(8080)) -> Service {
  Service {
    $0.metadata.name = name
    $0.metadata.namespace = "default"
    $0.metadata.uid = name + "-uid"
    $0.spec.selector = ["app": "web"]
    $0.spec.clusterIP = "10.96.0.10"
    $0.spec.ipFamilies = ["IPv4"]
    $0.spec.ports = [
      ServicePort {
        $0.name = "http"
        $0.port = 80
        $0.targetPort = port
        $0.protocol = "TCP"
      }
    ]
  }
}

/// A controller manager over an API server in memory, for as long as the body runs.
func withControllers(
  _ names: [String], api: MemoryAPI = MemoryAPI(),
  configure: (inout ControllerManager.Configuration) -> Void = { _ in },
  _ body: (MemoryAPI, APIClient) async throws -> Void
) async throws {
  var configuration = ControllerManager.Configuration()
  configuration.controllers = names
  configure(&configuration)
  let client = api.client()
  let informers = InformerFactory(client: client)
  let manager = ControllerManager(
    client: client, informers: informers, configuration: configuration, logger: Logger(label: "test"))
  let tasks = [
    Task { try await informers.run() },
    Task { try await manager.run() },
  ]
  defer { for task in tasks { task.cancel() } }
  try await body(api, client)
}

/// Waits until something holds; gives up after some seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
  for _ in 0..<25_000 {
    if condition() { return true }
    try? await Task.sleep(for: .microseconds(200))
  }
  return condition()
}

struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
