import Logging
import NIOCore
import NIOHPACK
import NIOHTTP2

/// All streams of one HTTP/2 connection, directly over `NIOHTTP2Handler`: no channel per stream.
///
/// `NIOHTTP2Handler` holds DATA back until the peer's windows allow it, without bound, so this handler hands it at most
/// `maxOutstanding` bytes a stream, and nothing while the socket is behind.
final class ServerHTTP2Handler: ChannelInboundHandler {
  typealias InboundIn = HTTP2Frame
  typealias OutboundOut = HTTP2Frame

  static let streamWindow = 256 * 1024
  static let connectionWindow = 4 * 1024 * 1024
  static let maxOutstanding = 128 * 1024
  static let chunk = 32 * 1024

  private let setup: ConnectionSetup
  private let tls: TLSPeer
  private var streams: [HTTP2StreamID: ServerStream] = [:]
  private var lastStream = HTTP2StreamID.rootStream
  private var date = HTTPDate()
  private var remoteAddress = ""
  private var flushWanted = false
  private var reading = false
  private var draining = false
  private var idleSince = NIODeadline.now()
  private var lastProgress = NIODeadline.now()
  private var ticker: RepeatedTask?
  private var context: ChannelHandlerContext?

  init(setup: ConnectionSetup, tls: TLSPeer) {
    self.setup = setup
    self.tls = tls
  }

