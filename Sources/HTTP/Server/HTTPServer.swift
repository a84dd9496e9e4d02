import Logging
public import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Accepts connections and hands their requests to an `HTTPHandler`.
///
/// ```
///   idle --start--> listening --shutdown--> draining --last connection or grace--> closed
/// ```
public final class HTTPServer: Sendable {
  public let configuration: HTTPServerConfiguration
  private let connections = ConnectionRegistry()
  private let tls = Mutex<TLSSetup?>(nil)
  private let listener = Mutex<(any Channel)?>(nil)

  struct TLSSetup {
    var options: TLSOptions
    var context: NIOSSLContext
  }

  public init(configuration: HTTPServerConfiguration) { self.configuration = configuration }

  /// How many connections are open.
  public var connectionCount: Int { connections.count }

  /// Binds and serves. Returns the port (0 on a unix socket).
  @discardableResult
  public func start(_ handler: any HTTPHandler) async throws -> Int {
    if let options = configuration.tls { try reloadTLS(options) }
    let configuration = configuration
    let connections = connections
    let bootstrap = ServerBootstrap(group: configuration.group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 64 * 1024, high: 256 * 1024))
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          if case .tcp = configuration.address {
            try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
          }
          let setup = ConnectionSetup(
            configuration: configuration, handler: handler, connections: connections, peer: TLSPeerBox())
          guard let tls = self.tls.withLock({ $0 }) else {
            try setup.addHTTP1(channel.pipeline.syncOperations, channel: channel, secure: false)
            return
          }
          try setup.addTLS(channel.pipeline.syncOperations, channel: channel, tls: tls)
        }
      }
    let channel: any Channel
    switch configuration.address {
    case .tcp(let host, let port): channel = try await bootstrap.bind(host: host, port: port).get()
    case .unix(let path):
      channel = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
    }
    listener.withLock { $0 = channel }
    return channel.localAddress?.port ?? 0
  }

  /// Serves new connections with another certificate.
  public func reloadTLS(_ options: TLSOptions) throws {
    let setup = TLSSetup(options: options, context: try options.makeContext())
    tls.withLock { $0 = setup }
  }

  /// Stops accepting, lets requests under way end (GOAWAY on HTTP/2), and cuts what is left after the grace.
  public func shutdown(grace: TimeAmount = .seconds(5)) async {
    let channel = listener.withLock { l in
      defer { l = nil }
      return l
    }
    try? await channel?.close().get()
    connections.drain()
    await connections.waitUntilEmpty(for: grace)
    connections.closeAll()
    await connections.waitUntilEmpty(for: .seconds(2))
  }
}

/// Builds the pipeline of one accepted connection.
struct ConnectionSetup: Sendable {
  let configuration: HTTPServerConfiguration
  let handler: any HTTPHandler
  let connections: ConnectionRegistry
  let peer: TLSPeerBox

  func addTLS(
    _ pipeline: ChannelPipeline.SynchronousOperations, channel: any Channel, tls: HTTPServer.TLSSetup
  ) throws {
    let peer = peer
    if let verify = tls.options.verifyClient {
      try pipeline.addHandler(
        NIOSSLServerHandler(
          context: tls.context,
          customVerificationCallback: { certificates, promise in
            let chain = certificates.map { (try? $0.toDERBytes()) ?? [] }
            promise.completeWithTask {
              // Never a failed handshake: who presents a bad certificate gets 401, and may have a token beside it.
              peer.learn(chain, verified: await verify(chain))
              return .certificateVerified
            }
          }))
    } else {
      try pipeline.addHandler(NIOSSLServerHandler(context: tls.context))
    }
    try pipeline.addHandler(NegotiationHandler(setup: self))
  }

  func addHTTP1(
    _ pipeline: ChannelPipeline.SynchronousOperations, channel: any Channel, secure: Bool
  ) throws {
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderListSize = configuration.maxHeaderBytes
    limits.maxHeaderFieldSize = configuration.maxHeaderBytes
    let encoder = HTTPResponseEncoder()
    let decoder = ByteToMessageHandler(
      HTTPRequestDecoder(
        leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop, limitConfiguration: limits))
    let server = ServerHTTP1Handler(
      setup: self, tls: secure ? peer.settled() : nil, encoder: encoder, decoder: decoder)
    try pipeline.addHandlers(encoder, decoder, server)
  }

