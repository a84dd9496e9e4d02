import Client
import Logging

/// A part of the control plane that one of several servers runs at a time, the one that holds the part's Lease in
/// kube-system. The part is made anew each time the lead is won, with informers of its own, and is gone when the lead is
/// lost; the server goes on.
struct Elected: Sendable {
  let name: String
  let client: APIClient
  let identity: String
  let logger: Logger

  // Shorter than upstream's 15, 10 and 2 s: the API server is in the same process, and a renewal costs one small write.
  private static let leaseDuration = Duration.seconds(8)
  private static let renewDeadline = Duration.seconds(5)
  private static let retryPeriod = Duration.seconds(1)

  /// Takes the lead again and again until the task is cancelled, and runs what `make` returns while it lasts.
  func run(_ make: @escaping @Sendable (InformerFactory) throws -> @Sendable () async throws -> Void) async throws {
    while true {
      let elector = LeaderElector(
        client: client, name: name, identity: identity, leaseDuration: Self.leaseDuration,
        renewDeadline: Self.renewDeadline, retryPeriod: Self.retryPeriod, logger: logger)
      do {
        return try await elector.run { [client, logger] in
          let informers = InformerFactory(client: client, logger: logger)
          let part = try make(informers)
          try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await informers.run() }
            group.addTask { try await part() }
            defer { group.cancelAll() }
            try await group.next()
          }
        }
      } catch is LeadershipLost {
        logger.warning("the lead is lost: another server goes on")
      }
    }
  }
}
