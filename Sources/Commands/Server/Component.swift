import ServiceLifecycle

/// A component as a service: it runs until it is told to stop, which cancels its task.
struct Component: Service, CustomStringConvertible {
  let description: String
  private let body: @Sendable () async throws -> Void

  init(_ name: String, _ body: @escaping @Sendable () async throws -> Void) {
    description = name
    self.body = body
  }

  func run() async throws {
    do {
      try await cancelWhenGracefulShutdown(body)
    } catch is CancellationError {
      return
    }
  }
}
