public import Logging
public import NIOCore
import NIOHPACK
import NIOHTTP2
public import NIOPosix
import Synchronization

/// A client's way to a server, or to one of several that are as good as each other. It connects at the first call, and
/// again after the connection was lost: to the address of last time, then to the ones after it.
///
///     idle ── call ──▶ connecting ── done ──▶ ready ── GOAWAY, error, end ──▶ idle
///                          └── failed ──▶ waiting (back-off) ── call after the pause ──▶ connecting
public final class GRPCChannel: Sendable {
  private enum State {
    case idle
    case connecting(EventLoopFuture<ClientConnection>)
    case ready(ClientConnection)
    case waiting(until: NIODeadline, error: GRPCStatus)
    case shutDown
  }
  private struct Guarded {
    var state = State.idle
    var backoff: Backoff
    /// Where the next connection is tried first.
    var index = 0
    var losses: UInt64 = 0
  }

  /// Where the servers are.
  public let addresses: [GRPCAddress]
  private let options: GRPCChannelOptions
  private let group: any EventLoopGroup
  private let logger: Logger
  private let guarded: Mutex<Guarded>

  /// Makes a channel; nothing is connected yet.
  public convenience init(
    address: GRPCAddress, options: GRPCChannelOptions = .init(),
    group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger = Logger(label: "grpc")
  ) {
    self.init(addresses: [address], options: options, group: group, logger: logger)
  }

  /// Makes a channel to whichever of several servers can be reached; nothing is connected yet.
  public init(
    addresses: [GRPCAddress], options: GRPCChannelOptions = .init(),
    group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger = Logger(label: "grpc")
  ) {
    precondition(!addresses.isEmpty, "a channel needs an address")
    self.addresses = addresses
    self.options = options
    self.group = group
    self.logger = logger
    guarded = Mutex(Guarded(backoff: Backoff(base: options.baseBackoff, maximum: options.maximumBackoff)))
  }

  /// A channel to a unix socket.
  public convenience init(
    unixSocket path: String, options: GRPCChannelOptions = .init(), logger: Logger = Logger(label: "grpc")
  ) {
    self.init(address: .unix(path: path), options: options, logger: logger)
  }

  deinit {
    if case .ready(let connection) = guarded.withLock({ $0.state }) { connection.channel.close(promise: nil) }
  }

  /// One message there, one back.
  public func unary(
    _ method: String, _ message: [UInt8], options: GRPCCallOptions = .init()
  ) async throws -> GRPCReply {
    let deadline = options.timeout.map { NIODeadline.now() + .nanoseconds($0.wholeNanoseconds) }
    do {
      return try await unaryOnce(method, message, options: options, deadline: deadline)
    } catch let status as GRPCStatus where status.isUnprocessed {
      // The server was going away and never looked at it; once more on a new connection is always safe.
      return try await unaryOnce(method, message, options: options, deadline: deadline)
    }
  }

  /// One message there, a stream back.
  public func serverStream(
    _ method: String, _ message: [UInt8], options: GRPCCallOptions = .init()
  ) async throws -> GRPCCall {
    try await open(method, message: message, end: true, options: options)
  }

  /// A call whose messages go both ways, in any order.
  public func call(_ method: String, options: GRPCCallOptions = .init()) async throws -> GRPCCall {
    try await open(method, message: nil, end: false, options: options)
  }

  /// A stream there, one message back.
  public func clientStream(
    _ method: String, options: GRPCCallOptions = .init(), _ send: (GRPCCall) async throws -> Void
  ) async throws -> [UInt8] {
    let call = try await open(method, message: nil, end: false, options: options)
    try await send(call)
    try await call.finish()
    guard let reply = try await call.receive() else { throw GRPCStatus(.internal, "received no response message") }
    guard try await call.receive() == nil else { throw GRPCStatus(.internal, "received more than one message") }
    return reply
  }

  /// The server that calls go to at this moment.
  public var connectedAddress: GRPCAddress? {
    guard case .ready(let connection) = guarded.withLock({ $0.state }) else { return nil }
    return connection.address
  }

  /// How many connections have been lost or left.
  public var losses: UInt64 { guarded.withLock { $0.losses } }

  /// Sends further calls to the next address, because the server at this one, though it can be reached, is of no use.
  /// Calls under way there have ten seconds to end.
  public func leave(_ address: GRPCAddress) {
    let left = guarded.withLock { guarded -> ClientConnection? in
      guard case .ready(let connection) = guarded.state, connection.address == address else { return nil }
      guarded.state = .idle
      guarded.losses += 1
      guarded.index = (guarded.index + 1) % addresses.count
      return connection
    }
    if let channel = left?.channel { channel.eventLoop.scheduleTask(in: .seconds(10)) { channel.close(promise: nil) } }
  }

