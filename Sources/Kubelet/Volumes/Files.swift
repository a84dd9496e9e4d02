import Glibc

/// A failed system call, in Go's words: messages in events show it.
struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
  var operation: String
  var path: String
  var code: Int32

  var description: String {
    let text = String(cString: strerror(code))
    return "\(operation) \(path): \(text.prefix(1).lowercased())\(text.dropFirst())"
  }
}

/// The file system, by system calls.
enum Files {
  enum Kind: Sendable, Equatable { case file, directory, link, socket, characterDevice, blockDevice, other }

  static func failure(_ operation: String, _ path: String) -> FileError {
    FileError(operation: operation, path: path, code: errno)
  }

  /// What stands at a path, links followed unless told otherwise; nil when nothing does.
  static func kind(_ path: String, followLinks: Bool = true) throws -> Kind? {
    var info = stat()
    if (followLinks ? stat(path, &info) : lstat(path, &info)) != 0 {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw failure("stat", path)
    }
    switch info.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .directory
    case S_IFLNK: return .link
    case S_IFSOCK: return .socket
    case S_IFCHR: return .characterDevice
    case S_IFBLK: return .blockDevice
    default: return .other
    }
  }

  static func exists(_ path: String) -> Bool { (try? kind(path, followLinks: false)) != nil }

  static func mode(_ path: String) throws -> UInt32 {
    var info = stat()
    guard stat(path, &info) == 0 else { throw failure("stat", path) }
    return info.st_mode & 0o7777
  }

  static func size(_ path: String) -> Int64? {
    var info = stat()
    return stat(path, &info) == 0 ? Int64(info.st_size) : nil
  }

  static func device(_ path: String) -> UInt? {
    var info = stat()
    return lstat(path, &info) == 0 ? UInt(info.st_dev) : nil
  }

  static func identity(_ path: String) -> UInt64? {
    var info = stat()
    return stat(path, &info) == 0 ? UInt64(info.st_ino) : nil
  }

  /// Makes a directory and those above it.
  static func makeDirectories(_ path: String, mode: UInt32 = 0o755) throws {
    if mkdir(path, mode) == 0 { return }
    switch errno {
    case EEXIST:
      if try kind(path) == .directory { return }
      throw FileError(operation: "mkdir", path: path, code: ENOTDIR)
    case ENOENT:
      let parent = directory(of: path)
      guard parent != path, !parent.isEmpty else { throw failure("mkdir", path) }
      try makeDirectories(parent, mode: mode)
      if mkdir(path, mode) != 0, errno != EEXIST { throw failure("mkdir", path) }
    default: throw failure("mkdir", path)
    }
  }

  static func read(_ path: String) throws -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw failure("open", path) }
    defer { close(file) }
    var out: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = Glibc.read(file, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure("read", path) }
      if count == 0 { return out }
      out += chunk[..<count]
    }
  }

  static func text(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }

  /// Writes a file with exactly that mode, whatever the process's mask says.
  static func write(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard file >= 0 else { throw failure("open", path) }
    defer { close(file) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure("write", path) }
      offset += count
    }
    guard fchmod(file, mode) == 0 else { throw failure("chmod", path) }
  }

  static func chmod(_ path: String, _ mode: UInt32) throws {
    guard Glibc.chmod(path, mode) == 0 else { throw failure("chmod", path) }
  }

  /// Changes owner and group of a file or link itself; nil leaves one as it is.
  static func chown(_ path: String, user: UInt32?, group: UInt32?) throws {
    guard lchown(path, user ?? UInt32.max, group ?? UInt32.max) == 0 else { throw failure("lchown", path) }
  }

  static func rename(_ from: String, _ to: String) throws {
    guard Glibc.rename(from, to) == 0 else { throw failure("rename", from) }
  }

  static func symlink(_ target: String, at path: String) throws {
    guard Glibc.symlink(target, path) == 0 else { throw failure("symlink", path) }
  }

  static func readLink(_ path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { raw -> Int in
      guard let base = raw.baseAddress else { return -1 }
      return readlink(path, base.assumingMemoryBound(to: CChar.self), raw.count)
    }
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// The path without links; nil when it does not exist.
  static func resolve(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  static func list(_ path: String) throws -> [String] {
    guard let handle = opendir(path) else {
      if errno == ENOENT { return [] }
      throw failure("open", path)
    }
    defer { closedir(handle) }
    var out: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { out.append(name) }
    }
    return out.sorted()
  }

  static func remove(_ path: String) throws {
    if unlink(path) != 0, errno != ENOENT { throw failure("remove", path) }
  }

  /// Removes a tree. Never crosses into another file system: what is mounted there belongs to somebody.
  static func removeTree(_ path: String, device: UInt? = nil) throws {
    guard let kind = try kind(path, followLinks: false) else { return }
    guard kind == .directory else { return try remove(path) }
    let here = self.device(path)
    if let device, here != device { throw FileError(operation: "remove", path: path, code: EBUSY) }
    for name in try list(path) { try removeTree("\(path)/\(name)", device: here) }
    if rmdir(path) != 0, errno != ENOENT { throw failure("remove", path) }
  }

  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}

extension Files {
  /// Removes an empty directory; one that is not empty, or not there, stays as it is.
  static func removeDirectory(_ path: String) { rmdir(path) }
}
