import APIMachinery
import Logging
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Writes events to a file, a line each, and begins a new one when it is full.
final class AuditFile: AuditBackend {
  /// What `--audit-log-*` say.
  struct Settings: Sendable {
    /// `-` is standard output.
    var path: String
    /// Megabytes; nothing is rotated at zero.
    var maxSize = 100
    /// How many old files are kept; all of them at zero.
    var maxBackups = 0
    /// How many days they are kept; for ever at zero.
    var maxAge = 0
    /// Upstream's old format, `key="value"`.
    var isLegacy = false
  }

  private struct State: Sendable {
    var descriptor: Int32 = -1
    var size = 0
  }
  private let settings: Settings
  private let state = Mutex(State())
  private let logger: Logger

  /// Throws where the file cannot be written.
  init(_ settings: Settings, logger: Logger) throws {
    self.settings = settings
    self.logger = logger
    try state.withLock { try open(&$0) }
  }

  private func open(_ state: inout State) throws {
    if settings.path == "-" {
      state.descriptor = STDOUT_FILENO
      return
    }
    let descriptor = Glibc.open(settings.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw AuditPolicy.Malformed(description: "cannot write \(settings.path): \(String(cString: strerror(errno)))")
    }
    state.descriptor = descriptor
    state.size = max(0, Int(lseek(descriptor, 0, SEEK_END)))
  }

  func write(_ event: JSONValue) {
    var line = settings.isLegacy ? Array(Self.legacy(event).utf8) : event.encoded()
    line.append(10)
    state.withLock { state in
      if settings.path != "-", settings.maxSize > 0, state.size + line.count > settings.maxSize << 20 { rotate(&state) }
      var rest = line[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(state.descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
          logger.error("audit event not written: \(String(cString: strerror(errno)))")
          return
        }
        rest = rest.dropFirst(count)
      }
      state.size += line.count
    }
  }

  /// `audit.log` becomes `audit-2026-01-02T03-04-05.000.log`.
  private func rotate(_ state: inout State) {
    let slash = settings.path.lastIndex(of: "/").map { settings.path.index(after: $0) } ?? settings.path.startIndex
    let file = settings.path[slash...]
    let dot = file.lastIndex(of: ".") ?? file.endIndex
    let stamp = MicroTime.now.description.dropLast(4).map { $0 == ":" ? "-" : $0 }
    let (stem, ending) = (String(settings.path[..<slash]) + file[..<dot] + "-", String(file[dot...]))
    Glibc.close(state.descriptor)
    if rename(settings.path, stem + String(stamp) + ending) != 0 {
      logger.error("audit log not rotated: \(String(cString: strerror(errno)))")
    }
    do { try open(&state) } catch { logger.error("\(error)") }
    state.size = 0
    prune(stem, ending)
  }

  private func prune(_ stem: String, _ ending: String) {
    let slash = stem.lastIndex(of: "/").map { stem.index(after: $0) } ?? stem.startIndex
    let directory = slash == stem.startIndex ? "." : String(stem[..<slash])
    let prefix = stem[slash...]
    guard let handle = opendir(directory) else { return }
    defer { closedir(handle) }
    var old: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix(prefix), name.hasSuffix(ending), name.count > prefix.count + ending.count { old.append(name) }
    }
    old.sort(by: >)
    let oldest = Time.now.adding(seconds: -Int64(settings.maxAge) * 86400).description.map { $0 == ":" ? "-" : $0 }
    for (index, name) in old.enumerated() {
      let stamp = name.dropFirst(prefix.count)
      let isTooMany = settings.maxBackups > 0 && index >= settings.maxBackups
      if isTooMany || (settings.maxAge > 0 && String(stamp) < String(oldest)) { unlink(directory + "/" + name) }
    }
  }

  static func legacy(_ event: JSONValue) -> String {
    func text(_ value: JSONValue?) -> String { value?.stringValue ?? "" }
    let user = event["user"]
    let groups = (user?["groups"]?.arrayValue ?? []).compactMap(\.stringValue).map { "\"\($0)\"" }
    let impersonated = event["impersonatedUser"]?["username"]?.stringValue ?? "<self>"
    let namespace = event["objectRef"]?["namespace"]?.stringValue ?? "<none>"
    let code = event["responseStatus"]?["code"]?.intValue.map { String($0) } ?? "<deferred>"
    let source = (event["sourceIPs"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ",")
    return
      "\(text(event["requestReceivedTimestamp"])) AUDIT: id=\"\(text(event["auditID"]))\" stage=\"\(text(event["stage"]))\" "
      + "ip=\"\(source)\" method=\"\(text(event["verb"]))\" user=\"\(text(user?["username"]))\" "
      + "groups=\"\(groups.joined(separator: ","))\" as=\"\(impersonated)\" "
      + "asgroups=\"\(event["impersonatedUser"] == nil ? "<lookup>" : "")\" user-agent=\(goQuoted(text(event["userAgent"]))) "
      + "namespace=\"\(namespace)\" uri=\"\(text(event["requestURI"]))\" response=\"\(code)\""
  }

  func run() async {}

  func close() async {
    state.withLock { state in
      if settings.path != "-", state.descriptor >= 0 {
        fsync(state.descriptor)
        Glibc.close(state.descriptor)
      }
      state.descriptor = -1
    }
  }
}
