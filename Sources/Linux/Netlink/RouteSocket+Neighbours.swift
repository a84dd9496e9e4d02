import Glibc

/// Who has an address on a link: an entry that somebody wrote, not one that was learnt.
public struct NetworkNeighbour: Hashable, Sendable {
  /// The interface's number.
  public var link: Int32
  public var address: NetworkAddress
  public var mac: MACAddress

  public init(link: Int32, address: NetworkAddress, mac: MACAddress) {
    self.link = link
    self.address = address
    self.mac = mac
  }
}

extension RouteSocket {
  private static let permanent: UInt16 = 0x80
  private static let itself: UInt8 = 0x02
  private static let bridge: UInt8 = 7

  /// The permanent entries of a link for addresses (ARP and ND).
  public func neighbours(of link: Int32) throws -> [NetworkNeighbour] {
    try entries(family: 0).filter { $0.link == link }
  }

  /// The forwarding entries of a VXLAN device: to which machine frames for a link-layer address go.
  public func forwarding(of link: Int32) throws -> [NetworkNeighbour] {
    try entries(family: Self.bridge).filter { $0.link == link }
  }

  /// Writes down who has an address.
  public func setNeighbour(_ entry: NetworkNeighbour) throws {
    try socket.ask(
      Self.message(
        RouteMessage.newNeighbour, NetlinkMessage.Flag.create | NetlinkMessage.Flag.replace, entry,
        family: entry.address.family, flags: 0), "set neighbour \(entry.address)")
  }

  /// Forgets who has an address.
  public func deleteNeighbour(_ entry: NetworkNeighbour) throws {
    try change(
      Self.message(RouteMessage.deleteNeighbour, 0, entry, family: entry.address.family, flags: 0),
      "delete neighbour \(entry.address)", passing: [ENOENT, ENODEV])
  }

  /// Writes down to which machine frames for a link-layer address go.
  public func setForwarding(_ entry: NetworkNeighbour) throws {
    try socket.ask(
      Self.message(
        RouteMessage.newNeighbour, NetlinkMessage.Flag.create | NetlinkMessage.Flag.replace, entry,
        family: Self.bridge, flags: Self.itself), "set forwarding entry \(entry.mac)")
  }

  /// Forgets to which machine frames go.
  public func deleteForwarding(_ entry: NetworkNeighbour) throws {
    try change(
      Self.message(RouteMessage.deleteNeighbour, 0, entry, family: Self.bridge, flags: Self.itself),
      "delete forwarding entry \(entry.mac)", passing: [ENOENT, ENODEV])
  }

  private func entries(family: UInt8) throws -> [NetworkNeighbour] {
    var request = NetlinkMessage(type: RouteMessage.getNeighbour, flags: NetlinkMessage.Flag.dump)
    Self.header(&request, family: family, link: 0, state: 0, flags: 0)
    return try socket.ask(request, "list neighbours").compactMap { message in
      let body = message.body[...]
      let attributes = message.attributes(after: 12)
      guard message.type == RouteMessage.newNeighbour, let link = body.number(Int32.self, at: 4),
        let state = body.number(UInt16.self, at: 8), state & Self.permanent != 0,
        let address = attributes[1].flatMap({ NetworkAddress(bytes: Array($0)) }),
        let mac = attributes[2].flatMap({ MACAddress(bytes: Array($0)) })
      else { return nil }
      return NetworkNeighbour(link: link, address: address, mac: mac)
    }
  }

  private static func message(
    _ type: UInt16, _ kind: UInt16, _ entry: NetworkNeighbour, family: UInt8, flags: UInt8
  ) -> NetlinkMessage {
    var message = NetlinkMessage(type: type, flags: kind)
    header(&message, family: family, link: entry.link, state: permanent, flags: flags)
    message.attribute(1, entry.address.bytes)
    message.attribute(2, entry.mac.bytes)
    return message
  }

  private static func header(
    _ message: inout NetlinkMessage, family: UInt8, link: Int32, state: UInt16, flags: UInt8
  ) {
    message.append(family)
    message.append(UInt8(0))
    message.append(UInt16(0))
    message.append(link)
    message.append(state)
    message.append(flags)
    message.append(UInt8(0))
  }
}
