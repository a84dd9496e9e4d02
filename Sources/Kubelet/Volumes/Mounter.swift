import Glibc

/// Mounts file systems. A protocol because tests have no right to mount.
public protocol Mounter: Sendable {
  /// Mounts a file system of memory.
  func mountTmpfs(_ path: String, sizeBytes: Int64?) throws
  /// Mounts a directory or file at another place.
  func bind(_ source: String, _ target: String, readOnly: Bool) throws
  func unmount(_ path: String) throws
  func isMountPoint(_ path: String) -> Bool
}

/// The kernel's mounts.
public struct SystemMounter: Mounter {
  public init() {}

  public func mountTmpfs(_ path: String, sizeBytes: Int64?) throws {
    let options = sizeBytes.map { "mode=0777,size=\($0)" } ?? "mode=0777"
    guard mount("tmpfs", path, "tmpfs", 0, options) == 0 else { throw Files.failure("mount", path) }
  }

  public func bind(_ source: String, _ target: String, readOnly: Bool) throws {
    let bind = UInt(MS_BIND)
    guard mount(source, target, nil, bind, nil) == 0 else { throw Files.failure("mount", target) }
    guard readOnly else { return }
    guard mount(nil, target, nil, bind | UInt(MS_REMOUNT) | UInt(MS_RDONLY), nil) == 0 else {
      throw Files.failure("mount", target)
    }
  }

  public func unmount(_ path: String) throws {
    if umount2(path, Int32(MNT_DETACH)) != 0, errno != EINVAL, errno != ENOENT {
      throw Files.failure("unmount", path)
    }
  }

  public func isMountPoint(_ path: String) -> Bool {
    guard let own = Files.device(path), let above = Files.device(path + "/..") else { return false }
    return own != above
  }
}
