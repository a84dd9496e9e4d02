import DequeModule
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2

/// One HTTP/1.x connection: one request at a time, in order; of what a client pipelines one read waits here,
/// the rest in the socket.
///
/// ```
///   idle --head--> receiving --end--> answering --last byte--> idle | closed
///                                        \--upgrade accepted--> gone (the bytes are UpgradedHandler's)
/// ```
final class ServerHTTP1Handler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = HTTPServerResponsePart

  private enum Phase { case idle, receiving, answering }

  private let setup: ConnectionSetup
  private let tls: TLSPeer?
  private let encoder: HTTPResponseEncoder
  private let decoder: ByteToMessageHandler<HTTPRequestDecoder>
  private var phase = Phase.idle
  private var stream: ServerStream?
  /// Parts of pipelined requests that came in the same read.
  private var early = Deque<HTTPServerRequestPart>()
  private var readHeld = false
  private var keepAlive = true
  private var wantsUpgrade = false
  private var upgraded = false
  private var draining = false
  private var remoteAddress = ""
  private var date = HTTPDate()
  private var since = NIODeadline.now()
  private var lastProgress = NIODeadline.now()
  private var ticker: RepeatedTask?
  private var context: ChannelHandlerContext?
  private var flushWanted = false
  private var reading = false

  init(
    setup: ConnectionSetup, tls: TLSPeer?, encoder: HTTPResponseEncoder,
    decoder: ByteToMessageHandler<HTTPRequestDecoder>
  ) {
    self.setup = setup
    self.tls = tls
    self.encoder = encoder
    self.decoder = decoder
  }

  // MARK: Life

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { begin(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    begin(context)
    context.fireChannelActive()
  }

  private func begin(_ context: ChannelHandlerContext) {
    guard ticker == nil else { return }
    remoteAddress = context.channel.remoteAddress?.ipAddress ?? "@"
    let loop = context.eventLoop
    let box = NIOLoopBound(self, eventLoop: loop)
    setup.connections.add(context.channel) { loop.execute { box.value.drain() } }
    let timeouts = setup.configuration
    let period = min(timeouts.idleTimeout, timeouts.readTimeout, timeouts.writeTimeout).nanoseconds / 4
    ticker = loop.scheduleRepeatedTask(initialDelay: .nanoseconds(period), delay: .nanoseconds(period)) { _ in
      box.value.tick()
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    if upgraded { return }
    close()
  }

  func channelInactive(context: ChannelHandlerContext) {
    close()
    context.fireChannelInactive()
  }

  private func close() {
    guard let context else { return }
    setup.connections.remove(context.channel)
    ticker?.cancel()
    ticker = nil
    stream?.tearDown()
    stream = nil
    early.removeAll()
    self.context = nil
  }

  private func drain() {
    draining = true
    keepAlive = false
    if phase == .idle { context?.close(promise: nil) }
  }

  private func tick() {
    let now = NIODeadline.now()
    switch phase {
    case .idle:
      if now - since > setup.configuration.idleTimeout { context?.close(promise: nil) }
    case .receiving:
      if case .streaming? = stream?.body { return }
      if now - since > setup.configuration.readTimeout { context?.close(promise: nil) }
    case .answering:
      if let stream, stream.outstanding > 0, now - lastProgress > setup.configuration.writeTimeout {
        context?.close(promise: nil)
      }
    }
  }

  // MARK: In

  func read(context: ChannelHandlerContext) {
    if held { readHeld = true } else { context.read() }
  }

  private var held: Bool {
    if !early.isEmpty { return true }
    if case .streaming(let body)? = stream?.body { return body.waitingBytes > UpgradedHandler.highWater }
    // While one request is answered reading goes on until the next begins, so that a client's leaving is noticed.
    return false
  }

  private func resumeReading() {
    guard readHeld, !held, let context else { return }
    readHeld = false
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    reading = true
    let part = unwrapInboundIn(data)
    if phase == .answering, !belongsToCurrent(part) { early.append(part) } else { take(context, part) }
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

  /// Whether a part is the rest of the request that is being answered already.
  private func belongsToCurrent(_ part: HTTPServerRequestPart) -> Bool {
    guard let stream, !stream.requestEnded, early.isEmpty else { return false }
    if case .head = part { return false }
    return true
  }

  private func take(_ context: ChannelHandlerContext, _ part: HTTPServerRequestPart) {
    switch part {
    case .head(let head): begin(context, head)
    case .body(let buffer):
      guard let stream else { return }
      stream.collect(buffer, limit: setup.configuration.maxBodyBytes)
      if case .overflowed = stream.body {
        keepAlive = false  // the rest will not be read
        phase = .answering
        start(context, stream)
      }
    case .end:
      guard let stream else { return }
      stream.requestEnded = true
      if case .streaming(let body) = stream.body { body.finish() }
      guard phase == .receiving else {
        if stream.responded { settle(context) }
        return
      }
      phase = .answering
      if wantsUpgrade {
        askForUpgrade(context, stream)
      } else if case .none = stream.body, let response = setup.handler.handleSync(stream.head) {
        respond(context, stream, response)
      } else {
        start(context, stream)
      }
    }
  }

  private func begin(_ context: ChannelHandlerContext, _ request: HTTPRequestHead1) {
    phase = .receiving
    since = .now()
    var headers = HTTPFields()
    headers.reserveCapacity(request.headers.count)
    for (name, value) in request.headers { headers.add(name, value) }
    var target = request.uri
    if !target.hasPrefix("/"), target.hasPrefix("http://") || target.hasPrefix("https://") {  // absolute form
      let rest = target.dropFirst(target.hasPrefix("https://") ? 8 : 7)
      target = rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? "/"
    }
    let head = HTTPRequestHead(
      method: request.method.rawValue, target: target, headers: headers,
      version: request.version.minor == 0 ? .http10 : .http11, authority: headers["host"] ?? "", tls: tls,
      remoteAddress: remoteAddress)
    keepAlive = request.isKeepAlive && !draining
    wantsUpgrade = headers["upgrade"] != nil && headers.hasToken("connection", "upgrade")
    // The parser stops behind a message that asks for an upgrade, whether it is granted or not.
    if wantsUpgrade { keepAlive = false }
    let stream = ServerStream(id: 1, head: head, now: since)
    self.stream = stream
    if headers.hasToken("expect", "100-continue") {
      let go = HTTPResponseHead(version: .http1_1, status: .continue)
      context.writeAndFlush(wrapOutboundOut(.head(go)), promise: nil)
    }
    if !wantsUpgrade, setup.handler.wantsBodyStream(head) {
      let body = HTTPBodyStream()
      let loop = context.eventLoop
      let box = NIOLoopBound(self, eventLoop: loop)
      body.connect(onTaken: { _ in loop.execute { box.value.resumeReading() } }, onAbandon: {})
      stream.body = .streaming(body)
      phase = .answering
      start(context, stream)
    }
  }

  private func start(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    guard stream.task == nil, !stream.responded else { return }
    let handler = setup.handler
    let request = stream.request()
    if case .collecting = stream.body { stream.body = .none }
    let loop = context.eventLoop
    let box = NIOLoopBound((self, stream), eventLoop: loop)
    // Not structured: the task belongs to the connection, whose end cancels it.
    stream.task = Task {
      let response = await handler.handle(request)
      loop.execute {
        let (connection, stream) = box.value
        if let context = connection.context { connection.respond(context, stream, response) }
      }
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if error is HTTPParserError, phase != .answering {
      let head = HTTPResponseHead(
        version: .http1_1, status: .badRequest, headers: ["connection": "close", "content-length": "0"])
      context.write(wrapOutboundOut(.head(head)), promise: nil)
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
    setup.configuration.logger.debug("HTTP/1 connection error", metadata: ["error": "\(error)"])
    context.close(promise: nil)
  }

  // MARK: Out

  private func respond(_ context: ChannelHandlerContext, _ stream: ServerStream, _ response: HTTPResponse) {
    guard self.stream === stream, !stream.responded else {
      if case .stream(let body) = response.body { discard(body) }
      return
    }
    stream.responded = true
    stream.task = nil
    let length = response.body.knownLength
    var head = HTTPResponseHead(
      version: .http1_1, status: .init(statusCode: response.status),
      headers: HTTPHeaders(response.headers.pairs))
    let bodyAllowed = response.status >= 200 && response.status != 204 && response.status != 304
    if let length, bodyAllowed { head.headers.add(name: "content-length", value: String(length)) }
    head.headers.add(name: "date", value: date.now())
    // What is left of a request that was answered early would have to be read first.
    if draining || !stream.requestEnded { keepAlive = false }
    if length == nil, stream.head.version == .http10 {
      // An HTTP/1.0 client knows no chunks: the end of the connection is the end of the body.
      head.version = .init(major: 1, minor: 0)
      keepAlive = false
    }
    if !keepAlive {
      head.headers.add(name: "connection", value: "close")
    } else if stream.head.version == .http10 {
      head.headers.add(name: "connection", value: "keep-alive")
    }
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    if stream.head.method == "HEAD" || length == 0 || !bodyAllowed {
      if case .stream(let body) = response.body { discard(body) }
      finish(context, stream)
      return
    }
    switch response.body {
    case .none: break
    case .bytes(let bytes) where bytes.count <= ServerHTTP2Handler.chunk:
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
      finish(context, stream)
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
    lastProgress = .now()
    pump(context, stream)
    flush(context)
  }

  private func discard(_ body: @escaping @Sendable (HTTPBodyWriter) async throws -> Void) {
    let queue = OutboundQueue(limit: 1)
    queue.closeFromPeer()
    runProducer(body, queue: queue).cancel()
  }

  private func pump(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    guard self.stream === stream else { return }
    while stream.outstanding < ServerHTTP2Handler.maxOutstanding, context.channel.isWritable {
      guard
        let next = stream.source?.next(limit: ServerHTTP2Handler.chunk, allocator: context.channel.allocator)
      else { return }
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
        context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: promise)
      case .pending: return
      case .end:
        stream.source = nil
        finish(context, stream)
        return
      case .failed:
        // No end chunk: the client sees that the body is cut off.
        stream.source = nil
        context.flush()
        context.close(promise: nil)
        return
      }
    }
  }

  private func written(_ stream: ServerStream, _ count: Int) {
    stream.outstanding -= count
    lastProgress = .now()
    guard stream.source != nil, let context, stream.outstanding <= ServerHTTP2Handler.maxOutstanding / 2 else { return }
    pump(context, stream)
    flush(context)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable, let stream, stream.source != nil {
      pump(context, stream)
      flush(context)
    }
    context.fireChannelWritabilityChanged()
  }

  private func finish(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    stream.source = nil
    guard keepAlive else {
      let promise = context.eventLoop.makePromise(of: Void.self)
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
      let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
      promise.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
      return
    }
    context.write(wrapOutboundOut(.end(nil)), promise: nil)
    flush(context)
    if stream.requestEnded { settle(context) }
  }

  /// Both sides of an exchange are done: on to the next.
  private func settle(_ context: ChannelHandlerContext) {
    guard let stream, stream.responded, stream.source == nil else { return }
    self.stream = nil
    phase = .idle
    since = .now()
    while phase != .answering, let part = early.popFirst() { take(context, part) }
    resumeReading()
  }

  // MARK: Upgrade

  private func askForUpgrade(_ context: ChannelHandlerContext, _ stream: ServerStream) {
    let handler = setup.handler
    let head = stream.head
    let loop = context.eventLoop
    let box = NIOLoopBound((self, stream), eventLoop: loop)
    stream.task = Task {
      let decision = await handler.upgrade(head)
      loop.execute {
        let (connection, stream) = box.value
        guard let context = connection.context, connection.stream === stream else { return }
        stream.task = nil
        switch decision {
        case nil: connection.start(context, stream)
        case .refuse(let response)?: connection.respond(context, stream, response)
        case .accept(let headers, let body)?: connection.leave(context, headers, body)
        }
      }
    }
  }

  /// Answers 101 and hands the bytes over.
  private func leave(
    _ context: ChannelHandlerContext, _ headers: HTTPFields,
    _ body: @escaping @Sendable (UpgradedConnection) async -> Void
  ) {
    let head = HTTPResponseHead(
      version: .http1_1, status: .switchingProtocols, headers: HTTPHeaders(headers.pairs))
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    upgraded = true
    stream = nil
    ticker?.cancel()
    let channel = context.channel
    let connections = setup.connections
    channel.closeFuture.whenComplete { _ in connections.remove(channel) }
    let inbound = HTTPBodyStream()
    let pipeline = context.pipeline.syncOperations
    do {
      // TLS with half closure would wait for its time-out at every close.
      if tls == nil { try? channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true) }
      try pipeline.addHandler(UpgradedHandler(stream: inbound))
      self.context = nil
      pipeline.removeHandler(self, promise: nil)
      // Bytes that came behind the request are forwarded as the decoder goes, now to UpgradedHandler.
      pipeline.removeHandler(decoder, promise: nil)
      pipeline.removeHandler(encoder, promise: nil)
    } catch {
      channel.close(promise: nil)
      return
    }
    channel.read()
    let connection = UpgradedConnection(channel: channel, inbound: inbound)
    let task = Task {
      await body(connection)
      connection.close()
    }
    channel.closeFuture.whenComplete { _ in task.cancel() }
  }
}

private typealias HTTPRequestHead1 = NIOHTTP1.HTTPRequestHead
