import HTTP
import NIOCore
import NIOPosix
import Synchronization

/// Answers by path; what the tests need to see of the server.
final class TestHandler: HTTPHandler {
  let pulled = Mutex(0)
  let closedStreams = Mutex(0)
  let cancelled = Mutex(0)
  let requests = Mutex(0)

  func handleSync(_ head: HTTPRequestHead) -> HTTPResponse? {
    requests.withLock { $0 += 1 }
    switch head.path {
    case "/hello": return HTTPResponse(contentType: "text/plain", bytes: Array("hello".utf8))
    case "/empty": return HTTPResponse(status: 204)
    case "/peer":
      let text = "\(head.tls?.certificates.count ?? -1) \(head.tls?.verified ?? false) \(head.version)"
      return HTTPResponse(contentType: "text/plain", bytes: Array(text.utf8))
    case "/large":
      let slice = [UInt8](repeating: 97, count: 1 << 20)[...]
      return HTTPResponse(body: .slices(Array(repeating: slice, count: 8)))
    case "/pull":
      let left = CountDown(384)
      return HTTPResponse(
        body: .pull { [self] in
          guard left.take() else { return nil }
          pulled.withLock { $0 += 1 }
          return ByteBuffer(repeating: 98, count: 64 * 1024)
        })
    default: return nil
    }
  }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    switch request.head.path {
    case "/echo":
      if request.bodyTooLarge { return HTTPResponse(status: 413) }
      return HTTPResponse(contentType: "text/plain", bytes: request.body)
    case "/stream-echo":
      guard let body = request.bodyStream else { return HTTPResponse(status: 500) }
      return HTTPResponse(
        body: .stream { writer in
          for try await chunk in body { try await writer.write(chunk) }
        })
    case "/watch":
      return HTTPResponse(
        body: .stream { [self] writer in
          writer.onClose { self.closedStreams.withLock { $0 += 1 } }
          _ = writer.tryWrite(ByteBuffer(string: "first\n"))
          do { try await Task.sleep(for: .seconds(60)) } catch { cancelled.withLock { $0 += 1 } }
        })
    case "/flood":
      return HTTPResponse(
        body: .stream { [self] writer in
          for _ in 0..<384 {
            try await writer.write(ByteBuffer(repeating: 99, count: 64 * 1024))
            pulled.withLock { $0 += 1 }
          }
        })
    case "/slow":
      try? await Task.sleep(for: .milliseconds(100))
      return HTTPResponse(contentType: "text/plain", bytes: Array("slow".utf8))
    case "/abort":
      return HTTPResponse(
        body: .stream { writer in
          try await writer.write(Array("part".utf8))
          throw HTTPStreamClosed()
        })
    default: return HTTPResponse(status: 404)
    }
  }

  func wantsBodyStream(_ head: HTTPRequestHead) -> Bool { head.path == "/stream-echo" }

  func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision? {
    switch head.path {
    case "/upgrade":
      return .accept(headers: ["connection": "Upgrade", "upgrade": "echo"]) { connection in
        while let buffer = try? await connection.read() {
          try? await connection.write(buffer)
        }
      }
    case "/refused": return .refuse(HTTPResponse(status: 403, contentType: "text/plain", bytes: Array("no".utf8)))
    default: return nil
    }
  }
}

final class CountDown: Sendable {
  private let left: Mutex<Int>
  init(_ count: Int) { left = Mutex(count) }
  func take() -> Bool {
    left.withLock { n in
      guard n > 0 else { return false }
      n -= 1
      return true
    }
  }
}

/// A server on loopback and a client for it, both gone when the body returns.
func withServer(
  tls: Bool, http2: Bool = true, clientCertificate: Bool = false, trusted: Bool = true,
  configure: (inout HTTPServerConfiguration) -> Void = { _ in },
  _ body: (HTTPClient, HTTPOrigin, TestHandler, HTTPServer) async throws -> Void
) async throws {
  var configuration = HTTPServerConfiguration(address: .tcp(host: "127.0.0.1", port: 0))
  if tls {
    configuration.tls = TLSOptions(
      certificateChainPEM: TestCertificates.serverCertificate, privateKeyPEM: TestCertificates.serverKey,
      verifyClient: { _ in trusted })
  }
  configure(&configuration)
  let server = HTTPServer(configuration: configuration)
  let handler = TestHandler()
  let port = try await server.start(handler)
  var options = HTTPClientConfiguration(
    tls: ClientTLSOptions(
      trustedCAPEM: TestCertificates.ca,
      certificateChainPEM: clientCertificate ? TestCertificates.clientCertificate : nil,
      privateKeyPEM: clientCertificate ? TestCertificates.clientKey : nil))
  options.http2 = http2
  let client = HTTPClient(configuration: options)
  let origin: HTTPOrigin = tls ? .https(host: "127.0.0.1", port: port) : .http(host: "127.0.0.1", port: port)
  do {
    try await body(client, origin, handler, server)
  } catch {
    await client.shutdown()
    await server.shutdown(grace: .seconds(0))
    throw error
  }
  await client.shutdown()
  await server.shutdown(grace: .seconds(1))
}

func eventually(_ what: String, _ condition: () -> Bool) async throws {
  for _ in 0..<500 {
    if condition() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw Timeout(what: what)
}

struct Timeout: Error { var what: String }

/// A bare socket, for what a proper client would not send. Reads until the peer closes or `until` is there.
func rawExchange(port: Int, send text: String, until: String? = nil) async throws -> String {
  let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    .connect(host: "127.0.0.1", port: port) { channel in
      channel.eventLoop.makeCompletedFuture {
        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
      }
    }
  return try await channel.executeThenClose { inbound, outbound in
    // The server may close, or reset, while we are still sending: what it answered is what counts.
    try? await outbound.write(ByteBuffer(string: text))
    var result = ""
    do {
      for try await buffer in inbound {
        result += String(buffer: buffer)
        if let until, result.contains(until) { break }
      }
    } catch is IOError {}
    return result
  }
}
