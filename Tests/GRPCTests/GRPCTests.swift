import Foundation
import NIOCore
import Synchronization
import Testing

@testable import GRPC

/// A server and a channel to it, both gone when the test ends.
func withServer(
  _ routes: GRPCRoutes, options: GRPCChannelOptions = .init(), serverLimit: Int = 32 << 20,
  _ body: (GRPCChannel, GRPCServer, GRPCAddress) async throws -> Void
) async throws {
  let path = NSTemporaryDirectory() + "/grpc-\(UInt32.random(in: 0 ... .max)).sock"
  let server = GRPCServer(routes: routes, maximumMessageSize: serverLimit)
  let address = try await server.start(.unix(path: path))
  let channel = GRPCChannel(address: address, options: options)
  do {
    try await body(channel, server, address)
  } catch {
    await channel.shutdown()
    await server.shutdown()
    throw error
  }
  await channel.shutdown()
  await server.shutdown()
}

/// Something one task waits for and another one announces.
final class Signal: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  init() { (stream, continuation) = AsyncStream.makeStream() }
  func fire() { continuation.yield() }
  func wait() async { for await _ in stream { return } }
}

func code(_ body: () async throws -> Void) async -> GRPCStatus.Code? {
  do {
    try await body()
    return nil
  } catch {
    return (error as? GRPCStatus)?.code
  }
}

@Suite struct UnaryTests {
  @Test func echoesWithMetadata() async throws {
    var routes = GRPCRoutes()
    routes.stream("/t.S/Echo") { call in
      let request = try await call.receive() ?? []
      call.setInitialMetadata(["first": call.context.metadata["asked"] ?? "-"])
      call.setTrailers(["last": "z"])
      try await call.send(request.reversed())
    }
    try await withServer(routes) { channel, _, _ in
      let reply = try await channel.unary("/t.S/Echo", [1, 2, 3], options: .init(metadata: ["Asked": "yes"]))
      #expect(reply.message == [3, 2, 1])
      #expect(reply.initialMetadata["first"] == "yes")
      #expect(reply.trailers["last"] == "z")
      let got1 = try await channel.unary("/t.S/Echo", []).message
      #expect(got1 == [])
    }
  }

  @Test func reportsStatusAndMessage() async throws {
    var routes = GRPCRoutes()
    routes.unary("/t.S/Fail") { _, _ in throw GRPCStatus(.notFound, "no \"x%\" – ü\n", trailers: ["k": "v"]) }
    try await withServer(routes) { channel, _, _ in
      do {
        _ = try await channel.unary("/t.S/Fail", [])
        Issue.record("no error")
      } catch let status as GRPCStatus {
        #expect(status.code == .notFound)
        #expect(status.message == "no \"x%\" – ü\n")
        #expect(status.trailers["k"] == "v")
        #expect(status.description == "rpc error: code = NotFound desc = no \"x%\" – ü\n")
      }
      let unknownMethod = await #expect(throws: GRPCStatus.self) { try await channel.unary("/t.S/Nope", []) }
      #expect(unknownMethod?.message == "unknown method Nope for service t.S")
      let unknownService = await #expect(throws: GRPCStatus.self) { try await channel.unary("/u.S/Nope", []) }
      #expect(unknownService?.code == .unimplemented)
      #expect(unknownService?.message == "unknown service u.S")
    }
  }

