import HTTP
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite struct ConnectionTests {
  private func port(_ origin: HTTPOrigin) -> Int {
    switch origin {
    case .http(_, let port), .https(_, let port): port
    case .unix: 0
    }
  }

  @Test func keepsPipelinedRequestsInOrder() async throws {
    try await withServer(tls: false) { _, origin, _, _ in
      let text =
        "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        + "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
        + "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      let answer = try await rawExchange(port: port(origin), send: text)
      let bodies = answer.components(separatedBy: "\r\n\r\n").dropFirst().map { $0.prefix { $0 != "H" } }
      #expect(bodies.map(String.init) == ["slow", "abc", "de", "hello"])
    }
  }

  @Test func answersExpectContinueAndOldClients() async throws {
    try await withServer(tls: false) { _, origin, _, _ in
      let expect = try await rawExchange(
        port: port(origin),
        send: "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
          + "Connection: close\r\n\r\nhi")
      #expect(expect.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
      #expect(expect.hasSuffix("hi"))
      let old = try await rawExchange(port: port(origin), send: "GET /pull HTTP/1.0\r\n\r\n")
      #expect(old.hasPrefix("HTTP/1.0 200 OK") && !old.contains("chunked"))
      let bad = try await rawExchange(port: port(origin), send: "NONSENSE\r\n\r\n")
      #expect(bad.hasPrefix("HTTP/1.1 400 Bad Request"))
    }
  }

  @Test func closesSlowAndIdleConnections() async throws {
    try await withServer(
      tls: false,
      configure: {
        $0.readTimeout = .milliseconds(200)
        $0.idleTimeout = .milliseconds(200)
      }
    ) { _, origin, _, _ in
      let number = port(origin)
      let idle = try await rawExchange(port: number, send: "")
      #expect(idle == "")
      let slow = try await rawExchange(port: number, send: "POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nab")
      #expect(slow == "")
    }
  }

  @Test func refusesHugeHeaders() async throws {
    try await withServer(tls: false, configure: { $0.maxHeaderBytes = 8192 }) { _, origin, _, _ in
      let text = "GET /hello HTTP/1.1\r\nHost: x\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n"
      let answer = try await rawExchange(port: port(origin), send: text)
      #expect(!answer.hasPrefix("HTTP/1.1 200"))
    }
  }

  @Test func retriesOnAStaleConnection() async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(OneAnswer()) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let origin = HTTPOrigin.http(host: "127.0.0.1", port: server.localAddress?.port ?? 0)
    let client = HTTPClient()
    for _ in 0..<3 {
      #expect(try await client.send(.init(origin: origin, target: "/")).status == 200)
    }
    // Sending it a second time might do it twice.
    await #expect(throws: HTTPClientError.self) {
      try await client.send(.init(method: "POST", origin: origin, target: "/", body: .bytes([1])))
    }
    await client.shutdown()
    try await server.close()
  }

  @Test func servesOnUnixSockets() async throws {
    let path = "/tmp/apus-http-test-\(UInt32.random(in: 0 ... .max)).sock"
    let server = HTTPServer(configuration: .init(address: .unix(path: path)))
    try await server.start(TestHandler())
    let client = HTTPClient()
    let response = try await client.send(.init(origin: .unix(path: path), target: "/hello"))
    #expect(response.body == Array("hello".utf8))
    await client.shutdown()
    await server.shutdown(grace: .seconds(0))
  }

  @Test(arguments: [false, true]) func handsUpgradedConnectionsOver(_ tls: Bool) async throws {
    try await withServer(tls: tls) { client, origin, _, _ in
      let headers: HTTPFields = ["connection": "Upgrade", "upgrade": "echo"]
      let connection = try await client.upgrade(
        .init(method: "POST", origin: origin, target: "/upgrade", headers: headers))
      #expect(connection.responseHeaders["upgrade"] == "echo")
      let sent = ByteBuffer(repeating: 5, count: 3 << 20)
      async let writing: Void = connection.write(sent)
      var got = 0
      while got < sent.readableBytes, let buffer = try await connection.read() { got += buffer.readableBytes }
      try await writing
      #expect(got == sent.readableBytes)
      connection.close()
      await connection.closed()
      guard
        case .refused(let refused) = try await client.tryUpgrade(
          .init(origin: origin, target: "/refused", headers: headers))
      else {
        Issue.record("granted")
        return
      }
      #expect(refused.status == 403 && refused.body == Array("no".utf8))
      // A handler that knows no upgrade answers as usual.
      guard
        case .refused(let plain) = try await client.tryUpgrade(
          .init(origin: origin, target: "/hello", headers: headers))
      else {
        Issue.record("granted")
        return
      }
      #expect(plain.status == 404)  // upgrades never take the synchronous way
    }
  }

  @Test func bytesBehindAnUpgradeRequestAreNotLost() async throws {
    try await withServer(tls: false) { _, origin, _, _ in
      let answer = try await rawExchange(
        port: port(origin),
        send: "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly", until: "early")
      #expect(answer.hasPrefix("HTTP/1.1 101 Switching Protocols"))
      #expect(answer.hasSuffix("\r\n\r\nearly"))
    }
  }

  @Test func drainsBeforeItStops() async throws {
    try await withServer(tls: true) { client, origin, handler, server in
      async let slow = client.send(.init(origin: origin, target: "/slow"))
      try await eventually("request") { handler.requests.withLock { $0 } == 1 }
      await server.shutdown(grace: .seconds(3))
      #expect(try await slow.body == Array("slow".utf8))
      #expect(server.connectionCount == 0)
      await #expect(throws: (any Error).self) { try await client.send(.init(origin: origin, target: "/hello")) }
    }
  }

  @Test func replacesItsCertificate() async throws {
    try await withServer(tls: true) { client, origin, _, server in
      #expect(try await client.send(.init(origin: origin, target: "/hello")).status == 200)
      try server.reloadTLS(
        .init(certificateChainPEM: TestCertificates.clientCertificate, privateKeyPEM: TestCertificates.clientKey))
      let other = HTTPClient(configuration: .init(tls: .init(trustedCAPEM: TestCertificates.ca)))
      await #expect(throws: HTTPClientError.self) { try await other.send(.init(origin: origin, target: "/hello")) }
      await other.shutdown()
    }
  }
}

