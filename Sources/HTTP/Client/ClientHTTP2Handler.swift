import NIOCore
import NIOHPACK
import NIOHTTP2
import Synchronization

/// All exchanges of one HTTP/2 client connection, directly over `NIOHTTP2Handler`.
final class ClientHTTP2Handler: ChannelInboundHandler {
  typealias InboundIn = HTTP2Frame
  typealias OutboundOut = HTTP2Frame

  static let streamWindow = 1024 * 1024
  static let connectionWindow = 16 * 1024 * 1024
  /// As upstream's clients: a silent connection with open streams is probed, and closed when it stays silent.
  static let pingAfter = TimeAmount.seconds(30)
  static let pingTimeout = TimeAmount.seconds(15)

  private final class Stream {
    let exchange: ClientExchange
    var unreturnedWindow = 0
    var ended = false
    var requestDone = false
    init(_ exchange: ClientExchange) { self.exchange = exchange }
  }

  private let owner: ClientHTTP2Connection
  private var streams: [HTTP2StreamID: Stream] = [:]
  private var ids: [ObjectIdentifier: HTTP2StreamID] = [:]
  private var nextID = HTTP2StreamID(1)
  private var lastRead = NIODeadline.now()
  private var pinged: NIODeadline?
  private var ticker: RepeatedTask?
  private var context: ChannelHandlerContext?
  private var reading = false
  private var flushWanted = false

  init(owner: ClientHTTP2Connection) { self.owner = owner }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    write(context, .windowUpdate(windowSizeIncrement: Self.connectionWindow - 65_535), .rootStream)
    context.flush()
    let box = NIOLoopBound(self, eventLoop: context.eventLoop)
    ticker = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(15), delay: .seconds(15)) { _ in
      box.value.tick()
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { close(HTTPClientError.connectionClosed(beforeResponse: true)) }

  func channelInactive(context: ChannelHandlerContext) {
    close(HTTPClientError.connectionClosed(beforeResponse: true))
    context.fireChannelInactive()
  }

  private func close(_ error: any Error) {
    ticker?.cancel()
    ticker = nil
    owner.closed()
    let open = streams.values.filter { !$0.ended }
    streams.removeAll()
    ids.removeAll()
    context = nil
    for stream in open { stream.exchange.fail(error) }
  }

  private func tick() {
    guard let context else { return }
    let now = NIODeadline.now()
    if let pinged {
      if lastRead < pinged, now - pinged >= Self.pingTimeout { context.close(promise: nil) }
      if lastRead >= pinged { self.pinged = nil }
    } else if !streams.isEmpty, now - lastRead >= Self.pingAfter {
      pinged = now
      write(context, .ping(HTTP2PingData(withInteger: 0), ack: false), .rootStream)
      context.flush()
    }
  }

  // MARK: Out

  private func write(
    _ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload, _ id: HTTP2StreamID,
    promise: EventLoopPromise<Void>? = nil
  ) {
    context.write(wrapOutboundOut(HTTP2Frame(streamID: id, payload: payload)), promise: promise)
  }

  private func flush(_ context: ChannelHandlerContext) {
    if reading { flushWanted = true } else { context.flush() }
  }

  func start(_ exchange: ClientExchange) {
    guard let context, context.channel.isActive else {
      owner.released()
      exchange.fail(HTTPClientError.refusedStream)
      return
    }
    let id = nextID
    nextID = nextID.advanced(by: 2)
    if Int(nextID) > 1 << 30 { owner.retire() }
    let stream = Stream(exchange)
    streams[id] = stream
    ids[ObjectIdentifier(exchange)] = id
    let loop = context.eventLoop
    let box = NIOLoopBound((self, stream), eventLoop: loop)
    exchange.setCancel { loop.execute { box.value.0.cancel(id, box.value.1) } }
    exchange.body.connect(
      onTaken: { count in loop.execute { box.value.0.returnWindow(id, box.value.1, count) } },
      onAbandon: { loop.execute { box.value.0.cancel(id, box.value.1) } })
    let request = exchange.request
    var fields = HPACKHeaders()
    fields.reserveCapacity(request.headers.count + 5)
    fields.add(name: ":method", value: request.method)
    fields.add(name: ":scheme", value: request.origin.isSecure ? "https" : "http")
    fields.add(name: ":authority", value: request.headers["host"] ?? request.origin.authority)
    fields.add(name: ":path", value: request.target)
    for (name, value) in request.headers {
      let lower = name.lowercased()
      if ["host", "connection", "transfer-encoding", "keep-alive", "upgrade"].contains(lower) { continue }
      fields.add(name: lower, value: value)
    }
    switch request.body {
    case .none:
      stream.requestDone = true
      write(context, .headers(.init(headers: fields, endStream: true)), id)
    case .bytes(let bytes):
      stream.requestDone = true
      if request.headers["content-length"] == nil { fields.add(name: "content-length", value: String(bytes.count)) }
      write(context, .headers(.init(headers: fields)), id)
      write(context, .data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: true)), id)
    case .stream: write(context, .headers(.init(headers: fields)), id)
    }
    flush(context)
  }

  func writeBody(_ exchange: ClientExchange, _ buffer: ByteBuffer?, promise: EventLoopPromise<Void>) {
    guard let context, let id = ids[ObjectIdentifier(exchange)], let stream = streams[id] else {
      promise.fail(HTTPClientError.connectionClosed(beforeResponse: false))
      return
    }
    if buffer == nil { stream.requestDone = true }
    let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(buffer ?? ByteBuffer()), endStream: buffer == nil)
    write(context, .data(data), id, promise: promise)
    flush(context)
  }

  private func cancel(_ id: HTTP2StreamID, _ stream: Stream) {
    guard let context, streams[id] === stream else { return }
    if !stream.ended {
      stream.ended = true
      stream.exchange.fail(CancellationError())
    }
    write(context, .rstStream(.cancel), id)
    flush(context)
  }

  private func returnWindow(_ id: HTTP2StreamID, _ stream: Stream, _ count: Int) {
    stream.unreturnedWindow += count
    guard let context, !stream.ended, streams[id] === stream, stream.unreturnedWindow >= Self.streamWindow / 2 else {
      return
    }
    write(context, .windowUpdate(windowSizeIncrement: stream.unreturnedWindow), id)
    stream.unreturnedWindow = 0
    flush(context)
  }

  // MARK: In

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    reading = true
    lastRead = .now()
    let frame = unwrapInboundIn(data)
    switch frame.payload {
    case .headers(let headers):
      guard let stream = streams[frame.streamID] else { return }
      received(stream, headers.headers)
      if headers.endStream { ended(context, frame.streamID, stream) }
    case .data(let data):
      guard let stream = streams[frame.streamID], case .byteBuffer(let buffer) = data.data else { return }
      if buffer.readableBytes > 0 { stream.exchange.body.yield(buffer) }
      if data.endStream { ended(context, frame.streamID, stream) }
    case .goAway(let last, _, _):
      owner.retire()
      for (id, stream) in streams where id > last && !stream.ended {
        stream.ended = true
        stream.exchange.fail(HTTPClientError.refusedStream)
      }
    case .settings(.settings(let settings)):
      for setting in settings where setting.parameter == .maxConcurrentStreams { owner.allow(setting.value) }
    default: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    reading = false
    if flushWanted {
      flushWanted = false
      context.flush()
    }
    context.fireChannelReadComplete()
  }

  private func received(_ stream: Stream, _ headers: HPACKHeaders) {
    var status: Int?
    var fields = HTTPFields()
    fields.reserveCapacity(headers.count)
    for (name, value, _) in headers {
      if name == ":status" { status = Int(value) } else { fields.add(name, value) }
    }
    guard let status, status >= 200 else { return }  // informational, or trailers
    stream.exchange.received(.init(status: status, headers: fields))
  }

  private func ended(_ context: ChannelHandlerContext, _ id: HTTP2StreamID, _ stream: Stream) {
    guard !stream.ended else { return }
    stream.ended = true
    stream.exchange.body.finish()
    // The answer is complete though we are still sending: there is no use in going on.
    if !stream.requestDone {
      write(context, .rstStream(.noError), id)
      flush(context)
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case let closed as StreamClosedEvent:
      guard let stream = streams.removeValue(forKey: closed.streamID) else { break }
      ids.removeValue(forKey: ObjectIdentifier(stream.exchange))
      owner.released()
      if !stream.ended {
        stream.ended = true
        switch closed.reason {
        case .refusedStream?: stream.exchange.fail(HTTPClientError.refusedStream)
        case let reason?: stream.exchange.fail(HTTPClientError.streamReset("\(reason)"))
        case nil: stream.exchange.fail(HTTPClientError.connectionClosed(beforeResponse: stream.exchange.headPending))
        }
      }
      if streams.isEmpty, owner.isRetired { context.close(promise: nil) }
    case let window as NIOHTTP2WindowUpdatedEvent:
      if window.streamID == .rootStream, let size = window.inboundWindowSize, size < Self.connectionWindow / 2 {
        write(context, .windowUpdate(windowSizeIncrement: Self.connectionWindow - size), .rootStream)
        flush(context)
      }
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if error is NIOHTTP2Errors.StreamError { return }
    close(HTTPClientError.connectFailed("\(error)"))
    context.close(promise: nil)
  }
}

