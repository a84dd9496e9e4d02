import NIOCore
import NIOHPACK
import NIOHTTP2

/// What a unary call brings back.
public struct GRPCReply: Sendable {
  /// The answer.
  public var message: [UInt8]
  /// Metadata sent before the answer.
  public var initialMetadata: GRPCMetadata
  /// Metadata sent after it.
  public var trailers: GRPCMetadata
}

/// The client's end of one stream. Everything here happens on the connection's event loop.
///
///     open ── headers ──▶ receiving ── trailers │ reset │ deadline │ cancel │ connection lost ──▶ finished
final class ClientStreamHandler: ChannelInboundHandler {
  typealias InboundIn = HTTP2Frame.FramePayload
  typealias OutboundOut = HTTP2Frame.FramePayload

  private var inbox: Inbox
  private var initialMetadata: GRPCMetadata?
  private var finished: GRPCStatus?
  private var sentEnd = false
  private var isPaused = false
  private var deadline: Scheduled<Void>?
  private var context: ChannelHandlerContext?
  private var metadataWaiters: [CheckedContinuation<GRPCMetadata, any Error>] = []
  /// Set for unary calls, which are answered once, at the end.
  var unary: CheckedContinuation<GRPCReply, any Error>?

  init(maximumMessageSize: Int) { inbox = Inbox(maximumMessageSize: maximumMessageSize) }

  // MARK: Called by GRPCChannel and GRPCCall

  func start(headers: HPACKHeaders, message: [UInt8]?, end: Bool, deadline: NIODeadline?) {
    guard let context else { return }
    if let deadline {
      let loopBound = NIOLoopBound(self, eventLoop: context.eventLoop)
      self.deadline = context.eventLoop.scheduleTask(deadline: deadline) { loopBound.value.deadlineReached() }
    }
    context.write(wrapOutboundOut(.headers(.init(headers: headers))), promise: nil)
    if let message { send(message, end: end, promise: nil) } else { context.flush() }
    if message == nil && end { sendEnd(promise: nil) }
    context.read()
  }

  func send(_ message: [UInt8], end: Bool, promise: EventLoopPromise<Void>?) {
    guard let context, finished == nil, !sentEnd else {
      promise?.fail(finished.flatMap { $0.code == .ok ? nil : $0 } ?? GRPCStatus(.internal, "the call has ended"))
      return
    }
    sentEnd = end
    let frame = MessageDecoder.frame(message, allocator: context.channel.allocator)
    context.writeAndFlush(
      wrapOutboundOut(.data(.init(data: .byteBuffer(frame), endStream: end))), promise: promise)
  }

