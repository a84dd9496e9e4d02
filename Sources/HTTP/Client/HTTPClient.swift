import NIOCore

/// Sends requests: HTTP/2 where TLS offers it, HTTP/1.1 with kept connections elsewhere, over TCP and unix sockets.
public final class HTTPClient: Sendable {
  public let configuration: HTTPClientConfiguration
  private let pool: ConnectionPool

  public init(configuration: HTTPClientConfiguration = .init()) {
    self.configuration = configuration
    pool = ConnectionPool(configuration: configuration)
  }

  /// Sends a request and collects the response.
  public func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
    try await withTimeout(request.timeout) {
      let (head, exchange) = try await self.exchange(request)
      let body = try await exchange.body.collect(upTo: .max)
      return HTTPClientResponse(status: head.status, headers: head.headers, body: body)
    }
  }

  /// Sends a request and returns when the response's head has come. The connection reads on as the body is read.
  public func stream(_ request: HTTPClientRequest) async throws -> HTTPClientStreamResponse {
    let (head, exchange) = try await withTimeout(request.timeout) { try await self.exchange(request) }
    return HTTPClientStreamResponse(
      status: head.status, headers: head.headers, body: HTTPResponseStream(exchange.body))
  }

  /// Asks to leave HTTP on a connection of its own. The request carries `Connection: Upgrade` and `Upgrade`.
  public func tryUpgrade(_ request: HTTPClientRequest) async throws -> HTTPUpgradeResult {
    try await withTimeout(request.timeout) {
      let connection = try await self.pool.dial(request.origin, http1: true)
      let exchange = ClientExchange(request, wantsUpgrade: true)
      connection.start(exchange)
      let sender = self.sendBody(exchange, on: connection)
      defer { sender?.cancel() }
      let head = try await exchange.head()
      if head.status == 101, let upgraded = exchange.upgraded { return .upgraded(upgraded) }
      let body = try await exchange.body.collect(upTo: 1 << 20)
      connection.channel.close(promise: nil)
      return .refused(HTTPClientResponse(status: head.status, headers: head.headers, body: body))
    }
  }

  /// As `tryUpgrade`; a refusal is an error.
  public func upgrade(_ request: HTTPClientRequest) async throws -> UpgradedConnection {
    switch try await tryUpgrade(request) {
    case .upgraded(let connection): return connection
    case .refused(let response): throw HTTPClientError.upgradeRefused(status: response.status, body: response.body)
    }
  }

  /// Closes every connection; later requests fail.
  public func shutdown() async { await pool.shutdown() }

  private func exchange(_ request: HTTPClientRequest) async throws -> (ClientExchange.Head, ClientExchange) {
    var attempt = 0
    while true {
      let (connection, reused) = try await pool.acquire(request.origin, fresh: attempt > 1)
      let exchange = ClientExchange(request)
      connection.start(exchange)
      let sender = sendBody(exchange, on: connection)
      do {
        return (try await exchange.head(), exchange)
      } catch {
        sender?.cancel()
        attempt += 1
        guard attempt <= 3, mayRepeat(request, after: error, reused: reused) else { throw error }
      }
    }
  }

  private func mayRepeat(_ request: HTTPClientRequest, after error: any Error, reused: Bool) -> Bool {
    if case .stream = request.body { return false }
    switch error {
    case HTTPClientError.refusedStream: return true
    // A kept connection that the server closed in the meantime.
    case HTTPClientError.connectionClosed(beforeResponse: true): return reused && request.repeatable
    default: return false
    }
  }

  private func sendBody(_ exchange: ClientExchange, on connection: any ClientConnection) -> Task<Void, Never>? {
    guard case .stream(let body) = exchange.request.body else { return nil }
    // Not structured: the response may come, and be read, while the request's body is still being sent.
    return Task {
      do {
        while let chunk = try await body.next() { try await connection.writeBody(exchange, chunk) }
        try await connection.writeBody(exchange, nil)
      } catch is HTTPClientError {
        body.abandon()  // the connection has told the exchange
      } catch {
        exchange.fail(error)
        exchange.cancel()
      }
    }
  }
}

/// Runs `body` and cancels it with `HTTPClientError.timeout` when it takes longer.
private func withTimeout<R: Sendable>(
  _ timeout: Duration?, _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
  guard let timeout else { return try await body() }
  return try await withThrowingTaskGroup(of: R.self) { group in
    group.addTask(operation: body)
    group.addTask {
      try await Task.sleep(for: timeout)
      throw HTTPClientError.timeout
    }
    defer { group.cancelAll() }
    guard let result = try await group.next() else { throw HTTPClientError.timeout }
    return result
  }
}
