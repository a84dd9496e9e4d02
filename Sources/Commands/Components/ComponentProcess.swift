import ArgumentParser
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// A component of Kubernetes as a process of its own, with the command line of its upstream namesake.
protocol ComponentCommand: AsyncParsableCommand {
  static var flags: GoFlags { get }
  var arguments: [String] { get }
  /// What runs, in order of start.
  func services(_ values: FlagValues, logger: @escaping @Sendable (String) -> Logger) async throws -> [any Service]
}

extension ComponentCommand {
  mutating func run() async throws {
    signal(SIGPIPE, SIG_IGN)
    let values: FlagValues
    do {
      switch try Self.flags.parse(arguments) {
      case .print(let text):
        print(text)
        return
      case .run(let found): values = found
      }
      try CommonFlags.validate(values)
    } catch let error as FlagError {
      throw ValidationError("\(error)")
    }
    let level = CommonFlags.logLevel(values)
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
    let made: [any Service]
    do {
      made = try await services(values) { Logger(label: $0) }
    } catch let error as FlagError {
      throw ValidationError("\(error)")
    }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: made.map {
          .init(
            service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .gracefullyShutdownGroup)
        },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: Self.flags.component)))
    try await group.run()
  }
}
