import NIOCore
import NIOHTTP2

/// One request on a connection, and what is still to be sent for it.
final class ServerStream {
  enum Body {
    case none
    case collecting([UInt8])
    case overflowed
    case streaming(HTTPBodyStream)
  }

  let id: HTTP2StreamID
  var head: HTTPRequestHead
  var body = Body.none
  var requestEnded = false
  var started: NIODeadline
  var task: Task<Void, Never>?
  var producer: Task<Void, Never>?
  var source: BodySource?
  /// Bytes handed to the channel whose write has not completed.
  var outstanding = 0
  var responded = false
  /// Body bytes received whose window the peer has not got back yet.
  var unreturnedWindow = 0

  init(id: HTTP2StreamID, head: HTTPRequestHead, now: NIODeadline) {
    self.id = id
    self.head = head
    self.started = now
  }

  /// Takes body bytes in, up to the limit.
  func collect(_ buffer: ByteBuffer, limit: Int) {
    switch body {
    case .none where buffer.readableBytes == 0, .overflowed: break
    case .none:
      if buffer.readableBytes > limit {
        body = .overflowed
      } else {
        body = .collecting(Array(buffer.readableBytesView))
      }
    case .collecting(var bytes):
      body = .none  // so that the array is not shared while it grows
      if bytes.count + buffer.readableBytes > limit {
        body = .overflowed
      } else {
        bytes.append(contentsOf: buffer.readableBytesView)
        body = .collecting(bytes)
      }
    case .streaming(let stream): stream.yield(buffer)
    }
  }

  func request() -> HTTPServerRequest {
    switch body {
    case .none: HTTPServerRequest(head: head)
    case .collecting(let bytes): HTTPServerRequest(head: head, body: bytes)
    case .overflowed: HTTPServerRequest(head: head, bodyTooLarge: true)
    case .streaming(let stream): HTTPServerRequest(head: head, bodyStream: stream)
    }
  }

  /// Lets go of everything; the peer has gone or both sides are done.
  func tearDown() {
    task?.cancel()
    producer?.cancel()
    source?.abandon()
    source = nil
    if case .streaming(let stream) = body, !requestEnded { stream.finish(HTTPStreamClosed()) }
  }
}

/// Runs a streamed body in a task of its own, feeding `queue`.
func runProducer(
  _ body: @escaping @Sendable (HTTPBodyWriter) async throws -> Void, queue: OutboundQueue
) -> Task<Void, Never> {
  let writer = HTTPBodyWriter(queue: queue)
  // Not structured: the task belongs to the stream, whose end cancels it.
  return Task {
    do {
      try await body(writer)
      writer.finish()
    } catch {
      writer.abort()
    }
  }
}
