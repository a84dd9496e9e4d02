import Glibc

/// A network interface.
public struct NetworkLink: Hashable, Sendable {
  /// The kernel's number for it.
  public var index: Int32
  public var name: String
  public var mtu: Int
  public var isUp: Bool
  public var mac: MACAddress?
  /// `vxlan`, `bridge`, `veth`; empty for a physical one.
  public var kind: String
  /// Set for a VXLAN device.
  public var vxlan: VXLAN?

  public init(
    index: Int32, name: String, mtu: Int, isUp: Bool, mac: MACAddress? = nil, kind: String = "", vxlan: VXLAN? = nil
  ) {
    self.index = index
    self.name = name
    self.mtu = mtu
    self.isUp = isUp
    self.mac = mac
    self.kind = kind
    self.vxlan = vxlan
  }

  /// What a VXLAN device is made with.
  public struct VXLAN: Hashable, Sendable {
    public var identifier: UInt32
    /// The UDP port.
    public var port: UInt16
    /// The address of this end.
    public var local: NetworkAddress?
    /// The number of the interface that carries it; 0 is any.
    public var parent: Int32
    /// Whether it learns addresses from traffic.
    public var learns: Bool

    public init(identifier: UInt32, port: UInt16, local: NetworkAddress?, parent: Int32 = 0, learns: Bool = false) {
      self.identifier = identifier
      self.port = port
      self.local = local
      self.parent = parent
      self.learns = learns
    }
  }
}

extension RouteSocket {
  private static let header = 16
  private static let up: UInt32 = 1

  /// All interfaces of the namespace.
  public func links() throws -> [NetworkLink] {
    var request = NetlinkMessage(type: RouteMessage.getLink, flags: NetlinkMessage.Flag.dump)
    Self.linkHeader(&request)
    return try socket.ask(request, "list links").compactMap(Self.link)
  }

  /// The interface of that name.
  public func link(named name: String) throws -> NetworkLink? { try links().first { $0.name == name } }

  /// Makes a VXLAN device that knows its peers from forwarding entries alone.
  public func addVXLAN(name: String, _ vxlan: NetworkLink.VXLAN, mac: MACAddress?, mtu: Int) throws {
    var message = NetlinkMessage(
      type: RouteMessage.newLink, flags: NetlinkMessage.Flag.create | NetlinkMessage.Flag.exclusive)
    Self.linkHeader(&message)
    message.attribute(3, text: name)
    if let mac { message.attribute(1, mac.bytes) }
    message.attribute(4, value: UInt32(mtu))
    message.nested(18) { info in
      info.attribute(1, text: "vxlan")
      info.nested(2) { data in
        data.attribute(1, value: vxlan.identifier)
        if vxlan.parent != 0 { data.attribute(3, value: UInt32(bitPattern: vxlan.parent)) }
        if let local = vxlan.local { data.attribute(local.isIPv4 ? 4 : 17, local.bytes) }
        data.attribute(7, value: UInt8(vxlan.learns ? 1 : 0))
        data.attribute(15, value: vxlan.port.bigEndian)
      }
    }
    try socket.ask(message, "add link \(name)")
  }

  /// Makes two interfaces that are the ends of one wire.
  public func addVirtualPair(_ name: String, _ peer: String) throws {
    var message = NetlinkMessage(
      type: RouteMessage.newLink, flags: NetlinkMessage.Flag.create | NetlinkMessage.Flag.exclusive)
    Self.linkHeader(&message)
    message.attribute(3, text: name)
    message.nested(18) { info in
      info.attribute(1, text: "veth")
      info.nested(2) { data in
        data.nested(1) { other in
          Self.linkHeader(&other)
          other.attribute(3, text: peer)
        }
      }
    }
    try socket.ask(message, "add link \(name)")
  }

  /// Brings an interface up and gives it an MTU where one is named.
  public func setUp(_ index: Int32, mtu: Int? = nil) throws {
    var message = NetlinkMessage(type: RouteMessage.newLink, flags: 0)
    Self.linkHeader(&message, index: index, flags: Self.up)
    if let mtu { message.attribute(4, value: UInt32(mtu)) }
    try socket.ask(message, "set link \(index) up")
  }

  /// Removes an interface; one that is not there is no error.
  public func deleteLink(_ index: Int32) throws {
    var message = NetlinkMessage(type: RouteMessage.deleteLink, flags: 0)
    Self.linkHeader(&message, index: index)
    try change(message, "delete link \(index)", passing: [ENODEV])
  }

  private static func linkHeader(_ message: inout NetlinkMessage, index: Int32 = 0, flags: UInt32 = 0) {
    message.append(UInt8(0))
    message.append(UInt8(0))
    message.append(UInt16(0))
    message.append(index)
    message.append(flags)
    message.append(flags)
  }

  private static func link(_ message: NetlinkMessage) -> NetworkLink? {
    let body = message.body[...]
    guard message.type == RouteMessage.newLink, let index = body.number(Int32.self, at: 4),
      let flags = body.number(UInt32.self, at: 8)
    else { return nil }
    let attributes = message.attributes(after: header)
    var link = NetworkLink(
      index: index, name: attributes[3]?.zeroTerminated ?? "",
      mtu: Int(attributes[4]?.number(UInt32.self, at: 0) ?? 0), isUp: flags & up != 0,
      mac: attributes[1].flatMap { MACAddress(bytes: Array($0)) }, kind: "", vxlan: nil)
    guard let info = attributes[18].map(NetlinkMessage.attributes) else { return link }
    link.kind = info[1]?.zeroTerminated ?? ""
    if link.kind == "vxlan", let data = info[2].map(NetlinkMessage.attributes) {
      link.vxlan = NetworkLink.VXLAN(
        identifier: data[1]?.number(UInt32.self, at: 0) ?? 0,
        port: UInt16(bigEndian: data[15]?.number(UInt16.self, at: 0) ?? 0),
        local: (data[4] ?? data[17]).flatMap { NetworkAddress(bytes: Array($0)) },
        parent: data[3]?.number(Int32.self, at: 0) ?? 0, learns: data[7]?.first == 1)
    }
    return link
  }
}
