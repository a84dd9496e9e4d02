public import NIOCore

/// Carries a SPDY connection inside WebSocket binary messages (`SPDY/3.1+portforward.k8s.io`): bytes pass unchanged.
public struct TunnelTranslator {
  private var client = WebSocketDecoder(expectsMask: true)
  private var open = true

  public init() {}

  /// Bytes came from the WebSocket client.
  public mutating func received(fromClient bytes: ByteBuffer) -> [ExecTranslator.Action] {
    guard open else { return [] }
    client.feed(bytes)
    var actions: [ExecTranslator.Action] = []
    do {
      while open, let message = try client.next() {
        switch message {
        case .binary(let payload), .text(let payload):
          if payload.readableBytes > 0 { actions.append(.toRuntime(payload)) }
        case .ping(let payload): actions.append(.toClient(WebSocketEncoder.encode(.pong(payload))))
        case .pong: break
        case .close: actions += end(code: 1000)
        }
      }
    } catch let error as WebSocketError {
      actions += end(code: error.code)
    } catch {
      actions += end(code: 1011)
    }
    return actions
  }

  /// Bytes came from the runtime.
  public func received(fromRuntime bytes: ByteBuffer) -> [ExecTranslator.Action] {
    open ? [.toClient(WebSocketEncoder.encode(.binary(bytes)))] : []
  }

  /// One of the two connections ended.
  public mutating func ended() -> [ExecTranslator.Action] { open ? end(code: 1000) : [] }

  private mutating func end(code: UInt16) -> [ExecTranslator.Action] {
    open = false
    return [.toClient(WebSocketEncoder.encode(.close(code: code, reason: ""))), .closeRuntime, .closeClient]
  }
}
