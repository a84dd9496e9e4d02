import API
import Client
import Logging

/// Keeps a route in the cloud for every node's pod ranges, and tells nodes' conditions about it.
final class RouteController: Controller {
  let name = "node-route-controller"
  private let client: APIClient
  private let provider: any CloudProvider
  private let nodes: Informer<Node>
  private let recorder: EventRecorder
  private let configuration: CloudControllerManager.Configuration
  private let cluster: [AddressRange]
  private let now: @Sendable () -> Time
  private let logger: Logger

  init(_ context: CloudContext) {
    client = context.client
    provider = context.provider
    nodes = context.informers.informer(Node.self)
    recorder = context.recorder("route_controller")
    configuration = context.configuration
    cluster = configuration.clusterCIDR.split(separator: ",").compactMap { AddressRange(String($0)) }
    now = context.now
    logger = context.logger(name)
  }

  func run() async throws {
    try await nodes.waitForSync()
    try await every(
      configuration.routeReconciliationPeriod,
      failed: { [logger] in logger.warning("Couldn't reconcile node routes: \(text($0))") }
    ) { [self] in try await reconcile() }
  }

  func reconcile() async throws {
    let routes: [CloudRoute]
    do {
      routes = try await provider.routes(cluster: configuration.clusterName)
    } catch {
      throw Failure("error listing routes: \(text(error))")
    }
    let nodes = nodes.lister.list()
    let byName = Dictionary(nodes.map { ($0.metadata.name, $0) }) { $1 }
    let plan = RoutePlan(nodes: nodes, routes: routes, cluster: cluster)
    // A range that moved from one node to another can only be routed anew once the old route is gone.
    for route in plan.delete { await delete(route) }
    var failed: Set<String> = []
    for missing in plan.create {
      guard let node = byName[missing.node] else { continue }
      if await !create(missing.range, for: node) { failed.insert(missing.node) }
    }
    for node in nodes {
      let name = node.metadata.name
      let created = !RoutePlan.ranges(node).isEmpty && !failed.contains(name)
      guard let condition = RoutePlan.condition(of: node, routesCreated: created, now: now()) else { continue }
      do {
        try await client.patchCondition(of: node, condition)
      } catch {
        logger.warning("error updating node \(name): \(text(error))")
      }
    }
  }

  private func create(_ range: String, for node: Node) async -> Bool {
    let name = node.metadata.name
    let hint = node.metadata.uid
    let begin = ContinuousClock.now
    do {
      try await provider.createRoute(
        cluster: configuration.clusterName, CloudRoute(name: hint, targetNode: name, destinationCIDR: range), to: node)
      logger.info("created route for node \(name) \(range) with hint \(hint)")
      return true
    } catch {
      let message =
        "Could not create route \(hint) \(range) for node \(name) after \(ContinuousClock.now - begin): \(text(error))"
      recorder.event(node, type: "Warning", reason: "FailedToCreateRoute", message: message)
      logger.warning("\(message)")
      return false
    }
  }

  private func delete(_ route: CloudRoute) async {
    do {
      try await provider.deleteRoute(cluster: configuration.clusterName, route)
      logger.info("deleted route \(route.name) \(route.destinationCIDR)")
    } catch {
      logger.warning("Could not delete route \(route.name) \(route.destinationCIDR): \(text(error))")
    }
  }
}
