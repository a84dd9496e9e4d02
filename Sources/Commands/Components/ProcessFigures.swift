import Glibc

/// The process's own figures, under the names that Prometheus clients use everywhere.
enum ProcessFigures {
  /// RUSAGE_SELF, which Glibc's module shows as a type that its function does not take.
  private static let own: __rusage_who_t = 0

  static func text() -> String {
    var usage = rusage()
    getrusage(Self.own, &usage)
    let seconds =
      Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    let pages = contents("/proc/self/statm").split(separator: " ").compactMap { Int($0) }
    let size = Int(getpagesize())
    return """
      # HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
      # TYPE process_cpu_seconds_total counter
      process_cpu_seconds_total \(seconds)
      # HELP process_resident_memory_bytes Resident memory size in bytes.
      # TYPE process_resident_memory_bytes gauge
      process_resident_memory_bytes \((pages.count > 1 ? pages[1] : 0) * size)
      # HELP process_virtual_memory_bytes Virtual memory size in bytes.
      # TYPE process_virtual_memory_bytes gauge
      process_virtual_memory_bytes \((pages.first ?? 0) * size)

      """
  }

  private static func contents(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}
