internal import Glibc

/// Files that are there whole or not at all.
public enum AtomicFile {
  /// Writes next to the target, makes it durable, and renames it into place. `mode` is set whatever the umask says.
  public static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(PKIError) {
    let temporary = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure(path) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      written += count
    }
    let complete = written == bytes.count && fchmod(descriptor, mode) == 0 && fsync(descriptor) == 0
    let problem = errno
    close(descriptor)
    guard complete, rename(temporary, path) == 0 else {
      if !complete { errno = problem }
      let error = failure(path)
      unlink(temporary)
      throw error
    }
    syncDirectory(of: path)
  }

  /// Writes text.
  public static func write(_ text: String, to path: String, mode: UInt32 = 0o600) throws(PKIError) {
    try write(Array(text.utf8), to: path, mode: mode)
  }

  /// The whole file; nil when there is none.
  public static func read(_ path: String) throws(PKIError) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw failure(path)
    }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure(path) }
      if count == 0 { return content }
      content += buffer[..<count]
    }
  }

  /// The whole file as text; nil when there is none.
  public static func readText(_ path: String) throws(PKIError) -> String? {
    try read(path).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Makes a directory and its parents, for the owner only.
  public static func makeDirectory(_ path: String, mode: UInt32 = 0o700) throws(PKIError) {
    var end = path.startIndex
    while end < path.endIndex {
      end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
      let part = String(path[..<end])
      guard mkdir(part, mode) != 0, errno != EEXIST else { continue }
      throw failure(part)
    }
  }

  private static func syncDirectory(of path: String) {
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  private static func failure(_ path: String) -> PKIError {
    .file(path: path, detail: String(cString: strerror(errno)))
  }
}
