import CRI
import ContainerRuntime
import GRPC
import Logging

/// The node's container engine: a containerd that this server runs, or one named on the command line.
struct Engine: Sendable {
  let runtime: RuntimeService
  let images: ImageService
  private let supervisor: ContainerdSupervisor?
  private let ready: AsyncStream<Void>
  private let becomeReady: AsyncStream<Void>.Continuation
  private let logger: Logger

  init(endpoint: String?, configuration: ContainerRuntimeConfiguration, logger: Logger) {
    self.logger = logger
    (ready, becomeReady) = AsyncStream.makeStream()
    if let endpoint {
      let channel = GRPCChannel(unixSocket: String(endpoint.dropFirst("unix://".count)), logger: logger)
      runtime = RuntimeService(channel: channel)
      images = ImageService(channel: channel)
      supervisor = nil
    } else {
      let supervisor = ContainerdSupervisor(configuration: configuration, logger: logger)
      runtime = supervisor.runtime
      images = supervisor.images
      self.supervisor = supervisor
    }
  }

  /// Starts the engine and keeps it running until the task is cancelled.
  func run() async throws {
    if let supervisor { _ = try await supervisor.start() }
    becomeReady.finish()
    guard let supervisor else {
      // Somebody else's engine: nothing to keep.
      while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
      return
    }
    try await supervisor.run()
  }

  /// Returns when the engine has answered once.
  func waitUntilReady() async throws {
    for await _ in ready {}
    try Task.checkCancellation()
  }

  /// Whether the engine's plugins open pods' host ports.
  var servesHostPorts: Bool { supervisor?.servesHostPorts ?? true }

  /// Plugs pods into our bridge; false where another network has them, as with somebody else's engine.
  func plug(_ podCIDRs: [String], mtu: Int) async throws -> Bool {
    guard let supervisor else { return false }
    return try await supervisor.setPodCIDRs(podCIDRs, mtu: mtu)
  }
}
