import Glibc
import Linux

/// A process that may be our child or one that an earlier run of the server left behind. The time it started tells it
/// from a later process with the same number.
struct EngineProcess: Sendable, Hashable {
  let pid: pid_t
  let startTime: UInt64

  /// The process with this number, if it lives.
  init?(pid: pid_t) {
    guard pid > 1, let start = EngineProcess.startTime(of: pid) else { return nil }
    self.pid = pid
    startTime = start
  }

  /// The process a file written by `save` names, if it still lives.
  init?(file: String) {
    let parts = (FileSystem.text(file) ?? "").split(separator: " ")
    guard parts.count == 2, let pid = pid_t(parts[0]), let start = UInt64(parts[1]),
      let process = EngineProcess(pid: pid), process.startTime == start
    else { return nil }
    self = process
  }

  func save(to file: String) throws {
    try FileSystem.write(Array("\(pid) \(startTime)\n".utf8), to: file, mode: 0o600)
  }

  var isAlive: Bool {
    var status: Int32 = 0
    // Buries it when it was our child and has ended.
    if waitpid(pid, &status, WNOHANG) == pid { return false }
    return EngineProcess.startTime(of: pid) == startTime
  }

  func signal(_ number: Int32) {
    if isAlive { kill(pid, number) }
  }

  /// Waits for the end; false when it still lives after the timeout.
  func waitForEnd(_ timeout: Duration) async -> Bool {
    let deadline = ContinuousClock.now + timeout
    while isAlive {
      if ContinuousClock.now > deadline { return false }
      // A cancelled caller must not spin; it leaves with what it knows.
      do { try await Task.sleep(for: .milliseconds(10)) } catch { return !isAlive }
    }
    return true
  }

  /// SIGTERM, and SIGKILL when that does not help.
  func terminate() async {
    signal(SIGTERM)
    if await waitForEnd(.seconds(10)) { return }
    signal(SIGKILL)
    _ = await waitForEnd(.seconds(5))
  }

  private static func startTime(of pid: pid_t) -> UInt64? {
    guard let text = FileSystem.text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    // Field 22 of proc(5); the first two are before the parenthesis. A zombie is not alive.
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
    return UInt64(fields[19])
  }
}
