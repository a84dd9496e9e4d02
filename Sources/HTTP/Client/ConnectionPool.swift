import NIOCore
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

/// The connections of a client, by origin.
///
/// HTTP/2 connections are shared by all exchanges until they are full; callers that arrive while the first one is being
/// made wait for it rather than making their own. HTTP/1.1 connections carry one exchange and come back idle.
final class ConnectionPool: Sendable {
  private struct Origin {
    var shared: [ClientHTTP2Connection] = []
    var idle: [(connection: ClientHTTP1Connection, since: NIODeadline)] = []
    var speaksHTTP1 = false
    var dialing: Task<any ClientConnection, any Error>?
  }
  private struct State {
    var origins: [HTTPOrigin: Origin] = [:]
    var shutDown = false
    var channels: [ObjectIdentifier: any Channel] = [:]
  }
  private let configuration: HTTPClientConfiguration
  private let context: NIOSSLContext?
  private let contextHTTP1: NIOSSLContext?
  private let contextError: (any Error)?
  private let state = Mutex(State())

  init(configuration: HTTPClientConfiguration) {
    self.configuration = configuration
    let contexts = Result {
      let plain = try configuration.tls.makeContext(protocols: ["http/1.1"])
      return (plain, configuration.http2 ? try configuration.tls.makeContext(protocols: ["h2", "http/1.1"]) : plain)
    }
    switch contexts {
    case .success(let made): (contextHTTP1, context, contextError) = (made.0, made.1, nil)
    case .failure(let error): (contextHTTP1, context, contextError) = (nil, nil, error)
    }
  }

  /// A connection with a place reserved, and whether it had been used before.
  func acquire(_ origin: HTTPOrigin, fresh: Bool) async throws -> (any ClientConnection, reused: Bool) {
    if !fresh, let connection = try reuse(origin) { return (connection, true) }
    guard origin.isSecure, configuration.http2 else { return (try await dial(origin, http1: false), false) }
    // Several callers share what one of them dials; those for whom it has no place left share the next one.
    while true {
      let task: Task<any ClientConnection, any Error>? = state.withLock { s in
        if s.origins[origin]?.speaksHTTP1 == true { return nil }
        if let dialing = s.origins[origin]?.dialing { return dialing }
        // Not structured: the connection outlives whoever asked for it first.
        let task = Task<any ClientConnection, any Error> {
          defer { self.state.withLock { $0.origins[origin]?.dialing = nil } }
          return try await self.dial(origin, http1: false)
        }
        s.origins[origin, default: Origin()].dialing = task
        return task
      }
      guard let task else { break }
      let connection = try await task.value
      // A dialled connection comes with free places; who waited for it may take one before the pool shows it to others.
      if connection.reserve() { return (connection, false) }
      if let connection = try reuse(origin) { return (connection, true) }
      if !connection.channel.isActive { throw HTTPClientError.connectionClosed(beforeResponse: true) }
    }
    let connection = try await dial(origin, http1: false)
    if connection.reserve() { return (connection, false) }
    throw HTTPClientError.connectionClosed(beforeResponse: true)
  }

  private func reuse(_ origin: HTTPOrigin) throws -> (any ClientConnection)? {
    try state.withLock { s in
      if s.shutDown { throw HTTPClientError.shutDown }
      guard var entry = s.origins[origin] else { return nil }
      defer { s.origins[origin] = entry }
      entry.shared.removeAll { $0.isRetired || !$0.channel.isActive }
      for connection in entry.shared where connection.reserve() { return connection }
      while let last = entry.idle.popLast() {
        if NIODeadline.now() - last.since > configuration.idleTimeout {
          last.connection.channel.close(promise: nil)
          continue
        }
        if last.connection.reserve() { return last.connection }
      }
      return nil
    }
  }

  private func becameIdle(_ connection: ClientHTTP1Connection, _ origin: HTTPOrigin) {
    let surplus = state.withLock { s -> [ClientHTTP1Connection] in
      if s.shutDown { return [connection] }
      var entry = s.origins[origin] ?? Origin()
      let now = NIODeadline.now()
      var old = entry.idle.filter { now - $0.since > configuration.idleTimeout }.map(\.connection)
      entry.idle.removeAll { now - $0.since > configuration.idleTimeout || !$0.connection.channel.isActive }
      if entry.idle.count < configuration.maxIdlePerOrigin {
        entry.idle.append((connection, now))
      } else {
        old.append(connection)
      }
      s.origins[origin] = entry
      return old
    }
    for connection in surplus { connection.channel.close(promise: nil) }
  }

