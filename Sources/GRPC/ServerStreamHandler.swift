import NIOCore
import NIOHPACK
import NIOHTTP2

/// The server's end of one stream. Everything here happens on the connection's event loop.
final class ServerStreamHandler: ChannelInboundHandler {
  typealias InboundIn = HTTP2Frame.FramePayload
  typealias OutboundOut = HTTP2Frame.FramePayload

  private let routes: GRPCRoutes
  private var inbox: Inbox
  private var context: ChannelHandlerContext?
  private var task: Task<Void, Never>?
  private var deadline: Scheduled<Void>?
  private var sentHeaders = false
  private var ended = false
  private var isPaused = false

  init(routes: GRPCRoutes, maximumMessageSize: Int) {
    self.routes = routes
    inbox = Inbox(maximumMessageSize: maximumMessageSize)
  }

  // MARK: Called by GRPCServerCall

  func receive(_ waiter: Inbox.Waiter) {
    inbox.receive(waiter)
    guard isPaused, !inbox.isFull else { return }
    isPaused = false
    context?.read()
  }

  func cancelReceive() { inbox.cancelWaiter() }

  func sendHeaders(_ metadata: GRPCMetadata, flush: Bool) {
    guard let context, !sentHeaders, !ended else { return }
    sentHeaders = true
    var headers = HPACKHeaders([(":status", "200"), ("content-type", "application/grpc")])
    metadata.add(to: &headers)
    context.write(wrapOutboundOut(.headers(.init(headers: headers))), promise: nil)
    if flush { context.flush() }
  }

  func send(_ message: [UInt8], initialMetadata: GRPCMetadata, promise: EventLoopPromise<Void>) {
    guard let context, !ended else {
      promise.fail(GRPCStatus(.cancelled, "the call has ended"))
      return
    }
    sendHeaders(initialMetadata, flush: false)
    let frame = MessageDecoder.frame(message, allocator: context.channel.allocator)
    context.writeAndFlush(wrapOutboundOut(.data(.init(data: .byteBuffer(frame)))), promise: promise)
  }

  func end(_ status: GRPCStatus) {
    guard let context, !ended else { return }
    ended = true
    deadline?.cancel()
    inbox.finish(.failure(GRPCStatus(.cancelled, "the call has ended")), discard: true)
    var headers = HPACKHeaders()
    if !sentHeaders {
      headers.add(name: ":status", value: "200")
      headers.add(name: "content-type", value: "application/grpc")
    }
    headers.add(name: "grpc-status", value: "\(status.code.rawValue)")
    if !status.message.isEmpty { headers.add(name: "grpc-message", value: StatusMessage.encode(status.message)) }
    status.trailers.add(to: &headers)
    context.writeAndFlush(
      wrapOutboundOut(.headers(.init(headers: headers, endStream: true))), promise: nil)
    // The client's remaining messages are of no interest; flow control for them goes with the stream.
    context.read()
  }

  // MARK: ChannelInboundHandler

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { context.read() }
  }

  func channelActive(context: ChannelHandlerContext) { context.read() }

  func handlerRemoved(context: ChannelHandlerContext) {
    abandon()
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .headers(let frame) where task == nil && !ended:
      begin(frame.headers, context)
      if frame.endStream { inbox.finish(.success(())) }
    case .headers(let frame): if frame.endStream { inbox.finish(.success(())) }
    case .data(let frame):
      guard !ended, case .byteBuffer(var buffer) = frame.data else { return }
      do throws(GRPCStatus) {
        try inbox.received(&buffer)
        if frame.endStream { inbox.finish(.success(())) }
      } catch {
        end(error)
        task?.cancel()
      }
    case .rstStream: abandon()
    default: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if ended || !inbox.isFull { context.read() } else { isPaused = true }
  }

  func channelInactive(context: ChannelHandlerContext) { abandon() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    abandon()
    context.close(promise: nil)
  }

  // MARK: Private

  private func begin(_ headers: HPACKHeaders, _ context: ChannelHandlerContext) {
    let contentType = headers.first(name: "content-type") ?? ""
    guard headers.first(name: ":method") == "POST", contentType.hasPrefix("application/grpc") else {
      ended = true
      let status = headers.first(name: ":method") == "POST" ? "415" : "405"
      context.writeAndFlush(
        wrapOutboundOut(.headers(.init(headers: HPACKHeaders([(":status", status)]), endStream: true))), promise: nil)
      return
    }
    let path = headers.first(name: ":path") ?? ""
    let timeout = headers.first(name: "grpc-timeout").flatMap(TimeoutHeader.decode)
    guard let handler = routes.handler(path) else {
      end(routes.unknown(path))
      return
    }
    let loopBound = NIOLoopBound(self, eventLoop: context.eventLoop)
    if let timeout {
      deadline = context.eventLoop.scheduleTask(in: .nanoseconds(timeout)) {
        let stream = loopBound.value
        stream.end(GRPCStatus(.deadlineExceeded, "context deadline exceeded"))
        stream.task?.cancel()
      }
    }
    let call = GRPCServerCall(
      context: GRPCServerContext(
        method: path, metadata: GRPCMetadata(headers), timeout: timeout.map { .nanoseconds($0) }),
      loop: context.eventLoop, handler: loopBound)
    // The task belongs to the stream: it is cancelled in `abandon` when the stream ends first.
    task = Task {
      do {
        try await handler(call)
        call.end(GRPCStatus(.ok))
      } catch {
        call.end(GRPCStatus(mapping: error))
      }
    }
  }

  private func abandon() {
    guard !ended else { return }
    ended = true
    deadline?.cancel()
    task?.cancel()
    inbox.finish(.failure(CancellationError()), discard: true)
  }
}
