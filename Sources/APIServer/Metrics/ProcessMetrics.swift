#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// The `process_*` series that every Prometheus client has.
enum ProcessMetrics {
  static func write(to text: inout String) {
    let stat = fields(of: "/proc/self/stat")
    // After the command, which may hold spaces: utime is the 12th field, stime the 13th, starttime the 20th, vsize and
    // rss the 21st and 22nd.
    guard stat.count > 21 else { return }
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK))), page = Double(sysconf(Int32(_SC_PAGESIZE)))
    func number(_ index: Int) -> Double { Double(stat[index]) ?? 0 }
    gauge("process_cpu_seconds_total", "counter", (number(11) + number(12)) / ticks)
    gauge("process_resident_memory_bytes", "gauge", number(21) * page)
    gauge("process_virtual_memory_bytes", "gauge", number(20))
    gauge("process_start_time_seconds", "gauge", bootTime() + number(19) / ticks)
    gauge("process_open_fds", "gauge", Double(openDescriptors()))
    var limit = rlimit()
    // The constant's type differs between C libraries.
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      gauge("process_max_fds", "gauge", Double(limit.rlim_cur))
    }

    func gauge(_ name: String, _ type: String, _ value: Double) {
      text += "# TYPE \(name) \(type)\n\(name) \(value)\n"
    }
  }

  private static func fields(of path: String) -> [Substring] {
    guard let content = read(path), let end = content.lastIndex(of: ")") else { return [] }
    return content[content.index(after: end)...].split(separator: " ")
  }

  private static func bootTime() -> Double {
    for line in (read("/proc/stat") ?? "").split(separator: "\n") where line.hasPrefix("btime ") {
      return Double(line.dropFirst(6)) ?? 0
    }
    return 0
  }

  private static func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = -3  // itself, "." and ".."
    while readdir(directory) != nil { count += 1 }
    return max(0, count)
  }

  private static func read(_ path: String) -> String? {
    readWholeFile(path).map { String(decoding: $0, as: UTF8.self) }
  }
}
