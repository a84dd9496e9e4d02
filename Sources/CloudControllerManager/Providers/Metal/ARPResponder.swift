import Glibc
import Linux
import Logging
import Synchronization

/// Answers address resolution for addresses that no interface has, on a thread of its own.
///
///     addresses set ─▶ frames that announce the new ones, four times within three seconds
///     request for one of them ─▶ reply
final class ARPResponder: Sendable {
  private struct Orders {
    var addresses: [String: Set<IPv4>] = [:]
    var isEnded = false
  }

  private static let announcements = 4

  private let orders = Mutex(Orders())
  /// Both ends of a pipe: a byte wakes the thread.
  private let ends: (read: Int32, write: Int32)
  private let logger: Logger

  init(logger: Logger) throws {
    self.logger = logger
    var pair: [Int32] = [-1, -1]
    guard pipe(&pair) == 0 else { throw SystemError("pipe") }
    for end in pair {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    ends = (pair[0], pair[1])
  }

  deinit {
    close(ends.read)
    close(ends.write)
  }

  /// Sets the addresses to answer for, by interface.
  func answer(for addresses: [String: Set<IPv4>]) {
    orders.withLock { $0.addresses = addresses }
    signal()
  }

  /// Ends `loop`.
  func end() {
    orders.withLock { $0.isEnded = true }
    signal()
  }

  private func signal() {
    // A pipe that is full wakes as well.
    _ = write(ends.write, [1], 1)
  }

  /// Answers until the task is cancelled.
  func run() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let work = Unmanaged.passRetained(
          Work { [self] in
            loop()
            continuation.resume()
          })
        var thread = pthread_t()
        let status = pthread_create(
          &thread, nil,
          { raw in
            if let raw { Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().run() }
            return nil
          }, work.toOpaque())
        guard status == 0 else {
          work.release()
          logger.error("\(SystemError("pthread_create", number: status))")
          return continuation.resume()
        }
        pthread_detach(thread)
      }
    } onCancel: {
      end()
    }
  }

  private final class Work {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  /// The announcements of an address that are still to be sent.
  private struct Pending {
    var interface: String
    var address: IPv4
    var left: Int
    var due: ContinuousClock.Instant
  }

  /// Answers, on the calling thread and in its network namespace, until `end`.
  func loop() {
    var sockets: [String: PacketSocket] = [:]
    var answered: [String: Set<IPv4>] = [:]
    var pending: [Pending] = []
    while true {
      let (wanted, isEnded) = orders.withLock { ($0.addresses.filter { !$0.value.isEmpty }, $0.isEnded) }
      if isEnded { return }
      for name in sockets.keys where wanted[name] == nil { sockets[name] = nil }
      for (name, addresses) in wanted {
        if sockets[name] == nil {
          answered[name] = nil
          do { sockets[name] = try PacketSocket(interface: name) } catch { logger.warning("\(name): \(text(error))") }
        }
        guard sockets[name] != nil else { continue }
        for address in addresses.subtracting(answered[name] ?? []).sorted() {
          logger.info("answering for \(address) on \(name)")
          pending.append(Pending(interface: name, address: address, left: Self.announcements, due: .now))
        }
        for address in (answered[name] ?? []).subtracting(addresses).sorted() {
          logger.info("no longer answering for \(address) on \(name)")
        }
      }
      answered = wanted.filter { sockets[$0.key] != nil }
      pending.removeAll { answered[$0.interface]?.contains($0.address) != true }
      announce(&pending, sockets)

      // An interface that could not be opened is tried again now and then.
      let isMissing = answered.count < wanted.count
      let gone = wait(sockets, answered, until: pending.map(\.due).min(), retry: isMissing)
      for name in gone { sockets[name] = nil }
    }
  }

  private func announce(_ pending: inout [Pending], _ sockets: [String: PacketSocket]) {
    let now = ContinuousClock.now
    for index in pending.indices where pending[index].due <= now {
      if let socket = sockets[pending[index].interface] {
        ARPFrame.announcements(of: pending[index].address, at: socket.hardware).forEach(socket.send)
      }
      pending[index].left -= 1
      pending[index].due = now + .seconds(1)
    }
    pending.removeAll { $0.left <= 0 }
  }

  /// Answers what comes in; returns the interfaces that went away.
  private func wait(
    _ sockets: [String: PacketSocket], _ answered: [String: Set<IPv4>], until due: ContinuousClock.Instant?,
    retry: Bool
  ) -> [String] {
    let names = sockets.keys.sorted()
    var descriptors = [pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0)]
    for name in names {
      descriptors.append(pollfd(fd: sockets[name]?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
    }
    var timeout: Int32 = retry ? 2000 : -1
    if let due {
      let left = (due - ContinuousClock.now) / .milliseconds(1)
      let milliseconds = Int32(max(0, min(left.rounded(.up), 60_000)))
      timeout = timeout < 0 ? milliseconds : min(timeout, milliseconds)
    }
    guard poll(&descriptors, nfds_t(descriptors.count), timeout) > 0 else { return [] }
    if descriptors[0].revents != 0 {
      var bytes = [UInt8](repeating: 0, count: 64)
      _ = read(ends.read, &bytes, bytes.count)
    }
    var gone: [String] = []
    for (name, state) in zip(names, descriptors.dropFirst()) where state.revents != 0 {
      guard let socket = sockets[name] else { continue }
      let addresses = answered[name] ?? []
      let isThere = socket.receive { frame in
        guard frame.operation == .request, addresses.contains(frame.target), frame.senderHardware != socket.hardware
        else { return }
        socket.send(frame.reply(from: socket.hardware))
      }
      if !isThere { gone.append(name) }
    }
    return gone
  }
}
