import NIOCore
import NIOHTTP1
import Synchronization

/// One HTTP/1.1 client connection: one exchange at a time, back to the pool when its response has been read.
final class ClientHTTP1Handler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = HTTPClientRequestPart

  private let encoder: HTTPRequestEncoder
  private let decoder: ByteToMessageHandler<HTTPResponseDecoder>
  private let owner: ClientHTTP1Connection
  private var exchange: ClientExchange?
  private var requestDone = false
  private var responseDone = false
  private var reusable = true
  private var readHeld = false
  private var switching: HTTPFields?
  private var context: ChannelHandlerContext?

  init(
    owner: ClientHTTP1Connection, encoder: HTTPRequestEncoder, decoder: ByteToMessageHandler<HTTPResponseDecoder>
  ) {
    self.owner = owner
    self.encoder = encoder
    self.decoder = decoder
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func start(_ exchange: ClientExchange) {
    guard let context, context.channel.isActive else {
      exchange.fail(HTTPClientError.connectionClosed(beforeResponse: true))
      return
    }
    self.exchange = exchange
    requestDone = false
    responseDone = false
    reusable = true
    let loop = context.eventLoop
    let box = NIOLoopBound((self, exchange), eventLoop: loop)
    exchange.setCancel { loop.execute { box.value.0.cancel(box.value.1) } }
    exchange.body.connect(
      onTaken: { _ in loop.execute { box.value.0.resumeReading() } },
      onAbandon: { loop.execute { box.value.0.cancel(box.value.1) } })
    let request = exchange.request
    var head = HTTPRequestHead1(version: .http1_1, method: .init(rawValue: request.method), uri: request.target)
    head.headers = HTTPHeaders(request.headers.pairs)
    if request.headers["host"] == nil { head.headers.add(name: "host", value: request.origin.authority) }
    switch request.body {
    case .none:
      if ["POST", "PUT", "PATCH"].contains(request.method), !head.headers.contains(name: "content-length") {
        head.headers.add(name: "content-length", value: "0")
      }
    case .bytes(let bytes): head.headers.replaceOrAdd(name: "content-length", value: String(bytes.count))
    case .stream: break  // the encoder frames it in chunks, unless the caller gave a length
    }
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    switch request.body {
    case .none: finishRequest(context)
    case .bytes(let bytes):
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
      finishRequest(context)
    case .stream: context.flush()
    }
  }

  private func finishRequest(_ context: ChannelHandlerContext) {
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    requestDone = true
    settle()
  }

  func writeBody(_ exchange: ClientExchange, _ buffer: ByteBuffer?, promise: EventLoopPromise<Void>) {
    guard self.exchange === exchange, let context else {
      promise.fail(HTTPClientError.connectionClosed(beforeResponse: false))
      return
    }
    guard let buffer else {
      finishRequest(context)
      promise.succeed()
      return
    }
    context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: promise)
  }

  private func cancel(_ exchange: ClientExchange) {
    guard self.exchange === exchange else { return }
    // The rest of the response is unread: the connection cannot be used again.
    context?.close(promise: nil)
  }

  // MARK: In

  func read(context: ChannelHandlerContext) {
    if let exchange, exchange.body.waitingBytes > UpgradedHandler.highWater {
      readHeld = true
    } else {
      context.read()
    }
  }

  private func resumeReading() {
    guard readHeld, (exchange?.body.waitingBytes ?? 0) <= UpgradedHandler.highWater / 2 else { return }
    readHeld = false
    context?.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard let exchange else { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      let fields = HTTPFields(head.headers.map { ($0.name, $0.value) })
      if !head.isKeepAlive { reusable = false }
      if exchange.wantsUpgrade, head.status == .switchingProtocols {
        switching = fields
        return
      }
      exchange.received(.init(status: Int(head.status.code), headers: fields))
    case .body(let buffer): exchange.body.yield(buffer)
    case .end:
      if let fields = switching {
        // Not from within the decoder's own call.
        let box = NIOLoopBound((self, exchange), eventLoop: context.eventLoop)
        context.eventLoop.execute { box.value.0.leave(box.value.1, fields) }
        return
      }
      responseDone = true
      if !requestDone { reusable = false }
      // The connection is back in the pool before the caller goes on, who may need it for the next request.
      settle()
      exchange.body.finish()
    }
  }

  private func settle() {
    guard responseDone else { return }
    if !requestDone || !reusable {
      exchange = nil
      context?.close(promise: nil)
      return
    }
    exchange = nil
    resumeReading()
    owner.becameIdle()
  }

  private func leave(_ exchange: ClientExchange, _ fields: HTTPFields) {
    guard let context else { return }
    let channel = context.channel
    let pipeline = context.pipeline.syncOperations
    let inbound = HTTPBodyStream()
    self.exchange = nil
    do {
      // TLS with half closure would wait for its time-out at every close.
      if !exchange.request.origin.isSecure {
        try? channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
      }
      try pipeline.addHandler(UpgradedHandler(stream: inbound))
      pipeline.removeHandler(self, promise: nil)
      pipeline.removeHandler(decoder, promise: nil)
      pipeline.removeHandler(encoder, promise: nil)
    } catch {
      exchange.fail(error)
      channel.close(promise: nil)
      return
    }
    exchange.upgraded = UpgradedConnection(channel: channel, inbound: inbound, responseHeaders: fields)
    exchange.received(.init(status: 101, headers: fields))
    channel.read()
  }

  func channelInactive(context: ChannelHandlerContext) {
    if let exchange {
      self.exchange = nil
      exchange.fail(HTTPClientError.connectionClosed(beforeResponse: exchange.headPending))
    }
    owner.closed()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let exchange {
      self.exchange = nil
      // A reset is a close like any other: a kept connection may meet it at its next use.
      let closed = error is IOError || error is ChannelError
      exchange.fail(closed ? HTTPClientError.connectionClosed(beforeResponse: exchange.headPending) : error)
    }
    context.close(promise: nil)
  }
}

private typealias HTTPRequestHead1 = NIOHTTP1.HTTPRequestHead

/// The pool's view of an HTTP/1.1 connection.
final class ClientHTTP1Connection: ClientConnection {
  let channel: any Channel
  private let state: Mutex<(busy: Bool, closed: Bool)>
  private let onIdle: @Sendable (ClientHTTP1Connection) -> Void
  private let handler = Mutex<NIOLoopBound<ClientHTTP1Handler>?>(nil)

  init(channel: any Channel, reserved: Bool, onIdle: @escaping @Sendable (ClientHTTP1Connection) -> Void) {
    self.channel = channel
    self.state = Mutex((busy: reserved, closed: false))
    self.onIdle = onIdle
  }

  func attach(_ handler: ClientHTTP1Handler) {
    let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    self.handler.withLock { $0 = bound }
  }

  func reserve() -> Bool {
    state.withLock { s in
      guard !s.busy, !s.closed, channel.isActive else { return false }
      s.busy = true
      return true
    }
  }

  func becameIdle() {
    state.withLock { $0.busy = false }
    onIdle(self)
  }

  func closed() { state.withLock { $0.closed = true } }

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
