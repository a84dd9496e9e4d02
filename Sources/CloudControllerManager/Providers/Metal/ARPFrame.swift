/// An address resolution packet for IPv4 in an Ethernet frame (RFC 826).
struct ARPFrame: Sendable, Equatable {
  enum Operation: UInt16, Sendable { case request = 1, reply = 2 }

  static let broadcast = [UInt8](repeating: 0xff, count: 6)
  /// Shorter frames are filled up to this.
  static let minimumLength = 60

  var operation: Operation
  /// The frame's destination.
  var destination: [UInt8]
  var senderHardware: [UInt8]
  var sender: IPv4
  var targetHardware: [UInt8]
  var target: IPv4

  init(
    _ operation: Operation, destination: [UInt8], senderHardware: [UInt8], sender: IPv4, targetHardware: [UInt8],
    target: IPv4
  ) {
    self.operation = operation
    self.destination = destination
    self.senderHardware = senderHardware
    self.sender = sender
    self.targetHardware = targetHardware
    self.target = target
  }

  /// Reads a frame; nil for anything else.
  init?(_ frame: ArraySlice<UInt8>) {
    let bytes = Array(frame)
    guard bytes.count >= 42, bytes[12...13] == [0x08, 0x06], bytes[14...19] == [0, 1, 8, 0, 6, 4],
      let operation = Operation(rawValue: UInt16(bytes[20]) << 8 | UInt16(bytes[21]))
    else { return nil }
    self.init(
      operation, destination: Array(bytes[0..<6]), senderHardware: Array(bytes[22..<28]), sender: IPv4(bytes[28..<32]),
      targetHardware: Array(bytes[32..<38]), target: IPv4(bytes[38..<42]))
  }

  /// The frame as it goes over the wire.
  var bytes: [UInt8] {
    var bytes = destination + senderHardware + [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, UInt8(operation.rawValue)]
    bytes += senderHardware + sender.bytes + targetHardware + target.bytes
    return bytes + [UInt8](repeating: 0, count: Self.minimumLength - bytes.count)
  }

  /// The answer to a request for an address that `hardware` speaks for. A probe (RFC 5227), whose sender is 0.0.0.0, is
  /// answered too: that is how others notice that the address is taken.
  func reply(from hardware: [UInt8]) -> ARPFrame {
    ARPFrame(
      .reply, destination: senderHardware, senderHardware: hardware, sender: target, targetHardware: senderHardware,
      target: sender)
  }

  /// What tells everybody that an address is at `hardware` now: there are machines that only listen to requests, and such
  /// that only listen to replies.
  static func announcements(of address: IPv4, at hardware: [UInt8]) -> [ARPFrame] {
    [.request, .reply].map { operation in
      ARPFrame(
        operation, destination: broadcast, senderHardware: hardware, sender: address,
        targetHardware: operation == .request ? [UInt8](repeating: 0, count: 6) : hardware, target: address)
    }
  }
}
