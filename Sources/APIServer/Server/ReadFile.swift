#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A whole file, for what is read at start or is small; nil when it cannot be read.
func readWholeFile(_ path: String) -> [UInt8]? {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var result: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 8192)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    if count < 0 { return nil }
    if count == 0 { return result }
    result += buffer[..<count]
  }
}
