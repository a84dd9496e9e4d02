import NIOCore
import RemoteCommand
import Testing

private struct Missing: Error {}

/// Plays the container runtime: reads what the translator sends it, frame by frame.
private struct RuntimePeer {
  let decoder = SPDYDecoder()
  let encoder = SPDYEncoder()

  func frames(_ actions: [ExecTranslator.Action]) throws -> [SPDYFrame] {
    var out: [SPDYFrame] = []
    for case .toRuntime(let bytes) in actions {
      decoder.feed(bytes)
      while let frame = try decoder.next() { out.append(frame) }
    }
    return out
  }
}

private func messages(_ actions: [ExecTranslator.Action]) throws -> [WebSocketMessage] {
  var decoder = WebSocketDecoder(expectsMask: false)
  var out: [WebSocketMessage] = []
  for case .toClient(let bytes) in actions {
    decoder.feed(bytes)
    while let message = try decoder.next() { out.append(message) }
  }
  return out
}

private func client(_ bytes: [UInt8]) -> ByteBuffer {
  WebSocketEncoder.encode(.binary(ByteBuffer(bytes: bytes)), mask: 0xdead_beef)
}

@Suite struct TranslatorTests {
  @Test func opensTheStreamsInTheClientsOrder() throws {
    let peer = RuntimePeer()
    var plain = ExecTranslator(
      streams: ExecStreams(stdin: true, stdout: true, stderr: true, tty: false), subprotocol: "v5.channel.k8s.io")
    let actions = plain.start()
    let types = try peer.frames(actions).map { frame -> String in
      guard case .synStream(let id, _, let headers) = frame else { return "?" }
      return "\(id) \(headers[0].value)"
    }
    #expect(types == ["1 error", "3 stdin", "5 stdout", "7 stderr"])
    #expect(try messages(actions) == [.binary(ByteBuffer(bytes: [1]))])

    let terminal = RuntimePeer()
    var tty = ExecTranslator(
      streams: ExecStreams(stdin: true, stdout: true, stderr: true, tty: true), subprotocol: "v4.channel.k8s.io")
    let last = try terminal.frames(tty.start()).last
    guard case .synStream(7, _, let headers)? = last else { throw Missing() }
    #expect(headers[0].value == "resize")
  }

  @Test func aCommandFromStartToEnd() throws {
    let peer = RuntimePeer()
    var machine = ExecTranslator(
      streams: ExecStreams(stdin: true, stdout: true, stderr: true, tty: false), subprotocol: "v5.channel.k8s.io")
    _ = try peer.frames(machine.start())
    #expect(
      try peer.frames(machine.received(fromClient: client([0, 104, 105])))
        == [.data(id: 3, fin: false, ByteBuffer(string: "hi"))])
    #expect(try peer.frames(machine.received(fromClient: client([255, 0]))) == [.data(id: 3, fin: true, ByteBuffer())])
    #expect(machine.received(fromClient: client([0, 1])) == [])

    let out = machine.received(fromRuntime: peer.encoder.encode(.data(id: 5, fin: false, ByteBuffer(string: "o"))))
    #expect(try messages(out) == [.binary(ByteBuffer(string: "\u{1}o"))])
    let err = machine.received(fromRuntime: peer.encoder.encode(.data(id: 7, fin: true, ByteBuffer(string: "e"))))
    #expect(try messages(err) == [.binary(ByteBuffer(string: "\u{2}e"))])
    let status = machine.received(fromRuntime: peer.encoder.encode(.data(id: 1, fin: true, ByteBuffer(string: "{}"))))
    #expect(try messages(status) == [.binary(ByteBuffer(string: "\u{3}{}"))])
    let end = machine.received(fromRuntime: peer.encoder.encode(.rstStream(id: 5, status: 5)))
    #expect(try messages(end) == [.close(code: 1000, reason: "")])
    #expect(end.last == .closeRuntime)
    #expect(
      machine.received(fromClient: WebSocketEncoder.encode(.close(code: 1000, reason: ""), mask: 1)) == [.closeClient])
  }

  @Test func version4HasNoCloseSignal() throws {
    let peer = RuntimePeer()
    var machine = ExecTranslator(
      streams: ExecStreams(stdin: true, stdout: true, stderr: false, tty: false), subprotocol: "v4.channel.k8s.io")
    _ = try peer.frames(machine.start())
    #expect(machine.received(fromClient: client([255, 0])) == [])
  }

  @Test func aLostRuntimeIsToldAsStatus() throws {
    var machine = ExecTranslator(
      streams: ExecStreams(stdin: false, stdout: true, stderr: false, tty: false), subprotocol: "v5.channel.k8s.io")
    _ = machine.start()
    let told = try messages(machine.runtimeEnded())
    guard case .binary(var status)? = told.first else { throw Missing() }
    #expect(status.readInteger(as: UInt8.self) == 3)
    #expect(String(buffer: status).contains(#""status":"Failure""#))
    #expect(told.last == .close(code: 1000, reason: ""))
  }

  @Test func pingsAreAnsweredOnBothSides() throws {
    let peer = RuntimePeer()
    var machine = ExecTranslator(
      streams: ExecStreams(stdin: false, stdout: true, stderr: false, tty: false), subprotocol: "v5.channel.k8s.io")
    _ = try peer.frames(machine.start())
    let pong = machine.received(fromClient: WebSocketEncoder.encode(.ping(ByteBuffer(string: "x")), mask: 9))
    #expect(try messages(pong) == [.pong(ByteBuffer(string: "x"))])
    #expect(try peer.frames(machine.received(fromRuntime: peer.encoder.encode(.ping(2)))) == [.ping(2)])
  }

  @Test func aVanishedClientEndsTheRuntime() {
    var machine = ExecTranslator(
      streams: ExecStreams(stdin: false, stdout: true, stderr: false, tty: false), subprotocol: "v5.channel.k8s.io")
    _ = machine.start()
    #expect(machine.clientEnded() == [.closeRuntime, .closeClient])
    #expect(machine.clientEnded() == [])
  }

  @Test func aTunnelPassesBytesUnchanged() throws {
    var tunnel = TunnelTranslator()
    #expect(tunnel.received(fromClient: client([1, 2, 3])) == [.toRuntime(ByteBuffer(bytes: [1, 2, 3]))])
    #expect(try messages(tunnel.received(fromRuntime: ByteBuffer(bytes: [9]))) == [.binary(ByteBuffer(bytes: [9]))])
    #expect(try messages(tunnel.ended()) == [.close(code: 1000, reason: "")])
    #expect(tunnel.ended() == [])
  }
}
