import Logging
import NIOCore
import NIOHTTP2
import NIOPosix
import NIOSSL
import Synchronization

/// One HTTP/2 connection of a channel.
final class ClientConnection: Sendable {
  let channel: any Channel
  let address: GRPCAddress
  let multiplexer: NIOHTTP2Handler.StreamMultiplexer
  /// Calls under way.
  let streams: StreamCount

  init(
    channel: any Channel, address: GRPCAddress, multiplexer: NIOHTTP2Handler.StreamMultiplexer, streams: StreamCount
  ) {
    self.channel = channel
    self.address = address
    self.multiplexer = multiplexer
    self.streams = streams
  }

  /// Connects, and waits for the server's preface: before it, TLS may still fail on either side. `onUnusable` is called
  /// once, when no new call may use the connection any more.
  static func connect(
    to address: GRPCAddress, options: GRPCChannelOptions, on loop: any EventLoop, logger: Logger,
    onUnusable: @escaping @Sendable (any Channel) -> Void
  ) -> EventLoopFuture<ClientConnection> {
    let timeout = TimeAmount.nanoseconds(options.connectTimeout.wholeNanoseconds)
    let bootstrap = ClientBootstrap(group: loop)
      .connectTimeout(timeout)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if var tls = options.tls, case .tcp(let host, _) = address {
            tls.applicationProtocols = ["h2"]
            let name = options.serverName ?? host
            let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
            try pipeline.addHandler(
              NIOSSLClientHandler(context: NIOSSLContext(configuration: tls), serverHostname: isAddress ? nil : name))
          }
          let multiplexer = try pipeline.configureHTTP2Pipeline(
            mode: .client, connectionConfiguration: HTTP2Tuning.connection,
            streamConfiguration: HTTP2Tuning.stream
          ) { stream in stream.close() }  // A client accepts no streams.
          try pipeline.addHandler(
            ConnectionMonitor(
              multiplexer: multiplexer, options: options, ready: channel.eventLoop.makePromise(), logger: logger,
              onUnusable: onUnusable))
        }
      }
    let connected =
      switch address {
      case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
      case .tcp(let host, let port):
        bootstrap.channelOption(.socketOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
      }
    return connected.hop(to: loop).flatMap { channel in
      do {
        // A name may have several addresses; only the channel that won counts.
        let monitor = try channel.pipeline.syncOperations.handler(type: ConnectionMonitor.self)
        let connection = ClientConnection(
          channel: channel, address: address, multiplexer: monitor.multiplexer, streams: monitor.streams)
        let ready = monitor.ready
        let timer = loop.scheduleTask(in: .nanoseconds(options.prefaceTimeout.wholeNanoseconds)) {
          ready.fail(GRPCStatus(.unavailable, "the server does not speak HTTP/2, or not in time"))
        }
        ready.futureResult.whenComplete { _ in timer.cancel() }
        ready.futureResult.whenFailure { _ in channel.close(promise: nil) }
        return ready.futureResult.map { connection }
      } catch {
        return loop.makeFailedFuture(GRPCStatus(.unavailable, "error reading server preface: EOF"))
      }
    }
  }
}

/// A number that the connection's event loop changes.
final class StreamCount: Sendable {
  private let value = Atomic<Int>(0)
  var current: Int { value.load(ordering: .relaxed) }
  func add(_ change: Int) { value.add(change, ordering: .relaxed) }
}

/// Watches a connection for the server's preface, GOAWAY, errors, silence and its end.
final class ConnectionMonitor: ChannelDuplexHandler {
  typealias InboundIn = HTTP2Frame
  typealias OutboundIn = HTTP2Frame
  typealias OutboundOut = HTTP2Frame

  let multiplexer: NIOHTTP2Handler.StreamMultiplexer
  let streams = StreamCount()
  /// Kept when the server's first frame, its settings, has come.
  let ready: EventLoopPromise<Void>
  private let options: GRPCChannelOptions
  private let logger: Logger
  private var onUnusable: (@Sendable (any Channel) -> Void)?
  private var nextPing: Scheduled<Void>?
  private var pingTimeout: Scheduled<Void>?

  init(
    multiplexer: NIOHTTP2Handler.StreamMultiplexer, options: GRPCChannelOptions, ready: EventLoopPromise<Void>,
    logger: Logger, onUnusable: @escaping @Sendable (any Channel) -> Void
  ) {
    self.multiplexer = multiplexer
    self.options = options
    self.ready = ready
    self.logger = logger
    self.onUnusable = onUnusable
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    ready.fail(GRPCStatus(.unavailable, "error reading server preface: EOF"))
    stopPinging()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data).payload {
    case .settings:
      ready.succeed(())
      if nextPing == nil { schedulePing(context) }
    case .goAway: report(context)
    case .ping(_, let ack) where ack:
      pingTimeout?.cancel()
      pingTimeout = nil
    default: break
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    ready.fail(GRPCStatus(.unavailable, "error reading server preface: EOF"))
    stopPinging()
    report(context)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // Errors of single streams reach their own channels; they do not harm the connection.
    if error is NIOHTTP2Errors.StreamError { return }
    logger.debug("grpc connection failed", metadata: ["error": "\(error)"])
    ready.fail(error)
    report(context)
    context.close(promise: nil)
  }

  private func report(_ context: ChannelHandlerContext) {
    guard let onUnusable else { return }
    self.onUnusable = nil
    onUnusable(context.channel)
  }

  // MARK: Pings

  private func schedulePing(_ context: ChannelHandlerContext) {
    guard let interval = options.keepaliveInterval else { return }
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    nextPing = context.eventLoop.scheduleTask(in: .nanoseconds(interval.wholeNanoseconds)) {
      let (monitor, context) = bound.value
      monitor.ping(context)
      monitor.schedulePing(context)
    }
  }

  private func ping(_ context: ChannelHandlerContext) {
    // Servers take pings of an idle connection for abuse.
    guard streams.current > 0, pingTimeout == nil else { return }
    let frame = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 1), ack: false))
    context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    pingTimeout = context.eventLoop.scheduleTask(in: .nanoseconds(options.keepaliveTimeout.wholeNanoseconds)) {
      let (monitor, context) = bound.value
      monitor.logger.debug("grpc connection lost: no answer to a ping")
      monitor.report(context)
      context.close(promise: nil)
    }
  }

  private func stopPinging() {
    nextPing?.cancel()
    pingTimeout?.cancel()
    pingTimeout = nil
  }
}
