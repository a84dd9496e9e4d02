import HTTP
import NIOCore
import Synchronization
import Testing

private let transports: [(tls: Bool, http2: Bool)] = [(false, false), (true, false), (true, true)]

@Suite struct ExchangeTests {
  @Test(arguments: transports.indices) func answersSmallRequests(_ index: Int) async throws {
    let (tls, http2) = transports[index]
    try await withServer(tls: tls, http2: http2) { client, origin, _, _ in
      let hello = try await client.send(.init(origin: origin, target: "/hello?a=b"))
      #expect(hello.status == 200)
      #expect(hello.body == Array("hello".utf8))
      #expect(hello.headers["Content-Length"] == "5")
      #expect(hello.headers["date"]?.hasSuffix("GMT") == true)
      let head = try await client.send(.init(method: "HEAD", origin: origin, target: "/hello"))
      #expect(head.body.isEmpty && head.headers["content-length"] == "5")
      #expect(try await client.send(.init(origin: origin, target: "/empty")).status == 204)
      #expect(try await client.send(.init(origin: origin, target: "/none")).status == 404)
    }
  }

  @Test(arguments: transports.indices) func carriesBodiesUpToTheLimit(_ index: Int) async throws {
    let (tls, http2) = transports[index]
    try await withServer(tls: tls, http2: http2, configure: { $0.maxBodyBytes = 1 << 20 }) { client, origin, _, _ in
      let body = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let echo = try await client.send(.init(method: "POST", origin: origin, target: "/echo", body: .bytes(body)))
      #expect(echo.body == body)
      let tooLarge = try await client.send(
        .init(method: "POST", origin: origin, target: "/echo", body: .bytes(body + [1])))
      #expect(tooLarge.status == 413)
    }
  }

  @Test(arguments: transports.indices) func streamsBothWays(_ index: Int) async throws {
    let (tls, http2) = transports[index]
    try await withServer(tls: tls, http2: http2) { client, origin, _, _ in
      let body = HTTPBodyStream()
      let response = try await client.stream(
        .init(method: "POST", origin: origin, target: "/stream-echo", body: .stream(body)))
      body.yield(ByteBuffer(string: "one"))
      #expect(try await response.body.next() == ByteBuffer(string: "one"))
      body.yield(ByteBuffer(string: "two"))
      #expect(try await response.body.next() == ByteBuffer(string: "two"))
      body.finish()
      #expect(try await response.body.next() == nil)
    }
  }

  @Test(arguments: transports.indices) func largeBodiesWaitForSlowReaders(_ index: Int) async throws {
    let (tls, http2) = transports[index]
    try await withServer(tls: tls, http2: http2) { client, origin, handler, _ in
      for path in ["/pull", "/flood"] {
        handler.pulled.withLock { $0 = 0 }
        let response = try await client.stream(.init(origin: origin, target: path))
        _ = try await response.body.next()
        // Nobody reads now. Wait until the server has stopped as well: twice the same count in a row.
        var last = -1
        for _ in 0..<200 {
          try await Task.sleep(for: .milliseconds(20))
          let now = handler.pulled.withLock { $0 }
          if now == last { break }
          last = now
        }
        #expect(last < 300, "\(path): the server produced \(last) of 384 chunks for a reader that does not read")
        var total = 0
        while let chunk = try await response.body.next() { total += chunk.readableBytes }
        #expect(total > 23 << 20)
        #expect(handler.pulled.withLock { $0 } == 384)
      }
      let large = try await client.send(.init(origin: origin, target: "/large"))
      #expect(large.body.count == 8 << 20)
      #expect(large.headers["content-length"] == "\(8 << 20)")
    }
  }

  @Test(arguments: transports.indices) func tellsProducersThatTheClientHasGone(_ index: Int) async throws {
    let (tls, http2) = transports[index]
    try await withServer(tls: tls, http2: http2) { client, origin, handler, _ in
      let response = try await client.stream(.init(origin: origin, target: "/watch"))
      #expect(try await response.body.next() == ByteBuffer(string: "first\n"))
      response.body.cancel()
      try await eventually("close") {
        handler.closedStreams.withLock { $0 } == 1 && handler.cancelled.withLock { $0 } == 1
      }
      // Cancelling the task that reads does the same.
      let isReading = Mutex(false)
      let task = Task {
        let response = try await client.stream(.init(origin: origin, target: "/watch"))
        while try await response.body.next() != nil { isReading.withLock { $0 = true } }
      }
      try await eventually("second request") { isReading.withLock { $0 } }
      task.cancel()
      try await eventually("second close") { handler.cancelled.withLock { $0 } == 2 }
    }
  }

  @Test(arguments: transports.indices) func aBrokenBodyIsNotAProperEnd(_ index: Int) async throws {
    let (tls, http2) = transports[index]
    try await withServer(tls: tls, http2: http2) { client, origin, _, _ in
      await #expect(throws: (any Error).self) {
        try await client.send(.init(origin: origin, target: "/abort"))
      }
    }
  }

  @Test func timesOut() async throws {
    try await withServer(tls: true) { client, origin, _, _ in
      await #expect {
        try await client.send(.init(origin: origin, target: "/watch", timeout: .milliseconds(50)))
      } throws: { if case HTTPClientError.timeout = $0 { true } else { false } }
    }
  }

  @Test func runsHundredsOfStreamsAtOnce() async throws {
    try await withServer(tls: true) { client, origin, _, server in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for i in 0..<600 {
          group.addTask {
            let path = i % 3 == 0 ? "/slow" : "/echo"
            let body: HTTPClientBody = i % 3 == 0 ? .none : .bytes([UInt8](repeating: 7, count: 3000))
            return try await client.send(
              .init(method: i % 3 == 0 ? "GET" : "POST", origin: origin, target: path, body: body)
            ).body.count
          }
        }
        var bytes = 0
        for try await count in group { bytes += count }
        #expect(bytes == 200 * 4 + 400 * 3000)
      }
      #expect(server.connectionCount < 10)
    }
  }

  @Test func asksForClientCertificatesWithoutInsisting() async throws {
    for (certificate, trusted, expected) in [
      (false, true, "0 false http2"), (true, true, "1 true http2"), (true, false, "1 false http2"),
    ] {
      try await withServer(tls: true, clientCertificate: certificate, trusted: trusted) { client, origin, _, _ in
        let response = try await client.send(.init(origin: origin, target: "/peer"))
        #expect(String(decoding: response.body, as: UTF8.self) == expected)
      }
    }
  }

  @Test func refusesAServerOfAnotherAuthority() async throws {
    try await withServer(tls: true) { _, origin, _, _ in
      let stranger = HTTPClient(
        configuration: .init(tls: .init(trustedCAPEM: TestCertificates.clientCertificate)))
      await #expect(throws: HTTPClientError.self) { try await stranger.send(.init(origin: origin, target: "/hello")) }
      await stranger.shutdown()
    }
  }
}