  /// Ends the connection and refuses further calls.
  public func shutdown() async {
    let state = guarded.withLock { guarded in
      defer { guarded.state = .shutDown }
      return guarded.state
    }
    switch state {
    case .ready(let connection): try? await connection.channel.close()
    case .connecting(let future): try? await future.get().channel.close()
    default: break
    }
  }
}

// MARK: - Calls

extension GRPCChannel {
  private func unaryOnce(
    _ method: String, _ message: [UInt8], options call: GRPCCallOptions, deadline: NIODeadline?
  ) async throws -> GRPCReply {
    let connection = try await connection(deadline: deadline, waitForReady: call.waitForReady)
    let headers = headers(method, call, deadline, connection.address)
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        connection.openStream(maximumMessageSize: options.maximumMessageSize) { result in
          switch result {
          case .success(let handler):
            handler.value.unary = continuation
            handler.value.start(headers: headers, message: message, end: true, deadline: deadline)
            cancellation.set { connection.channel.eventLoop.execute { handler.value.cancel() } }
          case .failure(let error): continuation.resume(throwing: error)
          }
        }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }

  private func open(
    _ method: String, message: [UInt8]?, end: Bool, options call: GRPCCallOptions
  ) async throws -> GRPCCall {
    let deadline = call.timeout.map { NIODeadline.now() + .nanoseconds($0.wholeNanoseconds) }
    for attempt in 0... {
      let connection = try await connection(deadline: deadline, waitForReady: call.waitForReady)
      let headers = headers(method, call, deadline, connection.address)
      do {
        return try await withCheckedThrowingContinuation { continuation in
          connection.openStream(maximumMessageSize: options.maximumMessageSize) { result in
            continuation.resume(
              with: result.map { handler in
                handler.value.start(headers: headers, message: message, end: end, deadline: deadline)
                return GRPCCall(loop: connection.channel.eventLoop, handler: handler)
              })
          }
        }
      } catch let status as GRPCStatus where status.isUnprocessed && attempt == 0 {
        continue
      }
    }
    throw GRPCStatus(.unavailable, "no stream")
  }

  private func headers(
    _ method: String, _ call: GRPCCallOptions, _ deadline: NIODeadline?, _ address: GRPCAddress
  ) -> HPACKHeaders {
    var headers = HPACKHeaders()
    headers.add(name: ":method", value: "POST")
    headers.add(name: ":scheme", value: options.tls == nil ? "http" : "https")
    headers.add(name: ":path", value: method)
    let authority =
      switch address {
      case .unix: "localhost"
      case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
      }
    headers.add(name: ":authority", value: options.authority ?? authority)
    headers.add(name: "content-type", value: "application/grpc")
    headers.add(name: "te", value: "trailers")
    headers.add(name: "user-agent", value: options.userAgent)
    if let deadline {
      let left = (deadline - .now()).nanoseconds
      headers.add(name: "grpc-timeout", value: TimeoutHeader.encode(nanoseconds: left))
    }
    options.metadata.add(to: &headers)
    call.metadata.add(to: &headers)
    return headers
  }
}

// MARK: - Connection

extension GRPCChannel {
  private enum Decision {
    case use(ClientConnection)
    case wait(EventLoopFuture<ClientConnection>)
    case pause(until: NIODeadline, GRPCStatus)
    case refuse
  }

  private func connection(deadline: NIODeadline?, waitForReady: Bool) async throws -> ClientConnection {
    while true {
      try Task.checkCancellation()
      switch decide() {
      case .use(let connection): return connection
      case .wait(let future):
        do {
          return try await bounded(future, deadline)
        } catch let status as GRPCStatus where status.code == .unavailable && waitForReady {
          continue
        }
      case .pause(let until, let error):
        guard waitForReady else { throw error }
        let now = NIODeadline.now()
        if let deadline, deadline <= max(until, now) {
          try await Task.sleep(for: .nanoseconds(max(0, (deadline - now).nanoseconds)))
          throw GRPCStatus(.deadlineExceeded, "context deadline exceeded: \(error.message)")
        }
        try await Task.sleep(for: .nanoseconds(max(0, (until - now).nanoseconds)))
      case .refuse: throw GRPCStatus(.cancelled, "grpc: the client connection is closing")
      }
    }
  }

  private func decide() -> Decision {
    let (decision, started) = guarded.withLock { guarded -> (Decision, EventLoopPromise<ClientConnection>?) in
      switch guarded.state {
      case .ready(let connection): return (.use(connection), nil)
      case .connecting(let future): return (.wait(future), nil)
      case .shutDown: return (.refuse, nil)
      case .waiting(let until, let error) where until > .now(): return (.pause(until: until, error), nil)
      case .idle, .waiting:
        let promise = group.any().makePromise(of: ClientConnection.self)
        guarded.state = .connecting(promise.futureResult)
        return (.wait(promise.futureResult), promise)
      }
    }
    if let started { connect(started) }
    return decision
  }

