import Glibc
import Linux

#if canImport(CZlib)
  import CZlib
#endif

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
    #if canImport(CZlib)
      guard let input = gzopen(path, "rb") else { throw SystemError("open \(path)") }
      defer { gzclose(input) }
      let output = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
      guard output >= 0 else { throw SystemError("open \(target)") }
      defer { close(output) }
      var chunk = [UInt8](repeating: 0, count: 256 * 1024)
      while true {
        let count = gzread(input, &chunk, UInt32(chunk.count))
        if count == 0 { return }
        guard count > 0 else { throw ImageError("\(path) is not a sound gzip file") }
        var offset = 0
        while offset < Int(count) {
          let written = chunk[offset..<Int(count)].withUnsafeBytes { write(output, $0.baseAddress, $0.count) }
          if written < 0 && errno == EINTR { continue }
          guard written >= 0 else { throw SystemError("write \(target)") }
          offset += written
        }
      }
    #else
      throw ImageError("this build cannot unpack gzip; unpack \(path) first")
    #endif
  }
}
