import NIOCore
import Synchronization

/// One request and its response, between the caller's task and the connection's event loop.
final class ClientExchange: Sendable {
  struct Head: Sendable {
    var status: Int
    var headers: HTTPFields
  }
  private struct State {
    var head: Result<Head, any Error>?
    var waiter: CheckedContinuation<Head, any Error>?
    var cancel: (@Sendable () -> Void)?
    var cancelled = false
    var connection: UpgradedConnection?
  }

  let request: HTTPClientRequest
  let body = HTTPBodyStream()
  let wantsUpgrade: Bool
  private let state = Mutex(State())

  init(_ request: HTTPClientRequest, wantsUpgrade: Bool = false) {
    self.request = request
    self.wantsUpgrade = wantsUpgrade
  }

  /// The response's head. Cancelling the task ends the exchange.
  func head() async throws -> Head {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let now: Result<Head, any Error>? = state.withLock { s in
          if s.cancelled { return .failure(CancellationError()) }
          if s.head == nil { s.waiter = continuation }
          return s.head
        }
        if let now { continuation.resume(with: now) }
      }
    } onCancel: {
      cancel()
    }
  }

  /// How the connection ends this exchange early.
  func setCancel(_ action: @escaping @Sendable () -> Void) {
    let now = state.withLock { s in
      if !s.cancelled { s.cancel = action }
      return s.cancelled
    }
    if now { action() }
  }

  func cancel() {
    let (action, waiter) = state.withLock { s -> ((@Sendable () -> Void)?, CheckedContinuation<Head, any Error>?) in
      s.cancelled = true
      defer {
        s.cancel = nil
        s.waiter = nil
      }
      return (s.cancel, s.waiter)
    }
    action?()
    waiter?.resume(throwing: CancellationError())
  }

  func received(_ head: Head) { settle(.success(head)) }

  /// The exchange cannot go on: the caller waiting for the head, or the reader of the body, is told.
  func fail(_ error: any Error) {
    settle(.failure(error))
    body.finish(error)
  }

  private func settle(_ result: Result<Head, any Error>) {
    let waiter = state.withLock { s -> CheckedContinuation<Head, any Error>? in
      guard s.head == nil else { return nil }
      s.head = result
      defer { s.waiter = nil }
      return s.waiter
    }
    waiter?.resume(with: result)
  }

  /// Nothing of the response has come yet.
  var headPending: Bool { state.withLock { $0.head == nil } }

  var upgraded: UpgradedConnection? {
    get { state.withLock { $0.connection } }
    set { state.withLock { $0.connection = newValue } }
  }
}

/// A connection that can carry exchanges.
protocol ClientConnection: AnyObject, Sendable {
  var channel: any Channel { get }
  /// Takes a place for one more exchange; false when the connection is full, draining or closed.
  func reserve() -> Bool
  /// Starts an exchange on the place taken.
  func start(_ exchange: ClientExchange)
  /// Sends a piece of a streamed request body; nil ends it.
  func writeBody(_ exchange: ClientExchange, _ buffer: ByteBuffer?) async throws
}
