import Glibc

/// Which process serves a data directory. The file alone proves nothing after a crash: a living process must hold its
/// lock, which the kernel drops with the process.
struct RunningServer: ~Copyable {
  private let descriptor: Int32

  /// Claims the directory for this process; nil when another one has it.
  init?(claiming directories: Directories) {
    let descriptor = open(directories.pidFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return nil }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      return nil
    }
    let text = "\(getpid())\n"
    ftruncate(descriptor, 0)
    _ = text.withCString { write(descriptor, $0, strlen($0)) }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// The process that serves the directory now.
  static func pid(_ directories: Directories) -> pid_t? {
    let descriptor = open(directories.pidFile, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return pid_t(String(decoding: bytes.prefix(count), as: UTF8.self).filter(\.isNumber))
  }
}
