import Client
import HTTP
import Synchronization
import Testing

/// A server of its own that counts and answers what it is told.
private final class Answering: HTTPHandler {
  let status = Mutex(200)
  let seen = Mutex<[String]>([])
  let name: String
  init(_ name: String) { self.name = name }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    seen.withLock { $0.append("\(request.head.method) \(request.head.path)") }
    return HTTPResponse(status: status.withLock { $0 }, contentType: "text/plain", bytes: Array(name.utf8))
  }
}

@Suite struct HTTPTransportTests {
  private func with(
    _ body: (_ first: (Answering, HTTPServer, String), _ second: (Answering, HTTPServer, String)) async throws -> Void
  ) async throws {
    func start(_ name: String) async throws -> (Answering, HTTPServer, String) {
      let handler = Answering(name)
      let server = HTTPServer(configuration: HTTPServerConfiguration(address: .tcp(host: "127.0.0.1", port: 0)))
      let port = try await server.start(handler)
      return (handler, server, "http://127.0.0.1:\(port)")
    }
    let first = try await start("first"), second = try await start("second")
    do { try await body(first, second) } catch { Issue.record(error) }
    await first.1.shutdown()
    await second.1.shutdown()
  }

  private func ask(_ transport: HTTPTransport, _ method: String = "GET") async throws -> (Int, String) {
    let answer = try await transport.send(
      TransportRequest(method: method, path: "/x", body: method == "POST" ? [1] : nil))
    return (answer.status, String(decoding: answer.body, as: UTF8.self))
  }

  @Test func goesOnWithTheNextServerAndStaysThere() async throws {
    try await with { first, second in
      let transport = try HTTPTransport(ClusterAccess(servers: [first.2, second.2]))
      #expect(try await ask(transport).1 == "first")
      await first.1.shutdown()
      // A refused connection proves that nothing was sent: even what may not be repeated goes on.
      #expect(try await ask(transport).1 == "second")
      #expect(try await ask(transport, "POST").1 == "second")
      #expect(transport.currentServer == second.2)
      await transport.shutdown()
    }
  }

  @Test func aServerThatShutsDownIsLeftByWhatMayBeRepeated() async throws {
    try await with { first, second in
      first.0.status.withLock { $0 = 503 }
      let transport = try HTTPTransport(ClusterAccess(servers: [first.2, second.2]))
      #expect(try await ask(transport, "POST") == (503, "first"))
      #expect(try await ask(transport) == (200, "second"))
      #expect(try await ask(transport, "POST") == (200, "second"))
      second.0.status.withLock { $0 = 503 }
      // Nobody better: the refusal is the answer.
      #expect(try await ask(transport).0 == 503)
      await transport.shutdown()
    }
  }

  @Test func serversCanBeReplaced() async throws {
    try await with { first, second in
      let transport = try HTTPTransport(ClusterAccess(server: first.2))
      #expect(try await ask(transport).1 == "first")
      try transport.setServers([second.2, first.2])
      // The one in use stays in use.
      #expect(try await ask(transport).1 == "first")
      try transport.setServers([second.2])
      #expect(try await ask(transport).1 == "second")
      #expect(throws: (any Error).self) { try transport.setServers([]) }
      await transport.shutdown()
    }
  }

  @Test func nobodyAnswering() async throws {
    let transport = try HTTPTransport(ClusterAccess(servers: ["http://127.0.0.1:1", "http://127.0.0.1:2"]))
    await #expect(throws: HTTPClientError.self) { try await ask(transport) }
    #expect(throws: (any Error).self) { try HTTPTransport(ClusterAccess()) }
    await transport.shutdown()
  }
}