  // MARK: Dialling

  /// Connects. `http1` asks for HTTP/1.1 alone, for upgrades. Over TLS with HTTP/2 on offer the place is still free;
  /// otherwise it is reserved for the caller.
  func dial(_ origin: HTTPOrigin, http1: Bool) async throws -> any ClientConnection {
    if state.withLock({ $0.shutDown }) { throw HTTPClientError.shutDown }
    let bootstrap = ClientBootstrap(group: configuration.group)
      .connectTimeout(configuration.connectTimeout)
      .channelOption(.writeBufferWaterMark, value: .init(low: 64 * 1024, high: 256 * 1024))
    let shareable = origin.isSecure && configuration.http2 && !http1
    let onIdle: @Sendable (ClientHTTP1Connection) -> Void = { [weak self] connection in
      if http1 { connection.channel.close(promise: nil) } else { self?.becameIdle(connection, origin) }
    }
    let channel: any Channel
    let connection: any ClientConnection
    do {
      switch origin {
      case .http(let host, let port):
        connection = try await bootstrap.connect(host: host, port: port) { channel in
          channel.eventLoop.makeCompletedFuture { try Self.addHTTP1(channel, onIdle, reserved: true) }
        }
        channel = connection.channel
      case .unix(let path):
        connection = try await bootstrap.connect(unixDomainSocketPath: path) { channel in
          channel.eventLoop.makeCompletedFuture { try Self.addHTTP1(channel, onIdle, reserved: true) }
        }
        channel = connection.channel
      case .https(let host, let port):
        guard let tls = http1 ? contextHTTP1 : context else { throw contextError ?? HTTPClientError.shutDown }
        let name = configuration.tls.serverName ?? (isIPAddress(host) ? nil : host)
        let negotiated = try await bootstrap.connect(host: host, port: port) {
          channel -> EventLoopFuture<(any Channel, EventLoopFuture<any ClientConnection>)> in
          channel.eventLoop.makeCompletedFuture {
            let promise = channel.eventLoop.makePromise(of: (any ClientConnection).self)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
            try pipeline.addHandler(
              ClientNegotiationHandler(promise: promise) { channel, negotiated in
                negotiated == "h2"
                  ? try Self.addHTTP2(channel) : try Self.addHTTP1(channel, onIdle, reserved: !shareable)
              })
            return (channel, promise.futureResult)
          }
        }
        channel = negotiated.0
        let timeout = channel.eventLoop.scheduleTask(in: configuration.connectTimeout) {
          channel.close(promise: nil)
        }
        defer { timeout.cancel() }
        connection = try await negotiated.1.get()
      }
      if case .unix = origin {} else { await setOptions(channel) }
    } catch let error as HTTPClientError {
      throw error
    } catch {
      throw HTTPClientError.connectFailed("\(error)")
    }
    register(channel, connection, origin, pooled: !http1)
    return connection
  }

  private func setOptions(_ channel: any Channel) async {
    _ = try? await channel.setOption(.tcpOption(.tcp_nodelay), value: 1).get()
    guard let limit = configuration.deadPeerTimeout else { return }
    // Half of the time passes before the first question, the rest is shared by two more. What was sent and stays
    // without acknowledgement counts as silence too.
    let seconds = max(2, Int(limit.nanoseconds / 1_000_000_000))
    let options: [(NIOBSDSocket.Option, SocketOptionValue)] = [
      (.init(rawValue: TCP_KEEPIDLE), SocketOptionValue(seconds / 2)),
      (.init(rawValue: TCP_KEEPINTVL), SocketOptionValue(max(1, seconds / 4))),
      (.init(rawValue: TCP_KEEPCNT), 2),
      (.init(rawValue: TCP_USER_TIMEOUT), SocketOptionValue(seconds * 1000)),
    ]
    _ = try? await channel.setOption(.socketOption(.so_keepalive), value: 1).get()
    for (option, value) in options { _ = try? await channel.setOption(.tcpOption(option), value: value).get() }
  }

