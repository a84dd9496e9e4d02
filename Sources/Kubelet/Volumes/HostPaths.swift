import API

/// Checks what stands at a host path, and makes it where its type says so.
enum HostPaths {
  static func prepare(_ source: HostPathVolumeSource) throws {
    let path = source.path
    let kind = try Files.kind(path)
    switch source.type ?? "" {
    case "": break
    case "DirectoryOrCreate":
      if kind == nil {
        try Files.makeDirectories(path)
      } else if kind != .directory {
        throw failure(path, "a directory")
      }
    case "FileOrCreate":
      if kind == nil {
        try Files.write(path, [], mode: 0o644)
      } else if kind != .file {
        throw failure(path, "a file")
      }
    case "Directory": if kind != .directory { throw failure(path, "a directory") }
    case "File": if kind != .file { throw failure(path, "a file") }
    case "Socket": if kind != .socket { throw failure(path, "a socket file") }
    case "CharDevice": if kind != .characterDevice { throw failure(path, "a character device") }
    case "BlockDevice": if kind != .blockDevice { throw failure(path, "a block device") }
    default: throw ContainerConfigError(description: "\(source.type ?? "") is an invalid volume type")
    }
  }

  private static func failure(_ path: String, _ what: String) -> ContainerConfigError {
    ContainerConfigError(description: "hostPath type check failed: \(path) is not \(what)")
  }
}
