import API
import CRI
import Client
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

  /// Configures the pod network as soon as the node has its ranges, and again when they change.
  func followPodCIDRs(of node: String, _ informers: InformerFactory) async throws {
    guard let supervisor else { return try await Task.sleep(for: .seconds(.max / 4)) }
    let (ranges, found) = AsyncStream<[String]>.makeStream(bufferingPolicy: .bufferingNewest(1))
    informers.informer(Node.self).addHandler { event in
      guard event.object.metadata.name == node else { return }
      let spec = event.object.spec
      let all = spec.podCIDRs.isEmpty ? [spec.podCIDR].filter { !$0.isEmpty } : spec.podCIDRs
      if !all.isEmpty { found.yield(all) }
    }
    var current: [String] = []
    for await next in ranges where next != current {
      try await supervisor.setPodCIDRs(next)
      current = next
      logger.info("pod network configured", metadata: ["podCIDRs": "\(next)"])
    }
  }
}