  func sendEnd(promise: EventLoopPromise<Void>?) {
    guard let context, finished == nil, !sentEnd else {
      promise?.succeed(())
      return
    }
    sentEnd = true
    context.writeAndFlush(
      wrapOutboundOut(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true))), promise: promise)
  }

  func receive(_ waiter: Inbox.Waiter) {
    inbox.receive(waiter)
    resumeReading()
  }

  func waitForMetadata(_ waiter: CheckedContinuation<GRPCMetadata, any Error>) {
    if let initialMetadata {
      waiter.resume(returning: initialMetadata)
    } else if let finished {
      if finished.code == .ok { waiter.resume(returning: [:]) } else { waiter.resume(throwing: finished) }
    } else {
      metadataWaiters.append(waiter)
    }
  }

  var trailers: GRPCMetadata? { finished?.trailers }

  func cancel() { abort(CancellationError(), GRPCStatus(.cancelled, "context canceled")) }

  // MARK: ChannelInboundHandler

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    finish(GRPCStatus(.unavailable, "error reading from server: EOF"))
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard finished == nil else { return }
    switch unwrapInboundIn(data) {
    case .headers(let frame): received(frame)
    case .data(let frame):
      guard case .byteBuffer(var buffer) = frame.data else { return }
      do throws(GRPCStatus) {
        try inbox.received(&buffer)
        if frame.endStream {
          finish(GRPCStatus(.internal, "server closed the stream without sending trailers"))
        }
      } catch {
        abort(error, error)
      }
    case .rstStream(let code): finish(GRPCStatus(resetCode: code.networkCode))
    default: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if unary != nil || !inbox.isFull { context.read() } else { isPaused = true }
  }

  func channelInactive(context: ChannelHandlerContext) {
    finish(GRPCStatus(.unavailable, "error reading from server: EOF"))
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let closed = error as? NIOHTTP2Errors.StreamClosed {
      finish(GRPCStatus(resetCode: closed.errorCode.networkCode))
    } else {
      finish(GRPCStatus(.unavailable, "transport: \(error)"))
    }
    context.close(promise: nil)
  }

  // MARK: Private

  private func received(_ frame: HTTP2Frame.FramePayload.Headers) {
    let headers = frame.headers
    if initialMetadata == nil {
      let status = headers.first(name: ":status").flatMap { Int($0) } ?? 0
      if (100..<200).contains(status) { return }
      guard status == 200 || headers.contains(name: "grpc-status") else {
        finish(GRPCStatus(httpStatus: status))
        return
      }
      if !frame.endStream {
        let metadata = GRPCMetadata(headers)
        initialMetadata = metadata
        for waiter in metadataWaiters { waiter.resume(returning: metadata) }
        metadataWaiters = []
        return
      }
    }
    guard let code = headers.first(name: "grpc-status").flatMap({ Int($0) }) else {
      finish(GRPCStatus(.internal, "server sent trailers without a status"))
      return
    }
    let message = StatusMessage.decode(headers.first(name: "grpc-message") ?? "")
    let status = GRPCStatus(.init(rawValue: code), message, trailers: GRPCMetadata(headers))
    if code == 0 && inbox.isInsideMessage {
      finish(GRPCStatus(.internal, "unexpected EOF inside a message"))
    } else {
      finish(status)
    }
  }

  private func deadlineReached() {
    let status = GRPCStatus(.deadlineExceeded, "context deadline exceeded")
    abort(status, status)
  }

  /// Ends the call from this side: whoever waits gets `error`, the server a RST_STREAM.
  private func abort(_ error: any Error, _ status: GRPCStatus) {
    guard finished == nil else { return }
    finish(status, error: error, discard: true)
    context?.close(promise: nil)
  }

  private func finish(_ status: GRPCStatus, error: (any Error)? = nil, discard: Bool = false) {
    guard finished == nil else { return }
    finished = status
    deadline?.cancel()
    deadline = nil
    let failure: (any Error)? = error ?? (status.code == .ok ? nil : status)
    if let unary {
      self.unary = nil
      answer(unary, failure: failure, trailers: status.trailers)
    }
    inbox.finish(failure.map { .failure($0) } ?? .success(()), discard: discard)
    for waiter in metadataWaiters {
      if let failure { waiter.resume(throwing: failure) } else { waiter.resume(returning: [:]) }
    }
    metadataWaiters = []
    // The server is done although this side was not: the stream must be let go.
    if !sentEnd, let context, context.channel.isActive { context.close(promise: nil) }
  }

  private func answer(
    _ continuation: CheckedContinuation<GRPCReply, any Error>, failure: (any Error)?, trailers: GRPCMetadata
  ) {
    if let failure {
      continuation.resume(throwing: failure)
      return
    }
    let messages = inbox.drain()
    guard messages.count == 1 else {
      continuation.resume(
        throwing: GRPCStatus(
          .internal,
          messages.isEmpty
            ? "cardinality violation: received no response message from non-server-streaming RPC"
            : "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message"))
      return
    }
    continuation.resume(
      returning: GRPCReply(message: messages[0], initialMetadata: initialMetadata ?? [:], trailers: trailers))
  }

  private func resumeReading() {
    guard isPaused, !inbox.isFull else { return }
    isPaused = false
    context?.read()
  }
}
