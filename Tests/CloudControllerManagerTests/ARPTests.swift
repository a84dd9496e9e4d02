import Glibc
import Linux
import Logging
import Testing

@testable import CloudControllerManager

@Suite struct ARPTests {
  private static let here: [UInt8] = [2, 0, 0, 0, 0, 1]
  private static let there: [UInt8] = [2, 0, 0, 0, 0, 2]

  private func request(_ target: IPv4, from sender: IPv4, _ hardware: [UInt8] = Self.there) -> ARPFrame {
    ARPFrame(
      .request, destination: ARPFrame.broadcast, senderHardware: hardware, sender: sender,
      targetHardware: [0, 0, 0, 0, 0, 0], target: target)
  }

  @Test func framesAreAsOthersHaveThem() throws {
    let frame = request(IPv4(0x0a4d_00c8), from: IPv4(0x0a4d_0001))
    let bytes = frame.bytes
    #expect(bytes.count == 60)
    #expect(
      Array(bytes[..<42]) == [
        255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 77, 0, 1, 0,
        0,
        0, 0, 0, 0, 10, 77, 0, 200,
      ])
    #expect(ARPFrame(bytes[...]) == frame)
    let reply = frame.reply(from: Self.here)
    #expect(reply.operation == .reply)
    #expect(reply.destination == Self.there)
    #expect(reply.sender.description == "10.77.0.200")
    #expect(reply.target.description == "10.77.0.1")
    for wrong in [Array(bytes[..<41]), [UInt8](repeating: 0, count: 60), Array(bytes[..<20]) + [0, 9] + bytes[22...]] {
      #expect(ARPFrame(wrong[...]) == nil)
    }
  }

  /// Runs a command on the calling thread's network.
  private static func command(_ words: String...) throws {
    var arguments = words.map { strdup($0) } + [nil]
    defer { arguments.forEach { free($0) } }
    var pid = pid_t()
    let error = posix_spawnp(&pid, words[0], nil, nil, &arguments, environ)
    guard error == 0 else { throw SystemError("posix_spawnp", number: error) }
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    guard status == 0 else { throw Failure("\(words): \(status)") }
  }

  private static func wait(for socket: PacketSocket, _ accept: (ARPFrame) -> Bool) -> Bool {
    let end = ContinuousClock.now + .seconds(3)
    while ContinuousClock.now < end {
      var entry = [pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)]
      poll(&entry, 1, 200)
      var isFound = false
      _ = socket.receive { if accept($0) { isFound = true } }
      if isFound { return true }
    }
    return false
  }

  /// Two ends of one wire in a network of its own: one answers, the other asks.
  @Test(.enabled(if: geteuid() == 0 && access("/usr/sbin/ip", X_OK) == 0, "needs root and iproute2"))
  func answersOnTheWire() async throws {
    let address = IPv4(0x0a4d_00c8)
    try await Namespaces.withNew([.network]) {
      try Self.command("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
      for name in ["here", "there"] { try Self.command("ip", "link", "set", name, "up") }
      let responder = try ARPResponder(logger: Logger(label: "test"))
      let asker = try PacketSocket(interface: "there")
      let answering = try PacketSocket(interface: "here").hardware
      #expect(answering != asker.hardware)
      responder.answer(for: ["here": [address]])
      let thread = try Thread.inThisNetwork { responder.loop() }
      // It says so itself first.
      let isAnnounced = Self.wait(for: asker) {
        $0.sender == address && $0.target == address && $0.senderHardware == answering
          && $0.destination == ARPFrame.broadcast
      }
      #expect(isAnnounced)
      let own = IPv4(0x0a4d_0001)
      func ask(_ target: IPv4) -> ARPFrame {
        ARPFrame(
          .request, destination: ARPFrame.broadcast, senderHardware: asker.hardware, sender: own,
          targetHardware: [0, 0, 0, 0, 0, 0], target: target)
      }
      // Frames come in order: the answer to the second question shows that the first got none.
      var strangers = 0
      asker.send(ask(IPv4(address.value + 1)))
      asker.send(ask(address))
      let isAnswered = Self.wait(for: asker) {
        if $0.sender.value == address.value + 1 { strangers += 1 }
        return $0.operation == .reply && $0.sender == address && $0.target == own && $0.senderHardware == answering
          && $0.destination == asker.hardware
      }
      #expect(isAnswered)
      #expect(strangers == 0)
      // What is taken away is no longer answered; the other address is.
      responder.answer(for: ["here": [IPv4(address.value + 1)]])
      let isOther = Self.wait(for: asker) { $0.sender.value == address.value + 1 }
      #expect(isOther)
      var old = 0
      asker.send(ask(address))
      asker.send(ask(IPv4(address.value + 1)))
      let isStillOther = Self.wait(for: asker) {
        if $0.operation == .reply, $0.target == own, $0.sender == address { old += 1 }
        return $0.operation == .reply && $0.target == own && $0.sender.value == address.value + 1
      }
      #expect(isStillOther)
      #expect(old == 0)
      responder.end()
      thread.join()
    }
  }
}

/// A thread that shares its maker's network namespace.
private struct Thread {
  private final class Work {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  private let thread: pthread_t

  static func inThisNetwork(_ body: @escaping @Sendable () -> Void) throws -> Thread {
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { raw in
        if let raw { Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().run() }
        return nil
      }, work.toOpaque())
    guard status == 0 else { throw SystemError("pthread_create", number: status) }
    return Thread(thread: thread)
  }

  func join() { pthread_join(thread, nil) }
}
