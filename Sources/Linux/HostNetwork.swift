import Glibc

/// What the kernel says of this machine's own addresses and routes.
public enum HostNetwork {
  /// An IPv4 address of an interface.
  public struct InterfaceAddress: Hashable, Sendable {
    /// The interface's name.
    public var interface: String
    /// Dotted-quad form.
    public var address: String
    /// Length of the network prefix in bits.
    public var prefixLength: Int
  }

  /// The IPv4 addresses of interfaces that are up, loopback ones left out.
  public static func addresses() -> [InterfaceAddress] {
    var head: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&head) == 0 else { return [] }
    defer { freeifaddrs(head) }
    var found: [InterfaceAddress] = []
    var next = head
    while let entry = next?.pointee {
      next = entry.ifa_next
      let flags = Int32(bitPattern: entry.ifa_flags)
      guard let address = entry.ifa_addr, Int32(address.pointee.sa_family) == AF_INET,
        flags & Int32(IFF_UP) != 0, flags & Int32(IFF_LOOPBACK) == 0
      else { continue }
      var mask: UInt32 = 0
      if let netmask = entry.ifa_netmask {
        mask = netmask.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_addr.s_addr }
      }
      let value = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_addr.s_addr }
      found.append(
        InterfaceAddress(
          interface: String(cString: entry.ifa_name), address: text(ofNetworkOrder: value),
          prefixLength: mask.nonzeroBitCount))
    }
    return found
  }

  /// The interface that the IPv4 default route with the lowest metric leads through.
  public static func defaultInterface(routes: String) -> String? {
    var best: (metric: Int, name: String)?
    for line in routes.split(separator: "\n").dropFirst() {
      let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
      guard fields.count > 7, fields[1] == "00000000", fields[7] == "00000000", let metric = Int(fields[6]) else {
        continue
      }
      if metric < best?.metric ?? Int.max { best = (metric, String(fields[0])) }
    }
    return best?.name
  }

  /// The address by which other machines know this one: that of the default route's interface, else the first there is.
  public static func nodeAddress() -> String? {
    let all = addresses()
    let via = defaultInterface(routes: contents(ofFile: "/proc/net/route"))
    return (all.first { $0.interface == via } ?? all.first)?.address
  }

  private static func text(ofNetworkOrder value: UInt32) -> String {
    (0..<4).map { String((value >> (8 * UInt32($0))) & 0xff) }.joined(separator: ".")
  }

  private static func contents(ofFile path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
