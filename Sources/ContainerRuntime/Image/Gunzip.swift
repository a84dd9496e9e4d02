import Glibc
import Linux

/// Unpacks gzip files.
enum Gunzip {
  static func isCompressed(_ path: String) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var magic: [UInt8] = [0, 0]
    return read(descriptor, &magic, 2) == 2 && magic == [0x1f, 0x8b]
  }

  /// Writes the unpacked bytes of `path` to `target`.
  static func unpack(_ path: String, to target: String) throws {
    // The program is part of every distribution, and the unpacked bytes never pass through this process.
    guard let gzip = EngineBinaries.searchPath.map({ "\($0)/gzip" }).first(where: FileSystem.isExecutable) else {
      throw ImageError("gzip is not installed; unpack \(path) first")
    }
    let script = #"exec "$0" -dc <"$1" >"$2""#
    guard try Subprocess.run(["/bin/sh", "-c", script, gzip, path, target]).status == 0 else {
      throw ImageError("\(path) is not a sound gzip file")
    }
  }
}
