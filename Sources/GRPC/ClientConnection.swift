import Logging
import NIOCore
import NIOHTTP2
import NIOPosix
import NIOSSL

/// One HTTP/2 connection of a channel.
final class ClientConnection: Sendable {
  let channel: any Channel
  let multiplexer: NIOHTTP2Handler.StreamMultiplexer

  init(channel: any Channel, multiplexer: NIOHTTP2Handler.StreamMultiplexer) {
    self.channel = channel
    self.multiplexer = multiplexer
  }

  /// Connects. `onUnusable` is called once, when no new call may use the connection any more.
  static func connect(
    to address: GRPCAddress, options: GRPCChannelOptions, on loop: any EventLoop, logger: Logger,
    onUnusable: @escaping @Sendable (any Channel) -> Void
  ) -> EventLoopFuture<ClientConnection> {
    let multiplexer = loop.makePromise(of: NIOHTTP2Handler.StreamMultiplexer.self)
    let bootstrap = ClientBootstrap(group: loop)
      .connectTimeout(.nanoseconds(options.connectTimeout.wholeNanoseconds))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if var tls = options.tls, case .tcp(let host, _) = address {
            tls.applicationProtocols = ["h2"]
            let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
            try pipeline.addHandler(
              NIOSSLClientHandler(context: NIOSSLContext(configuration: tls), serverHostname: isAddress ? nil : host))
          }
          let created = try pipeline.configureHTTP2Pipeline(
            mode: .client, connectionConfiguration: HTTP2Tuning.connection,
            streamConfiguration: HTTP2Tuning.stream
          ) { stream in stream.close() }  // A client accepts no streams.
          try pipeline.addHandler(ConnectionMonitor(logger: logger, onUnusable: onUnusable))
          multiplexer.succeed(created)
        }
      }
    let connected =
      switch address {
      case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
      case .tcp(let host, let port):
        bootstrap.channelOption(.socketOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
      }
    connected.whenFailure { multiplexer.fail($0) }
    return connected.and(multiplexer.futureResult).map { ClientConnection(channel: $0, multiplexer: $1) }
  }
}

/// Watches a connection for GOAWAY, errors and its end.
final class ConnectionMonitor: ChannelInboundHandler {
  typealias InboundIn = HTTP2Frame

  private let logger: Logger
  private var onUnusable: (@Sendable (any Channel) -> Void)?

  init(logger: Logger, onUnusable: @escaping @Sendable (any Channel) -> Void) {
    self.logger = logger
    self.onUnusable = onUnusable
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if case .goAway = unwrapInboundIn(data).payload { report(context) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    report(context)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // Errors of single streams reach their own channels; they do not harm the connection.
    if error is NIOHTTP2Errors.StreamError { return }
    logger.debug("grpc connection failed", metadata: ["error": "\(error)"])
    report(context)
    context.close(promise: nil)
  }

  private func report(_ context: ChannelHandlerContext) {
    guard let onUnusable else { return }
    self.onUnusable = nil
    onUnusable(context.channel)
  }
}
