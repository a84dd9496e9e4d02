import Glibc

/// One tracked flow of UDP, as the proxy needs it.
public struct TrackedFlow: Sendable, Hashable {
  /// The address and the port that the client wrote to.
  public var destination: NetworkAddress
  public var destinationPort: UInt16
  /// Who answers: the backend, or the destination itself where nothing was translated.
  public var replySource: NetworkAddress
  public var replyPort: UInt16
  /// The tuple by which the kernel knows it.
  fileprivate var tuple: [UInt8] = []
  fileprivate var zone: UInt16 = 0

  public init(
    destination: NetworkAddress, destinationPort: UInt16, replySource: NetworkAddress, replyPort: UInt16
  ) {
    self.destination = destination
    self.destinationPort = destinationPort
    self.replySource = replySource
    self.replyPort = replyPort
  }
}

/// The kernel's table of tracked connections, through ctnetlink.
public final class ConnectionTracking {
  private static let get: UInt16 = 1 << 8 | 1
  private static let delete: UInt16 = 1 << 8 | 2
  private static let udp: UInt8 = 17
  private let socket: NetlinkSocket

  /// Throws when the kernel gives no socket.
  public init() throws { socket = try NetlinkSocket(protocol: NetlinkSocket.netfilter) }

  /// The tracked UDP flows of IPv4.
  public func udpFlows() throws -> [TrackedFlow] {
    var request = NetlinkMessage(type: Self.get, flags: NetlinkMessage.Flag.dump)
    Self.header(&request)
    return try socket.ask(request, "list tracked connections").compactMap { message in
      let attributes = message.attributes(after: 4)
      guard let tuple = attributes[1], let original = Self.tuple(tuple), original.proto == Self.udp,
        let reply = attributes[2].flatMap(Self.tuple)
      else { return nil }
      var flow = TrackedFlow(
        destination: original.destination, destinationPort: original.destinationPort, replySource: reply.source,
        replyPort: reply.sourcePort)
      flow.tuple = Array(tuple)
      flow.zone = UInt16(bigEndian: attributes[18]?.number(UInt16.self, at: 0) ?? 0)
      return flow
    }
  }

  /// Forgets a flow, so that its next packet is looked at anew; one that has ended is no error.
  public func forget(_ flow: TrackedFlow) throws {
    var message = NetlinkMessage(type: Self.delete, flags: 0)
    Self.header(&message)
    message.attribute(1 | 0x8000, flow.tuple)
    if flow.zone != 0 { message.attribute(18, value: flow.zone.bigEndian) }
    do {
      try socket.ask(message, "delete tracked connection")
    } catch let error as SystemError where error.number == ENOENT {}
  }

  private static func header(_ message: inout NetlinkMessage) {
    message.append(UInt8(AF_INET))
    message.append(UInt8(0))
    message.append(UInt16(0))
  }

  private struct Tuple {
    var source: NetworkAddress
    var destination: NetworkAddress
    var proto: UInt8
    var sourcePort: UInt16
    var destinationPort: UInt16
  }

  private static func tuple(_ bytes: ArraySlice<UInt8>) -> Tuple? {
    let parts = NetlinkMessage.attributes(bytes)
    guard let addresses = parts[1].map(NetlinkMessage.attributes), let ports = parts[2].map(NetlinkMessage.attributes),
      let source = addresses[1].flatMap({ NetworkAddress(bytes: Array($0)) }),
      let destination = addresses[2].flatMap({ NetworkAddress(bytes: Array($0)) }), let proto = ports[1]?.first
    else { return nil }
    func port(_ type: UInt16) -> UInt16 { UInt16(bigEndian: ports[type]?.number(UInt16.self, at: 0) ?? 0) }
    return Tuple(
      source: source, destination: destination, proto: proto, sourcePort: port(2), destinationPort: port(3))
  }
}
