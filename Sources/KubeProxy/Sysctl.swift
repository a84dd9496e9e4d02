import Glibc
import Logging

/// Kernel settings without which service traffic does not flow.
enum Sysctl {
  /// Forwarding for pods, and bridged packets shown to nftables: else the answers of a pod on the same bridge would pass
  /// by connection tracking and reach the client from the wrong address.
  static func prepareForServices(logger: Logger) {
    for (name, value) in [("net/ipv4/ip_forward", "1"), ("net/bridge/bridge-nf-call-iptables", "1")] {
      if !write(name, value) {
        logger.warning("kernel setting could not be made", metadata: ["setting": "\(name)=\(value)"])
      }
    }
  }

  private static func write(_ name: String, _ value: String) -> Bool {
    let descriptor = open("/proc/sys/\(name)", O_WRONLY)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return value.withCString { Glibc.write(descriptor, $0, strlen($0)) } == value.utf8.count
  }
}