  private func register(_ channel: any Channel, _ connection: any ClientConnection, _ origin: HTTPOrigin, pooled: Bool)
  {
    let key = ObjectIdentifier(channel)
    let late = state.withLock { s in
      s.channels[key] = channel
      if pooled {
        if let shared = connection as? ClientHTTP2Connection {
          s.origins[origin, default: Origin()].shared.append(shared)
        } else {
          s.origins[origin, default: Origin()].speaksHTTP1 = true
        }
      }
      return s.shutDown
    }
    channel.closeFuture.whenComplete { [weak self] _ in
      self?.state.withLock { s in
        s.channels[key] = nil
        s.origins[origin]?.shared.removeAll { $0.channel === channel }
        s.origins[origin]?.idle.removeAll { $0.connection.channel === channel }
      }
    }
    if late { channel.close(promise: nil) }
  }

  private static func addHTTP1(
    _ channel: any Channel, _ onIdle: @escaping @Sendable (ClientHTTP1Connection) -> Void, reserved: Bool
  ) throws -> any ClientConnection {
    let connection = ClientHTTP1Connection(channel: channel, reserved: reserved, onIdle: onIdle)
    let encoder = HTTPRequestEncoder()
    let decoder = ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes))
    let handler = ClientHTTP1Handler(owner: connection, encoder: encoder, decoder: decoder)
    try channel.pipeline.syncOperations.addHandlers(encoder, decoder, handler)
    connection.attach(handler)
    return connection
  }

  private static func addHTTP2(_ channel: any Channel) throws -> any ClientConnection {
    let connection = ClientHTTP2Connection(channel: channel)
    let handler = ClientHTTP2Handler(owner: connection)
    var settings = NIOHTTP2Handler.ConnectionConfiguration()
    settings.initialSettings = [
      HTTP2Setting(parameter: .enablePush, value: 0),
      HTTP2Setting(parameter: .maxHeaderListSize, value: 256 * 1024),
      HTTP2Setting(parameter: .initialWindowSize, value: ClientHTTP2Handler.streamWindow),
    ]
    // Go servers ping as data arrives, so NIO's 200 in 30 seconds is too few.
    settings.controlFrameRateLimit.maximumCount = 20_000
    settings.maximumSequentialEmptyDataFrames = 10
    var streams = NIOHTTP2Handler.StreamConfiguration()
    streams.streamResetFrameRateLimit.maximumCount = 2_000
    try channel.pipeline.syncOperations.addHandlers(
      NIOHTTP2Handler(mode: .client, connectionConfiguration: settings, streamConfiguration: streams), handler)
    connection.attach(handler)
    return connection
  }

  func shutdown() async {
    let channels = state.withLock { s in
      s.shutDown = true
      defer { s.origins.removeAll() }
      return Array(s.channels.values)
    }
    for channel in channels { channel.close(promise: nil) }
    for channel in channels { try? await channel.closeFuture.get() }
  }
}

private func isIPAddress(_ host: String) -> Bool { (try? SocketAddress(ipAddress: host, port: 0)) != nil }

/// Waits for the handshake on the client's side and completes the promise with the connection it led to.
final class ClientNegotiationHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  private let promise: EventLoopPromise<any ClientConnection>
  private let build: (any Channel, String?) throws -> any ClientConnection
  private var done = false

  init(
    promise: EventLoopPromise<any ClientConnection>,
    build: @escaping (any Channel, String?) throws -> any ClientConnection
  ) {
    self.promise = promise
    self.build = build
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .handshakeCompleted(let negotiated)? = event as? TLSUserEvent, !done else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    done = true
    do {
      let connection = try build(context.channel, negotiated)
      context.pipeline.syncOperations.removeHandler(self, promise: nil)
      promise.succeed(connection)
    } catch {
      promise.fail(error)
      context.close(promise: nil)
    }
  }

  /// A connect that fails takes its handlers away without having been active.
  func handlerRemoved(context: ChannelHandlerContext) {
    if !done {
      done = true
      promise.fail(HTTPClientError.connectFailed("connection closed before the TLS handshake"))
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if !done {
      done = true
      promise.fail(error)
    }
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    if !done {
      done = true
      promise.fail(HTTPClientError.connectFailed("connection closed during the TLS handshake"))
    }
    context.fireChannelInactive()
  }
}
