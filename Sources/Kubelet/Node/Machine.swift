import API
import Glibc

/// What this machine is.
struct Machine: Sendable {
  var cores: Int
  var memory: Int64
  var machineID: String
  var systemUUID: String
  var bootID: String
  var kernel: String
  var osImage: String
  var architecture: String
  var hostname: String
  var hugePages: [String: Int64]

  /// Asks the kernel.
  static func read() -> Machine {
    var name = utsname()
    uname(&name)
    return Machine(
      cores: max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1), memory: memory("MemTotal"),
      machineID: first(["/etc/machine-id", "/var/lib/dbus/machine-id"]),
      systemUUID: first(["/sys/class/dmi/id/product_uuid", "/etc/machine-id"]),
      bootID: first(["/proc/sys/kernel/random/boot_id"]), kernel: text(name.release), osImage: osImage(),
      architecture: goArchitecture(text(name.machine)), hostname: text(name.nodename), hugePages: hugePages())
  }

  /// A line of `/proc/meminfo` in bytes.
  static func memory(_ key: String) -> Int64 {
    for line in ((try? Files.text("/proc/meminfo")) ?? "").split(separator: "\n") where line.hasPrefix("\(key):") {
      return (line.split(separator: " ").dropFirst().first.flatMap { Int64($0) } ?? 0) * 1024
    }
    return 0
  }

  /// Size and free bytes, inodes and free inodes of the file system at a path.
  static func fileSystem(_ path: String) -> (size: Int64, free: Int64, inodes: Int64, inodesFree: Int64)? {
    var info = statvfs()
    guard statvfs(path, &info) == 0 else { return nil }
    let block = Int64(info.f_frsize)
    return (
      Int64(info.f_blocks) * block, Int64(info.f_bavail) * block, Int64(info.f_files), Int64(info.f_ffree)
    )
  }

  private static func first(_ paths: [String]) -> String {
    for path in paths {
      if let text = try? Files.text(path) {
        let line = text.prefix { !$0.isNewline }
        if !line.isEmpty { return String(line) }
      }
    }
    return ""
  }

  private static func osImage() -> String {
    for line in ((try? Files.text("/etc/os-release")) ?? "").split(separator: "\n") where line.hasPrefix("PRETTY_NAME=")
    {
      return String(line.dropFirst("PRETTY_NAME=".count)).filter { $0 != "\"" }
    }
    return "Unknown"
  }

  private static func goArchitecture(_ machine: String) -> String {
    switch machine {
    case "x86_64": "amd64"
    case "aarch64": "arm64"
    case "armv7l": "arm"
    default: machine
    }
  }

  private static func hugePages() -> [String: Int64] {
    var out: [String: Int64] = [:]
    for name in (try? Files.list("/sys/kernel/mm/hugepages")) ?? [] {
      guard name.hasPrefix("hugepages-"), name.hasSuffix("kB"), let kib = Int64(name.dropFirst(10).dropLast(2)) else {
        continue
      }
      let count = (try? Files.text("/sys/kernel/mm/hugepages/\(name)/nr_hugepages")).flatMap {
        Int64($0.filter(\.isNumber))
      }
      let size = kib >= 1 << 20 ? "\(kib >> 20)Gi" : "\(kib >> 10)Mi"
      out["hugepages-\(size)"] = (count ?? 0) * kib * 1024
    }
    return out
  }

  private static func text<T>(_ field: T) -> String {
    withUnsafeBytes(of: field) { raw in String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
