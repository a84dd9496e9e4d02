public import API
public import Client
public import Logging

/// Runs upstream's controllers, all over the same informers.
public final class ControllerManager: Sendable {
  private let context: ControllerContext
  private let controllers: [any Controller]

  /// Makes the controllers that the configuration names; they do nothing until `run`. The informers are run by
  /// whoever made them. With `account` each controller acts through the client that it returns for the service account
  /// (of kube-system) whose rights it needs; without, all act through `client`.
  public init(
    client: APIClient, informers: InformerFactory, configuration: Configuration = Configuration(),
    account: (@Sendable (String) -> APIClient)? = nil, logger: Logger
  ) {
    context = ControllerContext(
      client: client, informers: informers, configuration: configuration, logger: logger, now: { Time.now },
      account: account)
    controllers = Self.make(context)
  }

  /// The names of the controllers that `run` runs.
  public var controllerNames: [String] { controllers.map(\.name) }

  /// Runs until the task is cancelled. With leader election, waits to lead first and throws `LeadershipLost` when
  /// another instance took over.
  public func run() async throws {
    guard context.configuration.leaderElect else { return try await runControllers() }
    let elector = LeaderElector(
      client: context.client, namespace: "kube-system", name: "kube-controller-manager",
      identity: context.configuration.identity, logger: context.logger)
    try await elector.run { [self] in try await runControllers() }
  }

  private func runControllers() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for controller in controllers {
        group.addTask { [logger = context.logger] in
          logger.debug("controller \(controller.name) starts")
          try await controller.run()
        }
      }
      try await group.waitForAll()
    }
  }
}