  private func connect(_ promise: EventLoopPromise<ClientConnection>) {
    connect(promise, from: guarded.withLock { $0.index }, failures: [])
  }

  /// Tries the addresses one after the other, beginning with `first`, until one answers.
  private func connect(_ promise: EventLoopPromise<ClientConnection>, from first: Int, failures: [String]) {
    let index = (first + failures.count) % addresses.count
    let attempt = ClientConnection.connect(
      to: addresses[index], options: options, on: promise.futureResult.eventLoop, logger: logger
    ) { [weak self] channel in
      self?.connectionLost(channel)
    }
    attempt.whenComplete { result in
      switch result {
      case .success(let connection):
        let isWanted = self.guarded.withLock { guarded in
          guarded.backoff.reset()
          guard case .connecting = guarded.state else { return false }
          guarded.index = index
          guarded.state = connection.channel.isActive ? .ready(connection) : .idle
          return true
        }
        if !isWanted { connection.channel.close(promise: nil) }
        promise.succeed(connection)
      case .failure(let error):
        let failures = failures + ["\(self.addresses[index]): \(error)"]
        let isWanted = self.guarded.withLock { guarded in
          if case .connecting = guarded.state { return true }
          return false
        }
        if isWanted, failures.count < self.addresses.count {
          return self.connect(promise, from: first, failures: failures)
        }
        var status = GRPCStatus(
          .unavailable,
          "connection error: desc = \"transport: Error while dialing: \(failures.joined(separator: "; "))\"")
        status.isUnprocessed = true
        self.guarded.withLock { [status] guarded in
          guard case .connecting = guarded.state else { return }
          let pause = guarded.backoff.next(jitter: Double.random(in: -1...1))
          guarded.state = .waiting(until: .now() + .nanoseconds(pause.wholeNanoseconds), error: status)
        }
        promise.fail(status)
      }
    }
  }

  private func connectionLost(_ channel: any Channel) {
    guarded.withLock { guarded in
      guard case .ready(let connection) = guarded.state, connection.channel === channel else { return }
      guarded.state = .idle
      guarded.losses += 1
    }
  }

  /// Waits for a connection no longer than the deadline and the task allow.
  private func bounded(
    _ future: EventLoopFuture<ClientConnection>, _ deadline: NIODeadline?
  ) async throws -> ClientConnection {
    let loop = future.eventLoop
    let promise = loop.makePromise(of: ClientConnection.self)
    future.cascade(to: promise)
    let timer = deadline.map {
      loop.scheduleTask(deadline: $0) {
        var status = GRPCStatus(.deadlineExceeded, "context deadline exceeded")
        status.isUnprocessed = true
        promise.fail(status)
      }
    }
    defer { timer?.cancel() }
    return try await withTaskCancellationHandler {
      try await promise.futureResult.get()
    } onCancel: {
      promise.fail(CancellationError())
    }
  }
}

extension ClientConnection {
  /// Opens a stream; `body` runs on the event loop, where the handler may be used.
  func openStream(
    maximumMessageSize: Int, _ body: @escaping @Sendable (Result<NIOLoopBound<ClientStreamHandler>, any Error>) -> Void
  ) {
    let loop = channel.eventLoop
    loop.execute {
      let promise = loop.makePromise(of: (any Channel).self)
      let handler = NIOLoopBound(ClientStreamHandler(maximumMessageSize: maximumMessageSize), eventLoop: loop)
      self.multiplexer.createStreamChannel(promise: promise) { stream in
        loop.makeCompletedFuture {
          try stream.syncOptions?.setOption(.autoRead, value: false)
          try stream.pipeline.syncOperations.addHandler(handler.value)
        }
      }
      promise.futureResult.whenSuccess { stream in
        self.streams.add(1)
        stream.closeFuture.whenComplete { _ in self.streams.add(-1) }
      }
      promise.futureResult.whenComplete { result in
        body(
          result.map { _ in handler }.mapError { error in
            var status = GRPCStatus(.unavailable, "transport: \(error)")
            status.isUnprocessed = true
            return status
          })
      }
    }
  }
}

/// Joins a task's cancellation with something that exists only later.
final class Cancellation: Sendable {
  private struct Guarded {
    var isCancelled = false
    var action: (@Sendable () -> Void)?
  }
  private let guarded = Mutex(Guarded())

  func set(_ action: @escaping @Sendable () -> Void) {
    let isCancelled = guarded.withLock { guarded in
      guarded.action = action
      return guarded.isCancelled
    }
    if isCancelled { action() }
  }

  func cancel() {
    let action = guarded.withLock { guarded in
      guarded.isCancelled = true
      return guarded.action
    }
    action?()
  }
}
