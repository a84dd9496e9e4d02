import NIOCore
import RemoteCommand
import Testing

/// One end of an in-memory connection.
private final class PipeEnd: ByteStream {
  private let incoming: AsyncStream<ByteBuffer>
  private let own: AsyncStream<ByteBuffer>.Continuation
  private let peer: AsyncStream<ByteBuffer>.Continuation

  init(
    _ incoming: AsyncStream<ByteBuffer>, _ own: AsyncStream<ByteBuffer>.Continuation,
    _ peer: AsyncStream<ByteBuffer>.Continuation
  ) {
    self.incoming = incoming
    self.own = own
    self.peer = peer
  }

  static func pair() -> (PipeEnd, PipeEnd) {
    let (a, toA) = AsyncStream<ByteBuffer>.makeStream()
    let (b, toB) = AsyncStream<ByteBuffer>.makeStream()
    return (PipeEnd(a, toA, toB), PipeEnd(b, toB, toA))
  }

  func read() async throws -> ByteBuffer? {
    var iterator = incoming.makeAsyncIterator()
    return await iterator.next()
  }
  func write(_ bytes: ByteBuffer) async throws { peer.yield(bytes) }
  func close() async {
    own.finish()
    peer.finish()
  }
}

@Suite struct PumpTests {
  @Test(.timeLimit(.minutes(1))) func execRunsBetweenTwoPeers() async throws {
    let (client, kubeletSide) = PipeEnd.pair()
    let (runtime, runtimeSide) = PipeEnd.pair()
    async let pump: Void = StreamPump.exec(
      client: kubeletSide, runtime: runtimeSide,
      streams: ExecStreams(stdin: true, stdout: true, stderr: false, tty: false), subprotocol: "v5.channel.k8s.io")
    try await client.write(
      WebSocketEncoder.encode(.binary(ByteBuffer(string: "\0echo")), mask: 77))
    // The runtime: echo what comes on stdin to stdout, then say success and hang up.
    let decoder = SPDYDecoder()
    let encoder = SPDYEncoder()
    var echoed = false
    while !echoed, let bytes = try await runtime.read() {
      decoder.feed(bytes)
      while let frame = try decoder.next() {
        guard case .data(3, _, let body) = frame else { continue }
        try await runtime.write(encoder.encode(.data(id: 5, fin: true, body)))
        try await runtime.write(encoder.encode(.data(id: 1, fin: true, ByteBuffer(string: "ok"))))
        echoed = true
      }
    }
    var reader = WebSocketDecoder(expectsMask: false)
    var seen: [WebSocketMessage] = []
    reading: while let bytes = try await client.read() {
      reader.feed(bytes)
      while let message = try reader.next() {
        seen.append(message)
        if case .close = message {
          try await client.write(WebSocketEncoder.encode(.close(code: 1000, reason: ""), mask: 1))
          break reading
        }
      }
    }
    await pump
    #expect(
      seen == [
        .binary(ByteBuffer(bytes: [1])), .binary(ByteBuffer(string: "\u{1}echo")),
        .binary(ByteBuffer(string: "\u{3}ok")), .close(code: 1000, reason: ""),
      ])
  }

  @Test(.timeLimit(.minutes(1))) func passingEndsBothSides() async throws {
    let (client, a) = PipeEnd.pair()
    let (runtime, b) = PipeEnd.pair()
    async let pump: Void = StreamPump.pass(a, b)
    try await client.write(ByteBuffer(string: "x"))
    #expect(try await runtime.read() == ByteBuffer(string: "x"))
    await client.close()
    await pump
    #expect(try await runtime.read() == nil)
  }
}
