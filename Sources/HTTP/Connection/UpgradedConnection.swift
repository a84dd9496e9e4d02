public import NIOCore

/// A connection that has left HTTP: plain bytes both ways.
public final class UpgradedConnection: Sendable {
  /// The channel beneath; handlers may be added to it by those who need more than bytes.
  public let channel: any Channel
  /// The fields of the 101 response, on the client's side.
  public let responseHeaders: HTTPFields
  let inbound: HTTPBodyStream

  init(channel: any Channel, inbound: HTTPBodyStream, responseHeaders: HTTPFields = .init()) {
    self.channel = channel
    self.responseHeaders = responseHeaders
    self.inbound = inbound
  }

  /// The next bytes from the peer; nil when it has closed (or half-closed) its side.
  public func read() async throws -> ByteBuffer? { try await inbound.next() }

  /// Writes and waits until the bytes are in the hands of the kernel.
  public func write(_ buffer: ByteBuffer) async throws { try await channel.writeAndFlush(buffer) }

  /// Ends our side only; reading goes on.
  public func closeOutput() async throws { try await channel.close(mode: .output) }

  /// Closes both sides.
  public func close() { channel.close(mode: .all, promise: nil) }

  /// Returns when the connection has closed.
  public func closed() async { try? await channel.closeFuture.get() }

  /// Copies bytes both ways until either side ends, then closes both.
  public func splice(with other: UpgradedConnection) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.pump(into: other) }
      group.addTask { await other.pump(into: self) }
      // What the side that ended has sent is written by now; upstream's proxy closes both here as well.
      await group.next()
      self.close()
      other.close()
    }
  }

  private func pump(into other: UpgradedConnection) async {
    do {
      while let buffer = try await read() { try await other.write(buffer) }
    } catch {
      // A broken connection ends the copying like a closed one.
    }
  }
}

/// The last handler of an upgraded connection: feeds the reader, and reads from the socket only while it keeps up.
final class UpgradedHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  static let highWater = 256 * 1024

  private let stream: HTTPBodyStream
  private var readHeld = false
  private var context: ChannelHandlerContext?

  init(stream: HTTPBodyStream) { self.stream = stream }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    let loop = context.eventLoop
    let box = NIOLoopBound(self, eventLoop: loop)
    stream.connect(
      onTaken: { _ in loop.execute { box.value.resumeReading() } },
      onAbandon: { loop.execute { box.value.context?.close(promise: nil) } })
  }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    stream.yield(unwrapInboundIn(data))
  }

  func read(context: ChannelHandlerContext) {
    if stream.waitingBytes > Self.highWater { readHeld = true } else { context.read() }
  }

  private func resumeReading() {
    guard readHeld, stream.waitingBytes <= Self.highWater / 2 else { return }
    readHeld = false
    context?.read()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed? = event as? ChannelEvent { stream.finish() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    stream.finish()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    stream.finish(error)
    context.close(promise: nil)
  }
}
