import Glibc

/// Settings under /proc/sys.
enum KernelSetting {
  /// Writes a setting unless it has that value already; false when the kernel refuses.
  @discardableResult
  static func set(_ name: String, _ value: String) -> Bool {
    let descriptor = open("/proc/sys/\(name)", O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(descriptor, &bytes, bytes.count)
    let present = String(decoding: bytes.prefix(max(0, count)).filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    if present == value { return true }
    return value.withCString { pwrite(descriptor, $0, strlen($0), 0) } == value.utf8.count
  }
}
