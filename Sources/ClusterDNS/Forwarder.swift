import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Passes queries to the machine's resolvers over UDP and hands their answers back byte for byte.
///
///     query ─▶ (fresh id, first resolver) ─▶ answer ─▶ (client's id)
///                     └ no answer in 2 s ─▶ next resolver ─▶ … ─▶ SERVFAIL
final class Forwarder: ChannelInboundHandler, Sendable {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  typealias Answer = @Sendable ([UInt8]?) -> Void

  private struct Pending {
    var clientID: UInt16
    var question: [UInt8]
    var answer: Answer
    var attempt: Int
  }

  private struct State {
    var pending: [UInt16: Pending] = [:]
    var channel: (any Channel)?
  }

  private let resolvers: [SocketAddress]
  private let state = Mutex(State())
  private static let timeout = TimeAmount.seconds(2)

  init(resolvers: [SocketAddress]) { self.resolvers = resolvers }

  func start(group: any EventLoopGroup) async throws {
    guard !resolvers.isEmpty else { return }
    let channel = try await DatagramBootstrap(group: group)
      .channelInitializer { $0.pipeline.addHandler(self) }
      .bind(host: "0.0.0.0", port: 0).get()
    state.withLock { $0.channel = channel }
  }

  func stop() async {
    try? await state.withLock { $0.channel }?.close().get()
  }

  /// `answer` gets nil when no resolver answers.
  func forward(_ query: [UInt8], answer: @escaping Answer) {
    guard query.count > 12, !resolvers.isEmpty else { return answer(nil) }
    let id: UInt16? = state.withLock { state in
      guard state.channel != nil, state.pending.count < 4096 else { return nil }
      var id = UInt16.random(in: 0...UInt16.max)
      while state.pending[id] != nil { id &+= 1 }
      state.pending[id] = Pending(
        clientID: Query.word(query, 0), question: Array(query.dropFirst(2)), answer: answer, attempt: 0)
      return id
    }
    guard let id else { return answer(nil) }
    send(id)
  }

  private func send(_ id: UInt16) {
    let next: (any Channel, SocketAddress, [UInt8], Int)? = state.withLock { state in
      guard let pending = state.pending[id], let channel = state.channel else { return nil }
      return (channel, resolvers[pending.attempt % resolvers.count], pending.question, pending.attempt)
    }
    guard let (channel, resolver, question, attempt) = next else { return }
    var buffer = channel.allocator.buffer(capacity: question.count + 2)
    buffer.writeInteger(id)
    buffer.writeBytes(question)
    channel.writeAndFlush(AddressedEnvelope(remoteAddress: resolver, data: buffer), promise: nil)
    channel.eventLoop.scheduleTask(in: Self.timeout) { self.timeOut(id, attempt) }
  }

  private func timeOut(_ id: UInt16, _ attempt: Int) {
    let failed: Answer? = state.withLock { state in
      guard var pending = state.pending[id], pending.attempt == attempt else { return nil }
      pending.attempt += 1
      if pending.attempt < max(2, resolvers.count) {
        state.pending[id] = pending
        return nil
      }
      state.pending[id] = nil
      return pending.answer
    }
    if let failed { failed(nil) } else { send(id) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    guard resolvers.contains(envelope.remoteAddress) else { return }
    var bytes = Array(envelope.data.readableBytesView)
    guard bytes.count >= 12 else { return }
    let id = Query.word(bytes, 0)
    let pending = state.withLock { $0.pending.removeValue(forKey: id) }
    guard let pending else { return }
    bytes[0] = UInt8(pending.clientID >> 8)
    bytes[1] = UInt8(pending.clientID & 0xff)
    pending.answer(bytes)
  }
}
