public import NIOCore

/// Translates exec and attach between a WebSocket client and a SPDY server (the container runtime).
///
/// A pure state machine: bytes of one side go in, actions for both sides come out.
///
/// ```
///  starting ──start()──▶ running ──all output and the error stream ended, or either side gone──▶ closing ──▶ closed
///                            (close frame sent)                          (the client's close came, or its end)
/// ```
public struct ExecTranslator {
  /// What the shell has to do, in order.
  public enum Action: Equatable, Sendable {
    case toClient(ByteBuffer)
    case toRuntime(ByteBuffer)
    case closeRuntime
    case closeClient
  }

  /// WebSocket channel numbers.
  enum Channel {
    static let stdin: UInt8 = 0
    static let stdout: UInt8 = 1
    static let stderr: UInt8 = 2
    static let error: UInt8 = 3
    static let resize: UInt8 = 4
    static let close: UInt8 = 255
  }

  private enum State { case starting, running, closing, closed }

  private let streams: ExecStreams
  private let supportsClose: Bool
  private let encoder = SPDYEncoder()
  private let decoder = SPDYDecoder()
  private var client = WebSocketDecoder(expectsMask: true)
  private var state = State.starting
  /// SPDY stream to channel, while the stream is open for reading.
  private var reading: [UInt32: UInt8] = [:]
  /// Channel to SPDY stream, while the stream is open for writing.
  private var writing: [UInt8: UInt32] = [:]
  private var sentStatus = false

  /// - Parameter subprotocol: what was negotiated; from v5 on the client can close a stream.
  public init(streams: ExecStreams, subprotocol: String) {
    self.streams = streams
    supportsClose = subprotocol == "v5.channel.k8s.io"
  }

  /// Opens the streams towards the runtime and tells the client that the connection stands.
  public mutating func start() -> [Action] {
    precondition(state == .starting)
    state = .running
    var actions: [Action] = []
    var next: UInt32 = 1
    func open(_ type: String, _ channel: UInt8, reads: Bool, writes: Bool, into me: inout ExecTranslator) {
      actions.append(
        .toRuntime(me.encoder.encode(.synStream(id: next, fin: false, headers: [SPDYHeader("streamtype", type)]))))
      if reads { me.reading[next] = channel }
      if writes { me.writing[channel] = next }
      next += 2
    }
    open("error", Channel.error, reads: true, writes: false, into: &self)
    if streams.stdin { open("stdin", Channel.stdin, reads: false, writes: true, into: &self) }
    if streams.stdout { open("stdout", Channel.stdout, reads: true, writes: false, into: &self) }
    if streams.stderr { open("stderr", Channel.stderr, reads: true, writes: false, into: &self) }
    if streams.tty { open("resize", Channel.resize, reads: false, writes: true, into: &self) }
    let lowest = streams.stdout ? Channel.stdout : streams.stderr ? Channel.stderr : Channel.error
    actions.append(.toClient(WebSocketEncoder.channel(lowest, ByteBuffer())))
    return actions
  }

  /// Bytes came from the WebSocket client.
  public mutating func received(fromClient bytes: ByteBuffer) -> [Action] {
    guard state == .running || state == .closing else { return [] }
    client.feed(bytes)
    var actions: [Action] = []
    do {
      while state != .closed, let message = try client.next() { handle(message, &actions) }
    } catch let error as WebSocketError {
      close(code: error.code, reason: error.message, &actions)
    } catch {
      close(code: 1011, reason: "\(error)", &actions)
    }
    return actions
  }

  private mutating func handle(_ message: WebSocketMessage, _ actions: inout [Action]) {
    switch message {
    case .binary(var payload), .text(var payload):
      guard state == .running, let channel = payload.readInteger(as: UInt8.self) else { return }
      if channel == Channel.close, supportsClose {
        guard let target = payload.readInteger(as: UInt8.self), let id = writing.removeValue(forKey: target) else {
          return
        }
        actions.append(.toRuntime(encoder.encode(.data(id: id, fin: true, ByteBuffer()))))
      } else if let id = writing[channel], payload.readableBytes > 0 {
        actions.append(.toRuntime(encoder.encode(.data(id: id, fin: false, payload))))
      }
    case .ping(let payload):
      if state == .running { actions.append(.toClient(WebSocketEncoder.encode(.pong(payload)))) }
    case .pong: break
    case .close:
      if state == .running {
        actions.append(.toClient(WebSocketEncoder.encode(.close(code: 1000, reason: ""))))
        actions.append(.closeRuntime)
      }
      state = .closed
      actions.append(.closeClient)
    }
  }

  /// The client's connection ended.
  public mutating func clientEnded() -> [Action] {
    guard state != .closed else { return [] }
    let wasRunning = state == .running
    state = .closed
    return wasRunning ? [.closeRuntime, .closeClient] : [.closeClient]
  }

  /// Bytes came from the runtime.
  public mutating func received(fromRuntime bytes: ByteBuffer) -> [Action] {
    guard state == .running else { return [] }
    decoder.feed(bytes)
    var actions: [Action] = []
    do {
      while state == .running, let frame = try decoder.next() { handle(frame, &actions) }
    } catch {
      fail("\(error)", &actions)
    }
    return actions
  }

  private mutating func handle(_ frame: SPDYFrame, _ actions: inout [Action]) {
    switch frame {
    case .data(let id, let fin, let bytes):
      if let channel = reading[id], bytes.readableBytes > 0 {
        if channel == Channel.error { sentStatus = true }
        actions.append(.toClient(WebSocketEncoder.channel(channel, bytes)))
      }
      if fin { ended(id, &actions) }
    case .synReply(let id, let fin, _), .headers(let id, let fin, _):
      if fin { ended(id, &actions) }
    case .rstStream(let id, _):
      writing = writing.filter { $0.value != id }
      ended(id, &actions)
    case .ping(let id):
      // Even numbers are the server's own; odd ones would answer a ping that we never send.
      if id % 2 == 0 { actions.append(.toRuntime(encoder.encode(.ping(id)))) }
    case .synStream(let id, _, _):
      actions.append(.toRuntime(encoder.encode(.rstStream(id: id, status: 3))))
    case .goAway, .settings, .windowUpdate, .unknown: break
    }
  }

  private mutating func ended(_ id: UInt32, _ actions: inout [Action]) {
    guard reading.removeValue(forKey: id) != nil, reading.isEmpty else { return }
    finish(&actions)
  }

  /// The runtime's connection ended: what was not told so far counts as done.
  public mutating func runtimeEnded() -> [Action] {
    guard state == .running else { return [] }
    var actions: [Action] = []
    if sentStatus {
      finish(&actions)
    } else {
      fail("the connection to the container runtime ended before the command's status came", &actions)
    }
    return actions
  }

  private mutating func finish(_ actions: inout [Action]) {
    close(code: 1000, reason: "", &actions)
  }

  private mutating func fail(_ message: String, _ actions: inout [Action]) {
    if !sentStatus {
      sentStatus = true
      let status =
        #"{"metadata":{},"status":"Failure","message":\#(Self.quote(message)),"reason":"InternalError","code":500}"#
      actions.append(.toClient(WebSocketEncoder.channel(Channel.error, ByteBuffer(string: status))))
    }
    close(code: 1000, reason: "", &actions)
  }

  private mutating func close(code: UInt16, reason: String, _ actions: inout [Action]) {
    guard state == .running else { return }
    state = .closing
    actions.append(.toClient(WebSocketEncoder.encode(.close(code: code, reason: reason))))
    actions.append(.closeRuntime)
  }

  private static func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 0x20: out += " "
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
