import Client
import Logging

/// Runs a component while it leads. A process that lost the lead ends, as upstream's do: whoever supervises it starts it
/// again, and it waits for its turn.
struct LeadingProcess: Sendable {
  let values: FlagValues
  let client: APIClient
  let logger: Logger
  let health: ComponentHealth

  func run(_ part: @escaping @Sendable () async throws -> Void) async throws {
    guard values.flag("leader-elect") else { return try await part() }
    let lease = values.duration("leader-elect-lease-duration"),
      deadline = values.duration("leader-elect-renew-deadline")
    guard lease > deadline, deadline > values.duration("leader-elect-retry-period") else {
      throw FlagError("--leader-elect-lease-duration must exceed the renew deadline, and that the retry period")
    }
    let elector = LeaderElector(
      client: client, namespace: values.text("leader-elect-resource-namespace"),
      name: values.text("leader-elect-resource-name"),
      identity: "\(NodeName.ofHost())_\(UInt64.random(in: .min ... .max))",
      leaseDuration: lease, renewDeadline: deadline, retryPeriod: values.duration("leader-elect-retry-period"),
      logger: logger)
    try await elector.run { [health] in
      health.setLeading(true)
      defer { health.setLeading(false) }
      try await part()
    }
  }
}
