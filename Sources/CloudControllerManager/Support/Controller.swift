import API
import Client
import Logging

/// A loop that brings one thing about: it reads through informers, decides in a pure function, and writes through the
/// client or the cloud.
protocol Controller: Sendable {
  /// The name in logs and configuration, upstream's.
  var name: String { get }
  /// Runs until the task is cancelled.
  func run() async throws
}

/// What every controller is made of.
struct CloudContext: Sendable {
  let client: APIClient
  let informers: InformerFactory
  let provider: any CloudProvider
  let configuration: CloudControllerManager.Configuration
  let logger: Logger
  /// The wall clock; deciders get times, never this.
  let now: @Sendable () -> Time

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
