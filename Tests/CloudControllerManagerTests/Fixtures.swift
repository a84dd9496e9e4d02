import API
import Client
import Logging
import Synchronization

@testable import CloudControllerManager

/// Time for deciders: a fixed moment.
let moment = Time(seconds: 1_700_000_000)

func makeNode(
  _ name: String, ready: Bool? = true, addresses: [(String, String)] = [], taints: [String] = [],
  _ change: (inout Node) -> Void = { _ in }
) -> Node {
  Node {
    $0.metadata.name = name
    $0.metadata.uid = name + "-uid"
    $0.spec.taints = taints.map { key in
      Taint {
        $0.key = key
        $0.value = "true"
        $0.effect = "NoSchedule"
      }
    }
    $0.status.addresses = addresses.map { type, address in
      NodeAddress {
        $0.type = type
        $0.address = address
      }
    }
    if let ready {
      $0.status.conditions = [
        NodeCondition {
          $0.type = "Ready"
          $0.status = ready ? "True" : "False"
        }
      ]
    }
    change(&$0)
  }
}

func makeService(_ name: String = "web", type: String = "LoadBalancer", _ change: (inout Service) -> Void = { _ in })
  -> Service
{
  Service {
    $0.metadata.name = name
    $0.metadata.namespace = "default"
    $0.metadata.uid = name + "-uid"
    $0.metadata.creationTimestamp = moment
    $0.spec.type = type
    $0.spec.ipFamilies = ["IPv4"]
    $0.spec.externalTrafficPolicy = "Cluster"
    $0.spec.ports = [
      ServicePort {
        $0.port = 80
        $0.nodePort = 30_080
        $0.protocol = "TCP"
      }
    ]
    change(&$0)
  }
}

func makeSlice(_ service: String, on nodes: [String], ready: Bool = true) -> EndpointSlice {
  EndpointSlice {
    $0.metadata.name = service + "-1"
    $0.metadata.namespace = "default"
    $0.metadata.labels = ["kubernetes.io/service-name": service]
    $0.addressType = "IPv4"
    $0.endpoints = nodes.enumerated().map { index, node in
      Endpoint {
        $0.addresses = ["10.244.0.\(index + 2)"]
        $0.nodeName = node
        $0.conditions.ready = ready
      }
    }
  }
}

/// A cloud in memory, which notes what is asked of it.
final class FakeCloud: CloudProvider {
  struct State: Sendable {
    var metadata: [String: InstanceMetadata] = [:]
    var missing: Set<String> = []
    var stopped: Set<String> = []
    var balancers: [String: [String]] = [:]
    var routes: [CloudRoute] = []
    var calls: [String] = []
    var failure: (any Error)?
  }

  let name = "fake"
  let hasLoadBalancers = true
  let hasRoutes = true
  let state: Mutex<State>

  init(_ change: (inout State) -> Void = { _ in }) {
    var state = State()
    change(&state)
    self.state = Mutex(state)
  }

  var calls: [String] { state.withLock { $0.calls } }

  private func note<Value: Sendable>(_ call: String, _ body: (inout State) throws -> Value) throws -> Value {
    try state.withLock { state in
      state.calls.append(call)
      if let failure = state.failure { throw failure }
      return try body(&state)
    }
  }

  func instanceExists(_ node: Node) async throws -> Bool {
    state.withLock { !$0.missing.contains(node.metadata.name) }
  }
  func instanceShutdown(_ node: Node) async throws -> Bool {
    state.withLock { $0.stopped.contains(node.metadata.name) }
  }
  func instanceMetadata(_ node: Node) async throws -> InstanceMetadata {
    guard let found = state.withLock({ $0.metadata[node.metadata.name] }) else {
      throw CloudProviderError.instanceNotFound
    }
    return found
  }

  func loadBalancer(cluster: String, _ service: Service) async throws -> LoadBalancerStatus? {
    state.withLock { $0.balancers[service.metadata.name].map { _ in LoadBalancerStatus() } }
  }
  func ensureLoadBalancer(cluster: String, _ service: Service, nodes: [Node]) async throws -> LoadBalancerStatus {
    try note("ensure \(service.metadata.name)") { state in
      state.balancers[service.metadata.name] = nodes.map(\.metadata.name)
      var status = LoadBalancerStatus()
      status.ingress = [LoadBalancerIngress { $0.hostname = "\(service.metadata.name).\(cluster).example" }]
      return status
    }
  }
  func updateLoadBalancer(cluster: String, _ service: Service, nodes: [Node]) async throws {
    try note("update \(service.metadata.name)") { $0.balancers[service.metadata.name] = nodes.map(\.metadata.name) }
  }
  func deleteLoadBalancer(cluster: String, _ service: Service) async throws {
    try note("delete \(service.metadata.name)") { $0.balancers[service.metadata.name] = nil }
  }

  func routes(cluster: String) async throws -> [CloudRoute] { state.withLock { $0.routes } }
  func createRoute(cluster: String, _ route: CloudRoute, to node: Node) async throws {
    try note("route \(route.destinationCIDR)") { $0.routes.append(route) }
  }
  func deleteRoute(cluster: String, _ route: CloudRoute) async throws {
    state.withLock { state in state.routes.removeAll { $0 == route } }
  }
}

/// Cloud controllers over an API server in memory, for as long as the body runs.
func withControllers(
  _ names: [String], api: MemoryAPI = MemoryAPI(), provider: (APIClient, InformerFactory) -> any CloudProvider,
  configure: (inout CloudControllerManager.Configuration) -> Void = { _ in },
  _ body: (MemoryAPI, APIClient) async throws -> Void
) async throws {
  var configuration = CloudControllerManager.Configuration()
  configuration.controllers = names
  configuration.nodeMonitorPeriod = .milliseconds(20)
  configuration.nodeStatusUpdateFrequency = .milliseconds(20)
  configuration.routeReconciliationPeriod = .milliseconds(20)
  configure(&configuration)
  let client = api.client()
  let informers = InformerFactory(client: client)
  let manager = CloudControllerManager(
    client: client, informers: informers, provider: provider(client, informers), configuration: configuration,
    logger: Logger(label: "test"))
  let tasks = [
    Task { try await informers.run() },
    Task { try await manager.run() },
  ]
  defer { for task in tasks { task.cancel() } }
  try await body(api, client)
}

/// Waits until something holds; gives up after some seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
  for _ in 0..<5_000 {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(1))
  }
  return condition()
}

extension MemoryAPI {
  func reasons(_ name: String) -> [String] {
    objects(Event.self).filter { $0.involvedObject.name == name }.map(\.reason)
  }
  func message(_ reason: String) -> String? { objects(Event.self).first { $0.reason == reason }?.message }
  func service(_ name: String = "web") -> Service? { object(Service.self, namespace: "default", name: name) }
}
