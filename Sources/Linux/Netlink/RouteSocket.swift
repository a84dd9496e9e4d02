import Glibc

/// Links, addresses, routes and neighbours of a network namespace, through rtnetlink.
///
/// Belongs to the namespace of the thread that made it, and to one task at a time.
public final class RouteSocket {
  let socket: NetlinkSocket

  /// Throws when the kernel gives no socket.
  public init() throws { socket = try NetlinkSocket(protocol: NetlinkSocket.route) }

  /// Runs a change; true when it was made, false when the kernel says one of `passing`.
  @discardableResult
  func change(_ message: NetlinkMessage, _ call: String, passing: Set<Int32>) throws -> Bool {
    do {
      try socket.ask(message, call)
      return true
    } catch let error as SystemError where passing.contains(error.number) {
      return false
    }
  }
}

/// Numbers of rtnetlink's messages.
enum RouteMessage {
  static let newLink: UInt16 = 16
  static let deleteLink: UInt16 = 17
  static let getLink: UInt16 = 18
  static let newAddress: UInt16 = 20
  static let deleteAddress: UInt16 = 21
  static let getAddress: UInt16 = 22
  static let newRoute: UInt16 = 24
  static let deleteRoute: UInt16 = 25
  static let getRoute: UInt16 = 26
  static let newNeighbour: UInt16 = 28
  static let deleteNeighbour: UInt16 = 29
  static let getNeighbour: UInt16 = 30
}