  func addHTTP2(_ pipeline: ChannelPipeline.SynchronousOperations, channel: any Channel) throws {
    try pipeline.addHandlers(
      NIOHTTP2Handler(
        mode: .server, connectionConfiguration: connectionConfiguration, streamConfiguration: streamConfiguration),
      ServerHTTP2Handler(setup: self, tls: peer.settled()))
  }

  private var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
    var result = NIOHTTP2Handler.ConnectionConfiguration()
    result.initialSettings = [
      HTTP2Setting(parameter: .maxConcurrentStreams, value: configuration.maxConcurrentStreams),
      HTTP2Setting(parameter: .maxHeaderListSize, value: configuration.maxHeaderBytes),
      HTTP2Setting(parameter: .initialWindowSize, value: ServerHTTP2Handler.streamWindow),
    ]
    // Go writes an empty DATA frame to end a body it streamed, sometimes after others.
    result.maximumSequentialEmptyDataFrames = 10
    result.controlFrameRateLimit.maximumCount = configuration.maxControlFrames
    return result
  }

  private var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
    var result = NIOHTTP2Handler.StreamConfiguration()
    result.streamResetFrameRateLimit.maximumCount = configuration.maxResetFrames
    return result
  }
}

/// Chooses HTTP/2 or HTTP/1.1 when the handshake is over, and gives up on handshakes that take too long.
final class NegotiationHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  private let setup: ConnectionSetup
  private var deadline: Scheduled<Void>?

  init(setup: ConnectionSetup) { self.setup = setup }

  func handlerAdded(context: ChannelHandlerContext) {
    let channel = context.channel
    deadline = context.eventLoop.scheduleTask(in: setup.configuration.readTimeout) {
      channel.close(promise: nil)
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .handshakeCompleted(let negotiated)? = event as? TLSUserEvent else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    do {
      let pipeline = context.pipeline.syncOperations
      if negotiated == "h2" {
        try setup.addHTTP2(pipeline, channel: context.channel)
      } else {
        try setup.addHTTP1(pipeline, channel: context.channel, secure: true)
      }
      pipeline.removeHandler(self, promise: nil)
    } catch {
      context.close(promise: nil)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A failed handshake is the client's affair (port scans, wrong CA).
    setup.configuration.logger.debug("TLS handshake failed", metadata: ["error": "\(error)"])
    context.close(promise: nil)
  }
}

/// The open connections of a server, for draining.
final class ConnectionRegistry: Sendable {
  private struct State {
    var open: [ObjectIdentifier: (channel: any Channel, drain: @Sendable () -> Void)] = [:]
    var draining = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  var count: Int { state.withLock { $0.open.count } }

  func add(_ channel: any Channel, drain: @escaping @Sendable () -> Void) {
    let now = state.withLock { s in
      s.open[ObjectIdentifier(channel)] = (channel, drain)
      return s.draining
    }
    if now { drain() }
  }

  func remove(_ channel: any Channel) {
    let waiters = state.withLock { s -> [CheckedContinuation<Void, Never>] in
      s.open.removeValue(forKey: ObjectIdentifier(channel))
      guard s.open.isEmpty else { return [] }
      defer { s.waiters.removeAll() }
      return s.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func drain() {
    let actions = state.withLock { s in
      s.draining = true
      return s.open.values.map(\.drain)
    }
    for action in actions { action() }
  }

  func closeAll() {
    for channel in state.withLock({ $0.open.values.map(\.channel) }) { channel.close(promise: nil) }
  }

  func waitUntilEmpty(for grace: TimeAmount) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.waitUntilEmpty() }
      group.addTask { try? await Task.sleep(nanoseconds: UInt64(max(0, grace.nanoseconds))) }
      await group.next()
      releaseWaiters()
      group.cancelAll()
    }
  }

  private func waitUntilEmpty() async {
    await withCheckedContinuation { continuation in
      let now = state.withLock { s in
        if !s.open.isEmpty { s.waiters.append(continuation) }
        return s.open.isEmpty
      }
      if now { continuation.resume() }
    }
  }

  private func releaseWaiters() {
    let waiters = state.withLock { s in
      defer { s.waiters.removeAll() }
      return s.waiters
    }
    for waiter in waiters { waiter.resume() }
  }
}
