import Glibc
import Linux

/// A socket that sends and hears the address resolution frames of one interface.
final class PacketSocket {
  private static let family: Int32 = 17  // AF_PACKET
  private static let protocolARP: UInt16 = 0x0806

  let descriptor: Int32
  /// The interface's hardware address.
  let hardware: [UInt8]

  /// Opens the socket on the calling thread's network. Throws for interfaces without Ethernet's addresses.
  init(interface: String) throws {
    let index = if_nametoindex(interface)
    guard index != 0 else { throw SystemError("if_nametoindex \(interface)") }
    let raw = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    // Without a protocol it hears nothing yet: frames of other interfaces must not get in before `bind`.
    let descriptor = socket(Self.family, raw, 0)
    guard descriptor >= 0 else { throw SystemError("socket") }
    self.descriptor = descriptor

    // struct sockaddr_ll: family, protocol, interface, hardware type, packet type, length and bytes of the address.
    var address = [UInt8](repeating: 0, count: 20)
    address.withUnsafeMutableBytes { raw in
      raw.storeBytes(of: UInt16(Self.family), toByteOffset: 0, as: UInt16.self)
      raw.storeBytes(of: Self.protocolARP.bigEndian, toByteOffset: 2, as: UInt16.self)
      raw.storeBytes(of: Int32(index), toByteOffset: 4, as: Int32.self)
    }
    var length = socklen_t(address.count)
    let bound = address.withUnsafeMutableBytes { raw -> Int32 in
      guard let base = raw.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
      if bind(descriptor, base, length) != 0 { return -1 }
      return getsockname(descriptor, base, &length)
    }
    guard bound == 0 else {
      let error = SystemError("bind \(interface)")
      close(descriptor)
      throw error
    }
    guard address[11] == 6 else {
      close(descriptor)
      throw Failure("\(interface) has no Ethernet address")
    }
    hardware = Array(address[12..<18])
  }

  deinit { close(descriptor) }

  /// Sends a frame; one that is lost is asked for again.
  func send(_ frame: ARPFrame) {
    let bytes = frame.bytes
    _ = Glibc.send(descriptor, bytes, bytes.count, 0)
  }

  /// Hands out every frame that waits. False when the interface is gone.
  func receive(_ body: (ARPFrame) -> Void) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 2048)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count > 0 {
        if let frame = ARPFrame(buffer[..<count]) { body(frame) }
      } else if count < 0, errno == EINTR {
        continue
      } else {
        return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
      }
    }
  }
}