  // MARK: Life

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    remoteAddress = context.channel.remoteAddress?.ipAddress ?? "@"
    let loop = context.eventLoop
    let box = NIOLoopBound(self, eventLoop: loop)
    setup.connections.add(context.channel) { loop.execute { box.value.drain() } }
    let frame = HTTP2Frame(
      streamID: .rootStream, payload: .windowUpdate(windowSizeIncrement: Self.connectionWindow - 65_535))
    context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    let timeouts = setup.configuration
    let period = min(timeouts.idleTimeout, timeouts.readTimeout, timeouts.writeTimeout).nanoseconds / 4
    ticker = loop.scheduleRepeatedTask(initialDelay: .nanoseconds(period), delay: .nanoseconds(period)) { _ in
      box.value.tick()
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { close() }

  func channelInactive(context: ChannelHandlerContext) {
    close()
    context.fireChannelInactive()
  }

  private func close() {
    guard let context else { return }
    setup.connections.remove(context.channel)
    ticker?.cancel()
    ticker = nil
    for stream in streams.values { stream.tearDown() }
    streams.removeAll()
    self.context = nil
  }

  /// Announces the end; the connection closes with its last stream.
  private func drain() {
    guard let context, !draining else { return }
    draining = true
    sendGoAway(context, .noError)
    if streams.isEmpty { context.close(promise: nil) }
  }

  /// Closes after what has been written is flushed: this event comes from within the write that ends the last stream.
  private func closeSoon(_ context: ChannelHandlerContext) {
    let box = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.eventLoop.execute {
      guard let context = box.value.context, box.value.streams.isEmpty else { return }
      context.close(promise: nil)
    }
  }

  private func sendGoAway(_ context: ChannelHandlerContext, _ code: HTTP2ErrorCode) {
    let frame = HTTP2Frame(
      streamID: .rootStream,
      payload: .goAway(lastStreamID: lastStream, errorCode: code, opaqueData: nil))
    context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
  }

  private func tick() {
    guard let context else { return }
    let now = NIODeadline.now()
    if streams.isEmpty {
      if now - idleSince > setup.configuration.idleTimeout { drain() }
      return
    }
    for stream in streams.values where !stream.responded && !stream.requestEnded {
      if case .streaming = stream.body { continue }
      if now - stream.started > setup.configuration.readTimeout { reset(context, stream.id, .cancel) }
    }
    if streams.values.contains(where: { $0.outstanding > 0 }),
      now - lastProgress > setup.configuration.writeTimeout
    {
      context.close(promise: nil)
    }
  }

  // MARK: Frames in

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    reading = true
    let frame = unwrapInboundIn(data)
    switch frame.payload {
    case .headers(let headers): received(context, frame.streamID, headers.headers, end: headers.endStream)
    case .data(let data):
      guard case .byteBuffer(let buffer) = data.data else { return }
      received(context, frame.streamID, buffer, end: data.endStream)
    default: break  // settings, pings, windows and resets are NIOHTTP2Handler's business; it tells us by events
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

  private func flush(_ context: ChannelHandlerContext) {
    if reading { flushWanted = true } else { context.flush() }
  }

  private func received(
    _ context: ChannelHandlerContext, _ id: HTTP2StreamID, _ fields: HPACKHeaders, end: Bool
  ) {
    if let stream = streams[id] {  // trailers
      if end { requestEnded(context, stream) }
      return
    }
    lastStream = max(lastStream, id)
    guard let head = requestHead(fields) else {
      reset(context, id, .protocolError)
      return
    }
    let stream = ServerStream(id: id, head: head, now: .now())
    if streams.isEmpty { lastProgress = stream.started }
    streams[id] = stream
    if end {
      requestEnded(context, stream)
      return
    }
    if head.headers.hasToken("expect", "100-continue") {
      write(context, .headers(.init(headers: HPACKHeaders([(":status", "100")]))), id)
      flush(context)
    }
    if setup.handler.wantsBodyStream(head) {
      let body = HTTPBodyStream()
      let loop = context.eventLoop
      let box = NIOLoopBound((self, stream), eventLoop: loop)
      body.connect(
        onTaken: { count in
          loop.execute { box.value.0.returnWindow(box.value.1, count) }
        },
        onAbandon: {})
      stream.body = .streaming(body)
      start(context, stream)
    }
  }

  private func received(_ context: ChannelHandlerContext, _ id: HTTP2StreamID, _ buffer: ByteBuffer, end: Bool) {
    guard let stream = streams[id] else { return }
    stream.collect(buffer, limit: setup.configuration.maxBodyBytes)
    switch stream.body {
    case .streaming: break
    case .overflowed:
      start(context, stream)  // no need to wait for the rest
      returnWindow(stream, buffer.readableBytes)
    case .none, .collecting: returnWindow(stream, buffer.readableBytes)
    }
    if end { requestEnded(context, stream) }
  }

  /// Opens the stream's window again once half of it has been taken.
  private func returnWindow(_ stream: ServerStream, _ count: Int) {
    stream.unreturnedWindow += count
    guard let context, stream.unreturnedWindow >= Self.streamWindow / 2, !stream.requestEnded,
      streams[stream.id] != nil
    else { return }
    write(context, .windowUpdate(windowSizeIncrement: stream.unreturnedWindow), stream.id)
    stream.unreturnedWindow = 0
    flush(context)
  }

  private func requestHead(_ fields: HPACKHeaders) -> HTTPRequestHead? {
    var method: String?, target: String?, authority = ""
    var headers = HTTPFields()
    headers.reserveCapacity(fields.count)
    for (name, value, _) in fields {
      guard name.utf8.first == UInt8(ascii: ":") else {
        headers.add(name, value)
        continue
      }
      switch name {
      case ":method": method = value
      case ":path": target = value
      case ":authority": authority = value
      default: break
      }
    }
    guard let method, let target else { return nil }
    if authority.isEmpty { authority = headers["host"] ?? "" }
    return HTTPRequestHead(
      method: method, target: target, headers: headers, version: .http2, authority: authority, tls: tls,
      remoteAddress: remoteAddress)
  }

  private func requestEnded(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    guard !stream.requestEnded else { return }
    stream.requestEnded = true
    switch stream.body {
    case .streaming(let body): body.finish()
    case .none:
      if let response = setup.handler.handleSync(stream.head) {
        respond(context, stream, response)
      } else {
        start(context, stream)
      }
    case .collecting, .overflowed: start(context, stream)
    }
  }

  private func start(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    guard stream.task == nil, !stream.responded else { return }
    let handler = setup.handler
    let request = stream.request()
    if case .collecting = stream.body { stream.body = .none }
    let loop = context.eventLoop
    let box = NIOLoopBound((self, stream), eventLoop: loop)
    // Not structured: the task belongs to the stream, whose end cancels it.
    stream.task = Task {
      let response = await handler.handle(request)
      loop.execute {
        let (connection, stream) = box.value
        if let context = connection.context { connection.respond(context, stream, response) }
      }
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case let closed as StreamClosedEvent:
      if let stream = streams.removeValue(forKey: closed.streamID) {
        stream.tearDown()
        if streams.isEmpty {
          idleSince = .now()
          if draining { closeSoon(context) }
        }
      }
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
    if error is NIOHTTP2Errors.StreamError { return }  // the stream has been reset; the connection lives on
    setup.configuration.logger.debug("HTTP/2 connection error", metadata: ["error": "\(error)"])
    context.close(promise: nil)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable {
      lastProgress = .now()
      for stream in streams.values where stream.source != nil { pump(context, stream) }
      flush(context)
    }
    context.fireChannelWritabilityChanged()
  }

  // MARK: Frames out

  private func write(
    _ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload, _ id: HTTP2StreamID,
    promise: EventLoopPromise<Void>? = nil
  ) {
    context.write(wrapOutboundOut(HTTP2Frame(streamID: id, payload: payload)), promise: promise)
  }

  private func reset(_ context: ChannelHandlerContext, _ id: HTTP2StreamID, _ code: HTTP2ErrorCode) {
    write(context, .rstStream(code), id)
    flush(context)
  }

  private func respond(_ context: ChannelHandlerContext, _ stream: ServerStream, _ response: HTTPResponse) {
    guard streams[stream.id] === stream, !stream.responded else {
      if case .stream(let body) = response.body { discard(body) }
      return
    }
    stream.responded = true
    stream.task = nil
    let length = response.body.knownLength
    var fields = HPACKHeaders()
    fields.reserveCapacity(response.headers.count + 3)
    fields.add(name: ":status", value: String(response.status))
    for (name, value) in response.headers {
      // What is never the same twice would only push out of the client's table what is.
      fields.add(
        name: name.utf8.contains { $0 >= 65 && $0 <= 90 } ? name.lowercased() : name, value: value,
        indexing: name == "audit-id" ? .nonIndexable : .indexable)
    }
    if let length, response.status >= 200, response.status != 204, response.status != 304 {
      fields.add(name: "content-length", value: String(length), indexing: .nonIndexable)
    }
    fields.add(name: "date", value: date.now())
    if stream.head.method == "HEAD" || length == 0 {
      if case .stream(let body) = response.body { discard(body) }
      finish(context, stream, .headers(.init(headers: fields, endStream: true)))
      flush(context)
      return
    }
    write(context, .headers(.init(headers: fields)), stream.id)
    switch response.body {
    case .none: break
    case .bytes(let bytes) where bytes.count <= Self.chunk:
      let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: true)
      finish(context, stream, .data(data))
      flush(context)
      return
    case .bytes(let bytes): stream.source = .slices([bytes[...]], index: 0, offset: 0)
    case .slices(let slices): stream.source = .slices(slices, index: 0, offset: 0)
    case .pull(let pull): stream.source = .pull(pull)
    case .stream(let body):
      let queue = OutboundQueue(limit: setup.configuration.streamBufferBytes)
      let loop = context.eventLoop
      let box = NIOLoopBound((self, stream), eventLoop: loop)
      queue.setWake {
        loop.execute {
          let (connection, stream) = box.value
          guard let context = connection.context else { return }
          connection.pump(context, stream)
          connection.flush(context)
        }
      }
      stream.source = .queue(queue)
      stream.producer = runProducer(body, queue: queue)
    }
    pump(context, stream)
    flush(context)
  }

  /// The peer has gone before the body began; its producer still has to learn so.
  private func discard(_ body: @escaping @Sendable (HTTPBodyWriter) async throws -> Void) {
    let queue = OutboundQueue(limit: 1)
    queue.closeFromPeer()
    runProducer(body, queue: queue).cancel()
  }

  /// Hands over what the windows and the socket are ready for.
  private func pump(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    guard streams[stream.id] === stream else { return }
    while stream.outstanding < Self.maxOutstanding, context.channel.isWritable {
      guard let next = stream.source?.next(limit: Self.chunk, allocator: context.channel.allocator) else { return }
      switch next {
      case .chunk(let buffer):
        let count = buffer.readableBytes
        if count == 0 { continue }
        stream.outstanding += count
        let promise = context.eventLoop.makePromise(of: Void.self)
        let box = NIOLoopBound((self, stream), eventLoop: context.eventLoop)
        promise.futureResult.whenComplete { result in
          let (connection, stream) = box.value
          if case .failure = result {
            stream.source?.abandon()
            stream.source = nil
          }
          connection.written(stream, count)
        }
        write(context, .data(.init(data: .byteBuffer(buffer))), stream.id, promise: promise)
      case .pending:
        return
      case .end:
        stream.source = nil
        finish(context, stream, .data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)))
        return
      case .failed:
        stream.source = nil
        reset(context, stream.id, .internalError)
        return
      }
    }
  }

  private func written(_ stream: ServerStream, _ count: Int) {
    stream.outstanding -= count
    lastProgress = .now()
    guard stream.source != nil, let context, stream.outstanding <= Self.maxOutstanding / 2 else { return }
    pump(context, stream)
    flush(context)
  }

  /// Writes the frame that ends the response.
  private func finish(_ context: ChannelHandlerContext, _ stream: ServerStream, _ payload: HTTP2Frame.FramePayload) {
    guard !stream.requestEnded else {
      write(context, payload, stream.id)
      return
    }
    // The answer is complete though the request is not: the client may stop sending (RFC 9113, 8.1). The reset waits
    // for the write, because it would drop what is still held back.
    let promise = context.eventLoop.makePromise(of: Void.self)
    let box = NIOLoopBound((self, stream), eventLoop: context.eventLoop)
    promise.futureResult.whenSuccess {
      let (connection, stream) = box.value
      guard let context = connection.context, connection.streams[stream.id] === stream else { return }
      connection.reset(context, stream.id, .noError)
    }
    write(context, payload, stream.id, promise: promise)
  }
}
