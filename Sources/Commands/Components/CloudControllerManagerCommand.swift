import ArgumentParser
import Client
import CloudControllerManager
import Logging
import ServiceLifecycle

/// The cloud's controllers by themselves, in place of a provider's cloud-controller-manager.
struct CloudControllerManagerCommand: ComponentCommand {
  static let configuration = CommandConfiguration(
    commandName: "cloud-controller-manager", abstract: "Run the cloud's controllers, as cloud-controller-manager.")

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  static let flags = GoFlags(
    component: "cloud-controller-manager",
    CommonFlags.base + CommonFlags.access + CommonFlags.leaderElection("cloud-controller-manager")
      + CommonFlags.serving(port: 10258) + own,
    elsewhere: [
      "leader-migration-config": "all controllers have one lease",
      "enable-leader-migration": "all controllers have one lease", "webhooks": "there are none",
    ])

  private static let own: [GoFlag] = [
    .text("cloud-provider", "", "The cloud: aws or metal."),
    .text("cloud-config", "", "The cloud's configuration file."),
    .text("load-balancer-pool", "", "Addresses that load balancers get on metal."),
    .list("controllers", "*", "Controllers to run: names, * for all, -name for all but one."),
    .text("cluster-name", "kubernetes", "The cluster's name in the cloud."),
    .text("cluster-cidr", "", "The addresses of pods: ranges outside of them get no routes."),
    .flag("allocate-node-cidrs", false, "Whether nodes' ranges are known to the cloud: routes need it."),
    .flag("configure-cloud-routes", true, "Make routes to nodes' ranges in the cloud."),
    .duration("node-status-update-frequency", "5m0s", "How often nodes' addresses are asked for."),
    .duration("node-monitor-period", "5s", "How often nodes that are not ready are asked for."),
    .duration("route-reconciliation-period", "10s", "How often routes are compared."),
    .integer("concurrent-service-syncs", 1, "How many Services are worked on at a time."),
    .integer("concurrent-node-syncs", 1, "How many nodes are worked on at a time."),
    .text("cidr-allocator-type", "RangeAllocator", "Taken and not used: no ranges are given out here."),
    .flag("use-service-account-credentials", false, "Taken and not used: the controllers share an identity."),
    .flag("allow-untagged-cloud", false, "Taken and not used, as upstream deprecates it."),
    .duration("min-resync-period", "12h0m0s", "Taken and not used: informers need no resync."),
    .duration("controller-start-interval", "0s", "Taken and not used: controllers start at once."),
    .flag("requires-cloud-nodes", true, "Taken and not used."),
  ]

  func services(
    _ values: FlagValues, logger: @escaping @Sendable (String) -> Logger
  ) async throws -> [any Service] {
    let settings = try Self.settings(values)
    let log = logger("cloud-controller-manager")
    let client = try CommonFlags.client(values, component: "cloud-controller-manager")
    let informers = InformerFactory(client: client, logger: logger("informers"))
    guard let kind = CloudControllerOptions.Provider(rawValue: values.text("cloud-provider")), kind != .none,
      let provider = try await CloudControllerOptions.make(
        kind, configurationFile: values.path("cloud-config"),
        pool: values.path("load-balancer-pool").flatMap(AddressPool.init), client: client, informers: informers,
        logger: log)
    else { return [] }
    let manager = CloudControllerManager(
      client: client, informers: informers, provider: provider, configuration: settings, logger: log)
    let health = ComponentHealth(name: "cloud-controller-manager")
    let process = LeadingProcess(values: values, client: client, logger: logger("leader-election"), health: health)
    return [
      try ComponentServer.service(values, health: health, logger: logger("serving")),
      Component("informers", informers.run),
      Component("cloud-controller-manager") { try await process.run(manager.run) },
    ].compactMap { $0 }
  }

  /// What the command line says of the controllers; throws for what upstream refuses too.
  static func settings(_ values: FlagValues) throws -> CloudControllerManager.Configuration {
    let provider = values.text("cloud-provider")
    if provider.isEmpty { throw FlagError("--cloud-provider cannot be empty") }
    guard let kind = CloudControllerOptions.Provider(rawValue: provider), kind != .none else {
      throw FlagError("unknown cloud provider \"\(provider)\": aws and metal are known")
    }
    if let text = values.path("load-balancer-pool") {
      guard kind == .metal else { throw FlagError("--load-balancer-pool is for --cloud-provider=metal only") }
      if AddressPool(text) == nil { throw FlagError("--load-balancer-pool: \(text) is no list of IPv4 ranges") }
    }
    var settings = CloudControllerManager.Configuration()
    settings.controllers = values.list("controllers")
    let known = ["*"] + CloudControllerManager.knownControllers + CloudControllerManager.aliases.keys
    for name in settings.controllers {
      let bare = name.hasPrefix("-") ? String(name.dropFirst()) : name
      if !known.contains(bare) { throw FlagError("\"\(bare)\" is not in the list of known controllers") }
    }
    settings.clusterName = values.text("cluster-name")
    settings.clusterCIDR = values.text("cluster-cidr")
    settings.allocateNodeCIDRs = values.flag("allocate-node-cidrs")
    settings.configureCloudRoutes = values.flag("configure-cloud-routes")
    settings.nodeStatusUpdateFrequency = values.duration("node-status-update-frequency")
    settings.nodeMonitorPeriod = values.duration("node-monitor-period")
    settings.routeReconciliationPeriod = values.duration("route-reconciliation-period")
    settings.concurrentServiceSyncs = max(1, values.integer("concurrent-service-syncs"))
    settings.concurrentNodeSyncs = max(1, values.integer("concurrent-node-syncs"))
    if settings.allocateNodeCIDRs, settings.configureCloudRoutes, settings.clusterCIDR.isEmpty {
      throw FlagError("--allocate-node-cidrs needs --cluster-cidr")
    }
    return settings
  }
}