  @Test func carriesBigMessagesBothWays() async throws {
    var routes = GRPCRoutes()
    routes.unary("/t.S/Echo") { request, _ in request }
    try await withServer(routes) { channel, _, _ in
      let big = (0..<(9 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let got2 = try await channel.unary("/t.S/Echo", big).message
      #expect(got2 == big)
    }
  }

  @Test func refusesMessagesAboveTheLimits() async throws {
    var routes = GRPCRoutes()
    routes.unary("/t.S/Echo") { request, _ in request }
    routes.unary("/t.S/Much") { _, _ in [UInt8](repeating: 1, count: 5000) }
    var options = GRPCChannelOptions()
    options.maximumMessageSize = 4096
    try await withServer(routes, options: options, serverLimit: 4096) { channel, _, _ in
      let up = await #expect(throws: GRPCStatus.self) {
        try await channel.unary("/t.S/Echo", [UInt8](repeating: 0, count: 4097))
      }
      #expect(up?.code == .resourceExhausted)
      #expect(up?.message == "grpc: received message larger than max (4097 vs. 4096)")
      let down = await #expect(throws: GRPCStatus.self) { try await channel.unary("/t.S/Much", []) }
      #expect(down?.message == "grpc: received message larger than max (5000 vs. 4096)")
      let got3 = try await channel.unary("/t.S/Echo", [7]).message
      #expect(got3 == [7])
    }
  }

  @Test func manyCallsShareAConnection() async throws {
    var routes = GRPCRoutes()
    routes.unary("/t.S/Echo") { request, _ in request }
    try await withServer(routes) { channel, _, _ in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<500 {
          group.addTask {
            let message = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: index * 7)
            let got4 = try await channel.unary("/t.S/Echo", message).message
            #expect(got4 == message)
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func worksOverTCP() async throws {
    var routes = GRPCRoutes()
    routes.unary("/t.S/Echo") { request, _ in request }
    let server = GRPCServer(routes: routes)
    let address = try await server.start(.tcp(host: "127.0.0.1", port: 0))
    let channel = GRPCChannel(address: address)
    let got5 = try await channel.unary("/t.S/Echo", [4]).message
    #expect(got5 == [4])
    await channel.shutdown()
    await server.shutdown()
  }
}

@Suite struct StreamingTests {
  @Test func serverStreamsInOrderUnderBackPressure() async throws {
    var routes = GRPCRoutes()
    routes.stream("/t.S/Count") { call in
      _ = try await call.receive()
      for index in 0..<2000 { try await call.send([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 2000)) }
    }
    try await withServer(routes) { channel, _, _ in
      var count = 0
      for try await message in try await channel.serverStream("/t.S/Count", []) {
        #expect(message.first == UInt8(truncatingIfNeeded: count))
        count += 1
      }
      #expect(count == 2000)
    }
  }

  @Test func clientStreams() async throws {
    var routes = GRPCRoutes()
    routes.stream("/t.S/Sum") { call in
      var sum = 0
      for try await message in call { sum += message.count }
      try await call.send(Array("\(sum)".utf8))
    }
    try await withServer(routes) { channel, _, _ in
      let reply = try await channel.clientStream("/t.S/Sum") { call in
        for _ in 0..<100 { try await call.send([UInt8](repeating: 1, count: 1000)) }
      }
      #expect(String(decoding: reply, as: UTF8.self) == "100000")
    }
  }

  @Test func bothSidesTakeTurns() async throws {
    var routes = GRPCRoutes()
    routes.stream("/t.S/Chat") { call in
      for try await message in call { try await call.send(message + [9]) }
    }
    try await withServer(routes) { channel, _, _ in
      let call = try await channel.call("/t.S/Chat")
      for index in UInt8(0)..<50 {
        try await call.send([index])
        let got6 = try await call.receive()
        #expect(got6 == [index, 9])
      }
      try await call.finish()
      let got7 = try await call.receive()
      #expect(got7 == nil)
    }
  }

  @Test func aServerMayEndFirst() async throws {
    var routes = GRPCRoutes()
    routes.stream("/t.S/Half") { call in
      _ = try await call.receive()
      throw GRPCStatus(.aborted, "enough")
    }
    try await withServer(routes) { channel, _, _ in
      let call = try await channel.call("/t.S/Half")
      try await call.send([1])
      let status = await #expect(throws: GRPCStatus.self) { try await call.receive() }
      #expect(status?.code == .aborted)
      await #expect(throws: GRPCStatus.self) { try await call.send([2]) }
    }
  }
}

@Suite struct EndingTests {
  @Test func deadlineEndsBothSides() async throws {
    let started = Mutex(false)
    let cancelled = Signal()
    var routes = GRPCRoutes()
    routes.unary("/t.S/Hang") { _, context in
      #expect(context.timeout != nil)
      started.withLock { $0 = true }
      do {
        try await Task.sleep(for: .seconds(60))
      } catch {
        cancelled.fire()
        throw error
      }
      return []
    }
    try await withServer(routes) { channel, _, _ in
      // On a busy machine a deadline may pass before the call reaches the handler: the next one is longer.
      var timeout = Duration.milliseconds(50)
      while !started.withLock({ $0 }) {
        let result = await code {
          _ = try await channel.unary("/t.S/Hang", [], options: .init(timeout: timeout))
        }
        #expect(result == .deadlineExceeded)
        timeout *= 2
      }
      await cancelled.wait()
    }
  }

  @Test func cancellingATaskResetsTheStream() async throws {
    let started = Signal()
    let cancelled = Signal()
    var routes = GRPCRoutes()
    routes.stream("/t.S/Hang") { call in
      started.fire()
      do {
        try await Task.sleep(for: .seconds(60))
      } catch {
        cancelled.fire()
        throw error
      }
    }
    try await withServer(routes) { channel, _, _ in
      let unary = Task { try await channel.unary("/t.S/Hang", []) }
      await started.wait()
      unary.cancel()
      await #expect(throws: CancellationError.self) { try await unary.value }
      await cancelled.wait()

      let stream = Task { try await channel.serverStream("/t.S/Hang", []).receive() }
      await started.wait()
      stream.cancel()
      await #expect(throws: CancellationError.self) { try await stream.value }
      await cancelled.wait()
    }
  }

  @Test func lettingGoOfACallCancelsIt() async throws {
    let started = Signal()
    let cancelled = Signal()
    var routes = GRPCRoutes()
    routes.stream("/t.S/Hang") { call in
      started.fire()
      do { while try await call.receive() != nil {} } catch {
        cancelled.fire()
        throw error
      }
    }
    try await withServer(routes) { channel, _, _ in
      var call: GRPCCall? = try await channel.call("/t.S/Hang")
      await started.wait()
      #expect(call != nil)
      call = nil
      await cancelled.wait()
    }
  }

  @Test func reconnectsAfterTheServerRestarts() async throws {
    var routes = GRPCRoutes()
    routes.unary("/t.S/Echo") { request, _ in request }
    routes.stream("/t.S/Hang") { call in
      call.sendInitialMetadata()
      while try await call.receive() != nil {}
    }
    var options = GRPCChannelOptions()
    options.baseBackoff = .milliseconds(20)
    try await withServer(routes, options: options) { channel, server, address in
      let hanging = try await channel.call("/t.S/Hang")
      _ = try await hanging.initialMetadata()
      await server.shutdown()
      #expect(await code { _ = try await hanging.receive() } == .unavailable)
      #expect(await code { _ = try await channel.unary("/t.S/Echo", [1]) } == .unavailable)
      async let patient = channel.unary("/t.S/Echo", [2], options: .init(timeout: .seconds(20), waitForReady: true))
      let second = GRPCServer(routes: routes)
      try await second.start(address)
      let got8 = try await patient.message
      #expect(got8 == [2])
      await second.shutdown()
    }
  }

  @Test func waitingForAServerThatNeverComesEndsAtTheDeadline() async {
    let channel = GRPCChannel(unixSocket: "/nonexistent/grpc.sock")
    let result = await code {
      _ = try await channel.unary("/t.S/Echo", [], options: .init(timeout: .milliseconds(150), waitForReady: true))
    }
    #expect(result == .deadlineExceeded)
    #expect(await code { _ = try await channel.unary("/t.S/Echo", []) } == .unavailable)
  }
}

@Suite struct EncodingTests {
  @Test func timeoutsFitEightDigitsAndNeverShrink() {
    #expect(TimeoutHeader.encode(nanoseconds: 1_500_000) == "1500000n")
    #expect(TimeoutHeader.encode(nanoseconds: 120_000_000_001) == "120001m")
    #expect(TimeoutHeader.encode(nanoseconds: -4) == "0n")
    for value: Int64 in [1, 99_999_999, 100_000_001, 7_777_777_777_777, .max / 2] {
      let text = TimeoutHeader.encode(nanoseconds: value)
      #expect(text.count <= 9)
      #expect((TimeoutHeader.decode(text) ?? 0) >= value)
    }
    #expect(TimeoutHeader.decode("15S") == 15_000_000_000)
    #expect(TimeoutHeader.decode("123456789S") == nil)
    #expect(TimeoutHeader.decode("S") == nil && TimeoutHeader.decode("") == nil && TimeoutHeader.decode("5x") == nil)
  }

  @Test func backoffGrowsToItsMaximum() {
    var backoff = Backoff(base: .milliseconds(100), maximum: .seconds(3))
    let pauses = (0..<10).map { _ in backoff.next(jitter: 0) }
    #expect(pauses[0] == .milliseconds(100) && pauses[1] == .milliseconds(160))
    #expect(pauses.last == .seconds(3))
    backoff.reset()
    #expect(backoff.next(jitter: 1) == .milliseconds(120))
  }

  @Test func decoderTakesAnyCut() throws {
    let whole = [UInt8]([0, 0, 0, 0, 2, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 8])
    for cut in 0..<whole.count {
      var decoder = MessageDecoder(maximumMessageSize: 10)
      var seen: [[UInt8]] = []
      for part in [whole[..<cut], whole[cut...]] {
        var buffer = ByteBuffer(bytes: part)
        decoder.append(&buffer)
        while let message = try decoder.next() { seen.append(message) }
      }
      #expect(seen == [[5, 6], [], [8]])
      #expect(!decoder.isInsideMessage)
    }
  }
}
