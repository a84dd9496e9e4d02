import Glibc

/// An address of an interface.
public struct LinkAddress: Hashable, Sendable {
  /// The interface's number.
  public var link: Int32
  public var address: NetworkAddress
  /// How many bits of it are shared with those on the same link.
  public var length: Int

  public init(link: Int32, address: NetworkAddress, length: Int) {
    self.link = link
    self.address = address
    self.length = length
  }
}

extension RouteSocket {
  /// All addresses of the namespace.
  public func addresses() throws -> [LinkAddress] {
    var request = NetlinkMessage(type: RouteMessage.getAddress, flags: NetlinkMessage.Flag.dump)
    for _ in 0..<4 { request.append(UInt8(0)) }
    request.append(UInt32(0))
    return try socket.ask(request, "list addresses").compactMap { message in
      let body = message.body[...]
      guard message.type == RouteMessage.newAddress, let link = body.number(Int32.self, at: 4) else { return nil }
      let attributes = message.attributes(after: 8)
      // On a point-to-point link 1 is the other end and 2 is this one.
      guard let address = (attributes[2] ?? attributes[1]).flatMap({ NetworkAddress(bytes: Array($0)) }) else {
        return nil
      }
      return LinkAddress(link: link, address: address, length: Int(body[body.startIndex + 1]))
    }
  }

  /// Gives an interface an address; one that it has already is no error.
  public func add(_ address: LinkAddress) throws {
    let message = Self.message(
      RouteMessage.newAddress, NetlinkMessage.Flag.create | NetlinkMessage.Flag.exclusive, address)
    try change(message, "add address \(address.address)", passing: [EEXIST])
  }

  /// Takes an address from an interface; one that it does not have is no error.
  public func delete(_ address: LinkAddress) throws {
    let message = Self.message(RouteMessage.deleteAddress, 0, address)
    try change(message, "delete address \(address.address)", passing: [EADDRNOTAVAIL, ENODEV])
  }

  private static func message(_ type: UInt16, _ flags: UInt16, _ address: LinkAddress) -> NetlinkMessage {
    var message = NetlinkMessage(type: type, flags: flags)
    message.append(address.address.family)
    message.append(UInt8(address.length))
    message.append(UInt8(0))
    message.append(UInt8(0))
    message.append(address.link)
    message.attribute(2, address.address.bytes)
    message.attribute(1, address.address.bytes)
    return message
  }
}
