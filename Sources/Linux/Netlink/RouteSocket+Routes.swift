import Glibc

/// A unicast route of the main table.
public struct NetworkRoute: Hashable, Sendable {
  public var destination: IPPrefix
  public var gateway: NetworkAddress?
  /// The interface's number.
  public var link: Int32
  /// The gateway counts as reachable through the interface whatever its addresses say.
  public var isOnLink: Bool
  /// Who made the route: a number by which its maker knows it again.
  public var origin: UInt8

  public init(destination: IPPrefix, gateway: NetworkAddress?, link: Int32, isOnLink: Bool = false, origin: UInt8) {
    self.destination = destination
    self.gateway = gateway
    self.link = link
    self.isOnLink = isOnLink
    self.origin = origin
  }
}

extension RouteSocket {
  private static let mainTable: UInt32 = 254
  private static let onLink: UInt32 = 4

  /// The routes of the main table, or those of one maker.
  public func routes(origin: UInt8? = nil) throws -> [NetworkRoute] {
    var request = NetlinkMessage(type: RouteMessage.getRoute, flags: NetlinkMessage.Flag.dump)
    for _ in 0..<8 { request.append(UInt8(0)) }
    request.append(UInt32(0))
    return try socket.ask(request, "list routes").compactMap(Self.route).filter {
      origin == nil || $0.origin == origin
    }
  }

  /// Makes a route, in place of any other to the same destination.
  public func replace(_ route: NetworkRoute) throws {
    try socket.ask(
      Self.message(RouteMessage.newRoute, NetlinkMessage.Flag.create | NetlinkMessage.Flag.replace, route),
      "set route \(route.destination)")
  }

  /// Removes a route; one that is not there is no error.
  public func delete(_ route: NetworkRoute) throws {
    try change(
      Self.message(RouteMessage.deleteRoute, 0, route), "delete route \(route.destination)", passing: [ESRCH, ENODEV])
  }

  private static func message(_ type: UInt16, _ flags: UInt16, _ route: NetworkRoute) -> NetlinkMessage {
    var message = NetlinkMessage(type: type, flags: flags)
    message.append(route.destination.address.family)
    message.append(UInt8(route.destination.length))
    message.append(UInt8(0))
    message.append(UInt8(0))
    message.append(UInt8(mainTable))
    message.append(route.origin)
    message.append(UInt8(route.gateway == nil ? 253 : 0))  // scope: link, universe
    message.append(UInt8(1))  // unicast
    message.append(route.isOnLink ? onLink : 0)
    message.attribute(1, route.destination.address.bytes)
    if let gateway = route.gateway { message.attribute(5, gateway.bytes) }
    message.attribute(4, value: route.link)
    return message
  }

  private static func route(_ message: NetlinkMessage) -> NetworkRoute? {
    let body = message.body[...]
    guard message.type == RouteMessage.newRoute, body.count >= 12, let flags = body.number(UInt32.self, at: 8) else {
      return nil
    }
    let start = body.startIndex
    let attributes = message.attributes(after: 12)
    let table = attributes[15]?.number(UInt32.self, at: 0) ?? UInt32(body[start + 4])
    let any = [UInt8](repeating: 0, count: body[start] == UInt8(AF_INET) ? 4 : 16)
    guard table == mainTable, body[start + 7] == 1, let link = attributes[4]?.number(Int32.self, at: 0),
      let address = NetworkAddress(bytes: attributes[1].map(Array.init) ?? any),
      let destination = IPPrefix(address, length: Int(body[start + 1]))
    else { return nil }
    return NetworkRoute(
      destination: destination, gateway: attributes[5].flatMap { NetworkAddress(bytes: Array($0)) }, link: link,
      isOnLink: flags & onLink != 0, origin: body[start + 5])
  }
}
