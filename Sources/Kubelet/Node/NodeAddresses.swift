import Glibc

/// Finds the addresses of this host.
enum HostAddresses {
  /// The address that the default route leaves from, else the first one that is not loopback, else loopback.
  static func primary() -> [String] {
    let all = list()
    let device = defaultDevice()
    let chosen =
      all.first { $0.device == device && !$0.address.contains(":") }
      ?? all.first { !$0.address.contains(":") && $0.device != "lo" }
      ?? all.first { $0.device != "lo" } ?? (device: "lo", address: "127.0.0.1")
    return [chosen.address]
  }

  private static func defaultDevice() -> String? {
    for line in ((try? Files.text("/proc/net/route")) ?? "").split(separator: "\n").dropFirst() {
      let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
      if fields.count > 2, fields[1] == "00000000" { return String(fields[0]) }
    }
    return nil
  }

  private static func list() -> [(device: String, address: String)] {
    var head: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&head) == 0 else { return [] }
    defer { freeifaddrs(head) }
    var out: [(String, String)] = []
    var next = head
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let address = entry.pointee.ifa_addr else { continue }
      let family = Int32(address.pointee.sa_family)
      guard family == AF_INET || family == AF_INET6 else { continue }
      var text = [CChar](repeating: 0, count: 64)
      let size = socklen_t(
        family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
      guard getnameinfo(address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { continue }
      let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if name.hasPrefix("fe80") || name.contains("%") { continue }
      out.append((String(cString: entry.pointee.ifa_name), name))
    }
    return out
  }
}
