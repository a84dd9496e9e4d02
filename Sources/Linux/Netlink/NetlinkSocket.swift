import CLinux
import Glibc

/// A conversation with the kernel: a request, and its answers up to the acknowledgement.
///
/// Belongs to the network namespace of the thread that made it. Not thread-safe: its owner asks from one task at a time.
public final class NetlinkSocket {
  static let route: Int32 = 0
  static let netfilter: Int32 = 12

  private let descriptor: Int32
  private var sequence: UInt32 = 0
  private var buffer = [UInt8](repeating: 0, count: 1 << 16)

  init(protocol number: Int32) throws {
    descriptor = clinux_netlink(number, 0, 10)
    guard descriptor >= 0 else { throw SystemError("netlink socket") }
  }

  deinit { close(descriptor) }

  /// Sends a request and returns what the kernel answered. `call` names it in errors.
  @discardableResult
  func ask(_ request: NetlinkMessage, _ call: String) throws -> [NetlinkMessage] {
    sequence &+= 1
    var request = request
    request.sequence = sequence
    request.flags |= NetlinkMessage.Flag.request
    let isDump = request.flags & NetlinkMessage.Flag.dump == NetlinkMessage.Flag.dump
    if !isDump { request.flags |= NetlinkMessage.Flag.acknowledge }
    let bytes = request.encoded()
    guard send(descriptor, bytes, bytes.count, 0) == bytes.count else { throw SystemError(call) }
    var answers: [NetlinkMessage] = []
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw SystemError(call) }
      for message in NetlinkMessage.parse(buffer[0..<count]) where message.sequence == sequence {
        switch message.type {
        case NetlinkMessage.done: return answers
        case NetlinkMessage.error:
          let number = message.body[...].number(Int32.self, at: 0) ?? 0
          guard number == 0 else { throw SystemError(call, number: -number) }
          return answers
        default: answers.append(message)
        }
      }
    }
  }
}
