public import API
public import Client
public import Logging

/// Lets a cloud answer for nodes, Services and routes: upstream's controllers over one provider.
public final class CloudControllerManager: Sendable {
  private let context: CloudContext
  private let controllers: [any Controller]

  /// Makes the controllers that the configuration names and the provider can serve; they do nothing until `run`. The
  /// informers are run by whoever made them.
  public convenience init(
    client: APIClient, informers: InformerFactory, provider: any CloudProvider,
    configuration: Configuration = Configuration(), logger: Logger
  ) {
    self.init(
      CloudContext(
        client: client, informers: informers, provider: provider, configuration: configuration, logger: logger,
        now: { Time.now }))
  }

  init(_ context: CloudContext) {
    self.context = context
    controllers = Self.make(context)
  }

  /// The names of the controllers that `run` runs.
  public var controllerNames: [String] { controllers.map(\.name) }

  /// Runs until the task is cancelled. With leader election, waits to lead first and throws `LeadershipLost` when
  /// another instance took over.
  public func run() async throws {
    let settings = context.configuration
    guard settings.leaderElect else { return try await runControllers() }
    let elector = LeaderElector(
      client: context.client, namespace: settings.leaseNamespace, name: settings.leaseName, identity: settings.identity,
      leaseDuration: settings.leaseDuration, renewDeadline: settings.renewDeadline, retryPeriod: settings.retryPeriod,
      logger: context.logger)
    try await elector.run { [self] in try await runControllers() }
  }

  private func runControllers() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [context] in
        try await context.provider.run(client: context.client, informers: context.informers)
      }
      for controller in controllers {
        group.addTask { [logger = context.logger] in
          logger.debug("controller \(controller.name) starts")
          try await controller.run()
        }
      }
      try await group.waitForAll()
    }
  }

  static func make(_ context: CloudContext) -> [any Controller] {
    let (configuration, provider, logger) = (context.configuration, context.provider, context.logger)
    return knownControllers.filter(configuration.isEnabled).compactMap { name -> (any Controller)? in
      switch name {
      case "cloud-node-controller": return CloudNodeController(context)
      case "cloud-node-lifecycle-controller": return CloudNodeLifecycleController(context)
      case "service-lb-controller":
        if provider.hasLoadBalancers { return ServiceController(context) }
        logger.notice("cloud provider \(provider.name) has no load balancers: the service controller does not start")
        return nil
      default:
        guard configuration.allocateNodeCIDRs, configuration.configureCloudRoutes else {
          logger.debug(
            "no cloud routes: allocate-node-cidrs \(configuration.allocateNodeCIDRs), configure-cloud-routes \(configuration.configureCloudRoutes)"
          )
          return nil
        }
        guard provider.hasRoutes else {
          logger.notice("cloud provider \(provider.name) has no routes: the route controller does not start")
          return nil
        }
        return RouteController(context)
      }
    }
  }
}
