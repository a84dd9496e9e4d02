/// What a machine can do, as far as running containers goes. Found out, never assumed.
public struct Machine: Sendable, Hashable {
  /// How control groups are laid out.
  public enum CgroupLayout: String, Sendable {
    /// All controllers on v1, each in a hierarchy of its own.
    case v1
    /// Controllers on v1, and a v2 hierarchy beside them.
    case hybrid
    /// Everything on v2.
    case v2
  }

  /// The layout under /sys/fs/cgroup.
  public var cgroups: CgroupLayout
  /// systemd is the init process, so that it manages the control groups.
  public var hasSystemd: Bool
  /// AppArmor is enabled and its parser installed.
  public var hasAppArmor: Bool
  /// A process may make itself or another less likely to be killed when memory runs out.
  public var canLowerOOMScore: Bool
  /// The hugetlb controller is there.
  public var hasHugeTLB: Bool
  /// The kernel's release.
  public var kernel: String
  /// Bridged packets pass netfilter.
  public var hasBridgeNetfilter: Bool
  /// overlayfs can be mounted.
  public var hasOverlay: Bool

  /// Looks at the machine. `root` is "/" except in tests.
  public static func detect(root: String = "/") -> Machine {
    let root = root.hasSuffix("/") ? String(root.dropLast()) : root
    func exists(_ path: String) -> Bool { FileSystem.exists(root + path) }
    let layout: CgroupLayout =
      if exists("/sys/fs/cgroup/cgroup.controllers") { .v2 } else if exists("/sys/fs/cgroup/unified/cgroup.controllers")
      {
        .hybrid
      } else { .v1 }
    let v2Controllers =
      FileSystem.text(root + "/sys/fs/cgroup/cgroup.controllers")
      ?? FileSystem.text(root + "/sys/fs/cgroup/unified/cgroup.controllers") ?? ""
    return Machine(
      cgroups: layout,
      hasSystemd: exists("/run/systemd/system"),
      hasAppArmor: FileSystem.text(root + "/sys/module/apparmor/parameters/enabled") == "Y"
        && (exists("/sbin/apparmor_parser") || exists("/usr/sbin/apparmor_parser")),
      canLowerOOMScore: hasResourceCapability(root) && !isInUserNamespace(root),
      hasHugeTLB: layout == .v2
        ? v2Controllers.split(separator: " ").contains("hugetlb") : exists("/sys/fs/cgroup/hugetlb"),
      kernel: FileSystem.text(root + "/proc/sys/kernel/osrelease") ?? "",
      hasBridgeNetfilter: exists("/proc/sys/net/bridge/bridge-nf-call-iptables"),
      hasOverlay: (FileSystem.text(root + "/proc/filesystems") ?? "").split(separator: "\n").contains {
        $0.split(whereSeparator: \.isWhitespace).last == "overlay"
      })
  }

  /// CAP_SYS_RESOURCE among the effective capabilities.
  private static func hasResourceCapability(_ root: String) -> Bool {
    let status = FileSystem.text(root + "/proc/self/status") ?? ""
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
      let mask = UInt64(line.dropFirst(7).drop { $0.isWhitespace }, radix: 16)
    else { return false }
    return mask & (1 << 24) != 0
  }

  /// In a user namespace the capability counts only for what belongs to it.
  private static func isInUserNamespace(_ root: String) -> Bool {
    guard let map = FileSystem.text(root + "/proc/self/uid_map") else { return false }
    return map.split(whereSeparator: \.isWhitespace).map(String.init) != ["0", "0", "4294967295"]
  }
}
