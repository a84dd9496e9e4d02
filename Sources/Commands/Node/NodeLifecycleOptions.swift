import APIMachinery
import ArgumentParser
import ControllerManager

/// How patient the control plane is with nodes; upstream's names and defaults.
struct NodeLifecycleOptions: ParsableArguments {
  @Option(help: "How often nodes are looked at (5s).", transform: Self.duration)
  var nodeMonitorPeriod: Swift.Duration?

  @Option(help: "How long a node may be silent before it counts as lost (50s).", transform: Self.duration)
  var nodeMonitorGracePeriod: Swift.Duration?

  @Option(help: "How long a new node may take to report for the first time (1m).", transform: Self.duration)
  var nodeStartupGracePeriod: Swift.Duration?

  /// Puts in what was given.
  func apply(to configuration: inout ControllerManager.Configuration) {
    if let nodeMonitorPeriod { configuration.nodeMonitorPeriod = nodeMonitorPeriod }
    if let nodeMonitorGracePeriod { configuration.nodeMonitorGracePeriod = nodeMonitorGracePeriod }
    if let nodeStartupGracePeriod { configuration.nodeStartupGracePeriod = nodeStartupGracePeriod }
  }

  private static func duration(_ text: String) throws -> Swift.Duration {
    guard let parsed = GoDuration(parsing: text), parsed.nanoseconds > 0 else {
      throw ValidationError("\(text) is no duration such as 40s or 1m30s")
    }
    return .nanoseconds(parsed.nanoseconds)
  }
}