/// The pool's view of an HTTP/2 connection.
final class ClientHTTP2Connection: ClientConnection {
  private struct State {
    var open = 0
    var limit = 100
    var retired = false
  }
  let channel: any Channel
  private let state = Mutex(State())
  private let handler = Mutex<NIOLoopBound<ClientHTTP2Handler>?>(nil)

  init(channel: any Channel) { self.channel = channel }

  func attach(_ handler: ClientHTTP2Handler) {
    let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    self.handler.withLock { $0 = bound }
  }

  func reserve() -> Bool {
    state.withLock { s in
      guard !s.retired, s.open < s.limit, channel.isActive else { return false }
      s.open += 1
      return true
    }
  }

  func released() { state.withLock { $0.open -= 1 } }
  func allow(_ count: Int) { state.withLock { $0.limit = max(1, count) } }
  /// No new exchanges; those under way go on.
  func retire() { state.withLock { $0.retired = true } }
  func closed() { retire() }
  var isRetired: Bool { state.withLock { $0.retired } }
  var isIdle: Bool { state.withLock { $0.open == 0 } }

  func start(_ exchange: ClientExchange) {
    guard let handler = handler.withLock({ $0 }) else { return }
    channel.eventLoop.execute { handler.value.start(exchange) }
  }

  func writeBody(_ exchange: ClientExchange, _ buffer: ByteBuffer?) async throws {
    guard let handler = handler.withLock({ $0 }) else { return }
    let promise = channel.eventLoop.makePromise(of: Void.self)
    channel.eventLoop.execute { handler.value.writeBody(exchange, buffer, promise: promise) }
    try await promise.futureResult.get()
  }
}
