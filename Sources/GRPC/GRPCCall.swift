import NIOCore

/// A call in progress whose messages are sent and received one by one. Letting go of it cancels it.
public final class GRPCCall: Sendable {
  private let loop: any EventLoop
  private let handler: NIOLoopBound<ClientStreamHandler>

  init(loop: any EventLoop, handler: NIOLoopBound<ClientStreamHandler>) {
    self.loop = loop
    self.handler = handler
  }

  deinit {
    let handler = handler
    loop.execute { handler.value.cancel() }
  }

  /// Sends one message; returns when flow control has let it out.
  public func send(_ message: [UInt8]) async throws {
    let promise = loop.makePromise(of: Void.self)
    loop.execute { self.handler.value.send(message, end: false, promise: promise) }
    try await promise.futureResult.get()
  }

  /// Tells the server that no further message comes.
  public func finish() async throws {
    let promise = loop.makePromise(of: Void.self)
    loop.execute { self.handler.value.sendEnd(promise: promise) }
    try await promise.futureResult.get()
  }

  /// The next message; nil when the call ended with OK. Throws the status when it ended otherwise.
  /// Cancelling the task that waits here cancels the call.
  public func receive() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        loop.execute { self.handler.value.receive(continuation) }
      }
    } onCancel: {
      cancel()
    }
  }

  /// What the server sent before the first message.
  public func initialMetadata() async throws -> GRPCMetadata {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        loop.execute { self.handler.value.waitForMetadata(continuation) }
      }
    } onCancel: {
      cancel()
    }
  }

  /// What the server sent after the last message; empty until the call has ended.
  public func trailers() async -> GRPCMetadata {
    let handler = handler
    return (try? await loop.submit { handler.value.trailers ?? [:] }.get()) ?? [:]
  }

  /// Gives the call up; the server sees a reset stream.
  public func cancel() {
    loop.execute { self.handler.value.cancel() }
  }
}

extension GRPCCall: AsyncSequence {
  public struct AsyncIterator: AsyncIteratorProtocol {
    let call: GRPCCall
    public mutating func next() async throws -> [UInt8]? { try await call.receive() }
  }

  /// The messages as they come.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: self) }
}
