import NIOCore
import Synchronization

/// What a server-side handler knows about its call.
public struct GRPCServerContext: Sendable {
  /// `/package.Service/Method`.
  public let method: String
  /// What the client sent before its messages.
  public let metadata: GRPCMetadata
  /// How long the client will wait, counted from the arrival of the call.
  public let timeout: Duration?
}

/// A call on the server, whose messages are received and sent one by one. The handler's task is cancelled when the
/// client gives up, its deadline passes or the connection ends.
public final class GRPCServerCall: Sendable {
  /// What is known about the call.
  public let context: GRPCServerContext
  private let loop: any EventLoop
  private let handler: NIOLoopBound<ServerStreamHandler>
  private let extra = Mutex((initial: GRPCMetadata(), trailers: GRPCMetadata()))

  init(context: GRPCServerContext, loop: any EventLoop, handler: NIOLoopBound<ServerStreamHandler>) {
    self.context = context
    self.loop = loop
    self.handler = handler
  }

  /// The client's next message; nil when it has sent its last.
  public func receive() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        loop.execute { self.handler.value.receive(continuation) }
      }
    } onCancel: {
      loop.execute { self.handler.value.cancelReceive() }
    }
  }

  /// Sends a message; returns when flow control has let it out.
  public func send(_ message: [UInt8]) async throws {
    let promise = loop.makePromise(of: Void.self)
    let initial = extra.withLock { $0.initial }
    loop.execute { self.handler.value.send(message, initialMetadata: initial, promise: promise) }
    try await promise.futureResult.get()
  }

  /// Metadata that goes before the first message.
  public func setInitialMetadata(_ metadata: GRPCMetadata) { extra.withLock { $0.initial = metadata } }

  /// Sends the initial metadata now, so that the client knows that the call was taken up.
  public func sendInitialMetadata() {
    let initial = extra.withLock { $0.initial }
    loop.execute { self.handler.value.sendHeaders(initial, flush: true) }
  }

  /// Metadata that goes with the status.
  public func setTrailers(_ metadata: GRPCMetadata) { extra.withLock { $0.trailers = metadata } }

  func end(_ status: GRPCStatus) {
    var status = status
    for (key, value) in extra.withLock({ $0.trailers }).pairs { status.trailers.add(key, value) }
    loop.execute { [status] in self.handler.value.end(status) }
  }
}

extension GRPCServerCall: AsyncSequence {
  public struct AsyncIterator: AsyncIteratorProtocol {
    let call: GRPCServerCall
    public mutating func next() async throws -> [UInt8]? { try await call.receive() }
  }

  /// The client's messages as they come.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: self) }
}