/// Answers the first request of a connection, and hangs up at the second.
private final class OneAnswer: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private var answered = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if answered {
      context.close(promise: nil)
      return
    }
    answered = true
    let answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
  }
}

@Suite struct MessageTests {
  @Test func decodesTargets() {
    let head = HTTPRequestHead(method: "GET", target: "/a%20b/%zz+c?x=1&y=a%26b+c&z")
    #expect(head.path == "/a b/%zz+c")
    #expect(head.query.map { "\($0.0)=\($0.1)" } == ["x=1", "y=a&b c", "z="])
    #expect(percentEncoded("a b/ü") == "a%20b%2F%C3%BC")
  }

  @Test func fieldsIgnoreCase() {
    var fields: HTTPFields = ["Accept": "a, b", "accept": "c"]
    #expect(fields["ACCEPT"] == "a, b")
    #expect(fields.elements("accept") == ["a", "b", "c"])
    fields["aCCept"] = "d"
    #expect(fields.values("accept") == ["d"])
  }

  @Test func readsURLs() throws {
    #expect(try HTTPOrigin.parse("https://[::1]:6443/api?x=1") == (.https(host: "::1", port: 6443), "/api?x=1"))
    #expect(try HTTPOrigin.parse("http://host") == (.http(host: "host", port: 80), "/"))
    #expect(HTTPOrigin.https(host: "::1", port: 6443).authority == "[::1]:6443")
    #expect(throws: HTTPClientError.self) { try HTTPOrigin.parse("ftp://x") }
  }
}

extension String {
  func components(separatedBy separator: String) -> [String] {
    var result: [String] = [], current = Substring(self)
    while let range = current.firstRange(of: separator) {
      result.append(String(current[..<range.lowerBound]))
      current = current[range.upperBound...]
    }
    return result + [String(current)]
  }
}
