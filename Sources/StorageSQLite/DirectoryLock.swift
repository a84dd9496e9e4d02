internal import Glibc
internal import Storage

/// The exclusive right to a store's directory: `flock` on a file in it, so it ends with the process, however that ends.
final class DirectoryLock: Sendable {
  private let descriptor: Int32

  init(directory: String) throws {
    try Self.makeDirectory(directory)
    let path = directory + "/lock"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StorageError.engine("cannot open \(path): \(String(cString: strerror(errno)))") }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let holder = Self.readHolder(descriptor)
      Glibc.close(descriptor)
      throw StorageError.locked(directory: directory, holder: holder)
    }
    self.descriptor = descriptor
    // The process id serves the message of the second server only.
    let text = Array("\(getpid())\n".utf8)
    ftruncate(descriptor, 0)
    _ = pwrite(descriptor, text, text.count, 0)
  }

  deinit {
    Glibc.close(descriptor)
  }

  private static func readHolder(_ descriptor: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 32)
    let count = pread(descriptor, &buffer, buffer.count, 0)
    guard count > 0 else { return "" }
    return String(decoding: buffer[..<count].prefix { $0 != 0x0A }, as: UTF8.self)
  }

  /// Makes the directory and its parents, readable by the owner only: a store holds secrets.
  private static func makeDirectory(_ path: String) throws {
    var end = path.startIndex
    while end < path.endIndex {
      end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
      guard mkdir(String(path[..<end]), 0o700) != 0, errno != EEXIST else { continue }
      throw StorageError.engine("cannot make \(path): \(String(cString: strerror(errno)))")
    }
  }
}
