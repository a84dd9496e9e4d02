import API
import Client
import Logging

/// A loop that brings one thing about. Each reads through informers, decides in a pure function, and writes
/// through the client.
protocol Controller: Sendable {
  /// The name in logs and configuration, upstream's.
  var name: String { get }
  /// Runs until the task is cancelled.
  func run() async throws
}

/// What every controller is made of.
struct ControllerContext: Sendable {
  /// Acts as the controller's own account where accounts are used, else as the controller manager.
  private(set) var client: APIClient
  /// Acts as the controller manager itself.
  let root: APIClient
  /// Filled with the controller manager's own rights: one cache serves all controllers.
  let informers: InformerFactory
  let configuration: ControllerManager.Configuration
  let logger: Logger
  /// The wall clock; deciders get times, never this.
  let now: @Sendable () -> Time
  /// A client that acts as a service account of kube-system; nil when all act as the controller manager.
  let account: (@Sendable (String) -> APIClient)?

  init(
    client: APIClient, informers: InformerFactory, configuration: ControllerManager.Configuration, logger: Logger,
    now: @escaping @Sendable () -> Time, account: (@Sendable (String) -> APIClient)? = nil
  ) {
    self.client = client
    root = client
    self.informers = informers
    self.configuration = configuration
    self.logger = logger
    self.now = now
    self.account = account
  }

  /// The same for a controller that has the account's rights and no others.
  func acting(as name: String) -> ControllerContext {
    var context = self
    if let account { context.client = account(name) }
    return context
  }

  /// A recorder whose events come from a component.
  func recorder(_ component: String) -> EventRecorder {
    EventRecorder(client: client, component: component)
  }

  /// A logger of a controller's own.
  func logger(_ name: String) -> Logger {
    var logger = logger
    logger[metadataKey: "controller"] = "\(name)"
    return logger
  }
}
