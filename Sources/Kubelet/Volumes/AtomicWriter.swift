import API
import Glibc

/// A file of a volume that is made of API objects.
struct ProjectedFile: Sendable, Equatable {
  var data: [UInt8]
  var mode: UInt32
  /// Who owns the file, when not root.
  var user: UInt32?
}

/// Replaces all files of a directory at once: readers see the old set or the new one, never a mixture.
///
/// The files lie in a directory named after the time, `..data` links to it, and a link per top-level name leads
/// through `..data`. A change is a new directory and one rename.
struct AtomicWriter: Sendable {
  let directory: String

  /// Writes the files; true when something changed. `prepare` sees the new directory before anybody else does.
  @discardableResult
  func write(_ files: [String: ProjectedFile], stamp: String, prepare: (String) throws -> Void = { _ in }) throws
    -> Bool
  {
    for path in files.keys { try Self.validate(path) }
    let dataLink = "\(directory)/..data"
    let oldName = Files.readLink(dataLink)
    let oldDirectory = oldName.map { "\(directory)/\($0)" }
    if let oldDirectory, try matches(oldDirectory, files) {
      try linkNames(files)
      return false
    }
    let newName = "..\(stamp)"
    let newDirectory = "\(directory)/\(newName)"
    try Files.removeTree(newDirectory)
    try Files.makeDirectories(newDirectory)
    try Files.chmod(newDirectory, 0o755)
    for (path, file) in files {
      let target = "\(newDirectory)/\(path)"
      try Files.makeDirectories(Files.directory(of: target))
      try Files.write(target, file.data, mode: file.mode)
      if let user = file.user { try Files.chown(target, user: user, group: nil) }
    }
    try prepare(newDirectory)
    let temporary = "\(directory)/..data_tmp"
    try Files.remove(temporary)
    try Files.symlink(newName, at: temporary)
    try Files.rename(temporary, dataLink)
    try linkNames(files)
    try removeStaleNames(files)
    if let oldDirectory, oldName != newName { try Files.removeTree(oldDirectory) }
    return true
  }

  private func matches(_ old: String, _ files: [String: ProjectedFile]) throws -> Bool {
    var seen: Set<String> = []
    func walk(_ prefix: String) throws -> Bool {
      for name in try Files.list(prefix.isEmpty ? old : "\(old)/\(prefix)") {
        let path = prefix.isEmpty ? name : "\(prefix)/\(name)"
        if try Files.kind("\(old)/\(path)", followLinks: false) == .directory {
          guard try walk(path) else { return false }
        } else {
          guard let file = files[path], try Files.read("\(old)/\(path)") == file.data else { return false }
          seen.insert(path)
        }
      }
      return true
    }
    guard try Files.kind(old) == .directory, try walk("") else { return false }
    return seen.count == files.count
  }

  private func topNames(_ files: [String: ProjectedFile]) -> Set<String> {
    Set(files.keys.map { String($0.prefix { $0 != "/" }) })
  }

  private func linkNames(_ files: [String: ProjectedFile]) throws {
    for name in topNames(files) where Files.readLink("\(directory)/\(name)") == nil {
      try Files.symlink("..data/\(name)", at: "\(directory)/\(name)")
    }
  }

  private func removeStaleNames(_ files: [String: ProjectedFile]) throws {
    let wanted = topNames(files)
    for name in try Files.list(directory) where !name.hasPrefix("..") && !wanted.contains(name) {
      if Files.readLink("\(directory)/\(name)")?.hasPrefix("..data/") == true {
        try Files.remove("\(directory)/\(name)")
      }
    }
  }

  /// Refuses paths that would leave the volume or hide our own names.
  static func validate(_ path: String) throws {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    if path.isEmpty || path.hasPrefix("/") || parts.contains("..") || parts.contains("") || path.hasPrefix("..")
      || path.utf8.count > 4096
    {
      throw ContainerConfigError(description: "invalid path: must be a relative path inside the volume: \(path)")
    }
  }
}

/// Gives a tree to a group, as `fsGroup` asks.
enum Ownership {
  static func apply(_ path: String, group: Int64, readOnly: Bool) throws {
    guard let kind = try Files.kind(path, followLinks: false) else { return }
    try Files.chown(path, user: nil, group: UInt32(truncatingIfNeeded: group))
    switch kind {
    case .directory:
      for name in try Files.list(path) { try apply("\(path)/\(name)", group: group, readOnly: readOnly) }
      try Files.chmod(path, try Files.mode(path) | (readOnly ? 0o440 : 0o660) | 0o110 | 0o2000)
    case .link: break
    default: try Files.chmod(path, try Files.mode(path) | (readOnly ? 0o440 : 0o660))
    }
  }

  /// Whether the top of a tree already belongs to the group (`fsGroupChangePolicy: OnRootMismatch`).
  static func rootMatches(_ path: String, group: Int64) -> Bool {
    var info = stat()
    guard lstat(path, &info) == 0 else { return false }
    let wanted: UInt32 = 0o660 | 0o110 | 0o2000
    return info.st_gid == UInt32(truncatingIfNeeded: group) && info.st_mode & wanted == wanted
  }
}
