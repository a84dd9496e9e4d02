import CLinux
import Glibc
import Synchronization

/// Tells of changes that others make to links, addresses, routes and neighbours.
public struct NetworkEvent: Sendable, Hashable {
  /// What changed.
  public enum Kind: Sendable {
    case linkChanged, linkGone, addressChanged, routeGone, neighbourGone
    /// The kernel had more to tell than was read in time: anything may have changed.
    case lost
  }

  public var kind: Kind
  /// The interface's number, where the kind has one.
  public var link: Int32
}

/// Reads the kernel's announcements on a thread of its own.
public final class NetworkEvents: Sendable {
  /// What happened, the newest 64 of it; ends with `stop`.
  public let events: AsyncStream<NetworkEvent>
  private let continuation: AsyncStream<NetworkEvent>.Continuation
  private let descriptor: Int32
  private let wake: (read: Int32, write: Int32)
  private let stopped = Mutex(false)

  /// Starts to listen in the calling thread's network namespace.
  public init() throws {
    (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
    // Groups: link, neighbour, addresses and routes of IPv4 and IPv6.
    let groups: [UInt32] = [1, 3, 5, 7, 9, 11]
    descriptor = clinux_netlink(NetlinkSocket.route, groups.reduce(0) { $0 | 1 << ($1 - 1) }, 0)
    guard descriptor >= 0 else { throw SystemError("netlink socket") }
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      close(descriptor)
      throw SystemError("pipe")
    }
    wake = (ends[0], ends[1])
    var thread = pthread_t()
    let me = Unmanaged.passRetained(self)
    let status = pthread_create(
      &thread, nil,
      { raw in
        if let raw { Unmanaged<NetworkEvents>.fromOpaque(raw).takeRetainedValue().listen() }
        return nil
      }, me.toOpaque())
    guard status == 0 else {
      me.release()
      throw SystemError("pthread_create", number: status)
    }
    pthread_detach(thread)
  }

  deinit {
    close(descriptor)
    close(wake.read)
    close(wake.write)
  }

  /// Ends the thread and the stream.
  public func stop() {
    let first = stopped.withLock { stopped in
      defer { stopped = true }
      return !stopped
    }
    guard first else { return }
    var byte: UInt8 = 1
    _ = write(wake.write, &byte, 1)
  }

  private func listen() {
    defer { continuation.finish() }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var waiting = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
      ]
      if poll(&waiting, 2, -1) < 0 {
        if errno == EINTR { continue }
        return
      }
      if waiting[1].revents != 0 { return }
      let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 {
        for message in NetlinkMessage.parse(buffer[0..<count]) {
          if let event = Self.event(message) { continuation.yield(event) }
        }
      } else if count < 0, errno == ENOBUFS {
        continuation.yield(NetworkEvent(kind: .lost, link: 0))
      } else if count < 0, errno != EAGAIN, errno != EINTR {
        return
      }
    }
  }

  private static func event(_ message: NetlinkMessage) -> NetworkEvent? {
    let link = message.body[...].number(Int32.self, at: 4) ?? 0
    switch message.type {
    case RouteMessage.newLink: return NetworkEvent(kind: .linkChanged, link: link)
    case RouteMessage.deleteLink: return NetworkEvent(kind: .linkGone, link: link)
    case RouteMessage.newAddress, RouteMessage.deleteAddress: return NetworkEvent(kind: .addressChanged, link: link)
    case RouteMessage.deleteRoute: return NetworkEvent(kind: .routeGone, link: 0)
    case RouteMessage.deleteNeighbour: return NetworkEvent(kind: .neighbourGone, link: link)
    default: return nil
    }
  }
}
