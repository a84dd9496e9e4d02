import Glibc
public import Linux

/// Mounts of the machine that running pods depends on.
public enum Mounts {
  private static let bind: UInt = 4096
  private static let recursive: UInt = 16384
  private static let shared: UInt = 1 << 20

  /// Makes `path` a mount point whose mounts appear in other mount namespaces too, and creates it if it is missing.
  ///
  /// For `/run/netns` this has to be done before the first network namespace is made there: `ip netns add` mounts the
  /// directory onto itself, and the namespaces of pods that were there before could no longer be removed.
  public static func makeShared(_ path: String) throws(SystemError) {
    try FileSystem.makeDirectory(path)
    if mount("none", path, nil, shared | recursive, nil) == 0 { return }
    guard errno == EINVAL else { throw SystemError("make \(path) a shared mount") }
    guard mount(path, path, nil, bind | recursive, nil) == 0 else { throw SystemError("mount \(path) on itself") }
    guard mount("none", path, nil, shared | recursive, nil) == 0 else {
      throw SystemError("make \(path) a shared mount")
    }
  }

  /// The directory in which runtimes keep pods' network namespaces.
  static var networkNamespaces: String {
    guard let resolved = realpath("/var/run", nil) else { return "/run/netns" }
    defer { free(resolved) }
    return String(cString: resolved) + "/netns"
  }

  /// Every mount point below a directory, innermost first.
  static func below(_ directory: String, table: String? = FileSystem.text("/proc/self/mountinfo")) -> [String] {
    let points = (table ?? "").split(separator: "\n").compactMap { line -> String? in
      let fields = line.split(separator: " ")
      return fields.count > 4 ? unescape(String(fields[4])) : nil
    }
    return points.filter { $0.hasPrefix(directory + "/") }.reversed()
  }

  /// Unmounts everything below a directory, lazily: what is in use goes when its user does.
  public static func unmountAll(below directory: String) {
    for point in below(directory) { umount2(point, 2 /* MNT_DETACH */) }
  }

  private static func unescape(_ text: String) -> String {
    guard text.contains("\\") else { return text }
    var out: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == 0x5c, rest.count >= 3, let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
        out.append(value)
        rest = rest.dropFirst(3)
      } else {
        out.append(byte)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
