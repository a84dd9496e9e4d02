import Glibc
import HTTP
import Storage
import Synchronization

/// `/healthz`, `/livez` and `/readyz`, whole and by check.
final class HealthChecks: Sendable {
  /// How a check finds out.
  private enum Check {
    /// Somebody says so.
    case flag(Bool)
    /// It looks; what it throws is the reason.
    case probe(@Sendable () async throws -> Void)
  }

  private struct State {
    /// In the order of the answer. Those of the second list count for readiness only.
    var checks: [(name: String, check: Check)]
    var readiness: [(name: String, check: Check)]
    var shuttingDown = false
  }

  private let state: Mutex<State>
  private static let endpoints = ["healthz", "livez", "readyz"]

  init(storage: any Storage) {
    let log = LogCheck()
    let store = StoreCheck(storage: storage)
    state = Mutex(
      State(
        checks: [
          ("ping", .flag(true)), ("log", .probe { try await log.check() }),
          ("etcd", .probe { try await store.check() }),
        ],
        readiness: [("etcd-readiness", .probe { try await store.check() })]))
  }

  /// Adds a check that fails until it is finished.
  func begin(_ name: String) { set(name, false) }
  func finish(_ name: String) { set(name, true) }

  private func set(_ name: String, _ passed: Bool) {
    state.withLock { s in
      if let index = s.checks.firstIndex(where: { $0.name == name }) {
        s.checks[index].check = .flag(passed)
      } else {
        s.checks.append((name, .flag(passed)))
      }
    }
  }

  /// From now on the server is alive but not ready.
  func shutDown() { state.withLock { $0.shuttingDown = true } }

  var paths: [String] {
    let (names, more) = state.withLock { ($0.checks.map(\.name), $0.readiness.map(\.name)) }
    return Self.endpoints.flatMap { endpoint in ["/\(endpoint)"] + names.map { "/\(endpoint)/\($0)" } }
      + more.map { "/readyz/\($0)" } + ["/readyz/shutdown"]
  }

  /// Whether a path asks for health.
  static func handles(_ path: String) -> Bool {
    path.dropFirst().split(separator: "/", maxSplits: 1).first.map { endpoints.contains(String($0)) } ?? false
  }

  func answer(path: String, query: [(String, String)]) async -> HTTPResponse? {
    let parts = path.dropFirst().split(separator: "/", maxSplits: 1)
    guard let endpoint = parts.first, Self.endpoints.contains(String(endpoint)) else { return nil }
    let (known, readiness, stopping) = state.withLock { ($0.checks, $0.readiness, $0.shuttingDown) }
    var checks = known
    if endpoint == "readyz" {
      // Upstream's order: what the store says stands together.
      checks.insert(contentsOf: readiness, at: min(3, checks.count))
      checks.append(("shutdown", .flag(!stopping)))
    }
    if parts.count == 2 {
      guard let check = checks.first(where: { $0.name == parts[1] }) else {
        return textResponse(404, "404 page not found\n")
      }
      guard let problem = await Self.problem(check.name, check.check) else { return textResponse(200, "ok") }
      return textResponse(500, "internal server error: \(problem)\n")
    }
    let excluded = query.filter { $0.0 == "exclude" }.map(\.1)
    var lines: [String] = []
    var failed = false
    for (name, check) in checks {
      if excluded.contains(name) {
        lines.append("[+]\(name) excluded: ok")
      } else if await Self.problem(name, check) == nil {
        lines.append("[+]\(name) ok")
      } else {
        failed = true
        lines.append("[-]\(name) failed: reason withheld")
      }
    }
    let unknown = excluded.filter { name in !checks.contains { $0.name == name } }
    if !unknown.isEmpty {
      let names = unknown.map { "\"\($0)\"" }.joined(separator: ",")
      lines.append("warn: some health checks cannot be excluded: no matches for \(names)")
    }
    guard !failed else {
      return textResponse(500, lines.joined(separator: "\n") + "\n\(endpoint) check failed\n")
    }
    guard query.contains(where: { $0.0 == "verbose" }) else { return textResponse(200, "ok") }
    return textResponse(200, lines.joined(separator: "\n") + "\n\(endpoint) check passed\n")
  }

  private static func problem(_ name: String, _ check: Check) async -> String? {
    switch check {
    case .flag(let passed): return passed ? nil : "\(name) has not finished"
    case .probe(let probe):
      do { try await probe() } catch { return "\(error)" }
      return nil
    }
  }
}

/// Asks the store whether it answers, at most twice a second, and not longer than two seconds.
private actor StoreCheck {
  private let storage: any Storage
  private var last: (at: ContinuousClock.Instant, result: Result<Void, any Error>)?
  private var running: Task<Void, any Error>?

  init(storage: any Storage) { self.storage = storage }

  func check() async throws {
    if let last, .now - last.at < .milliseconds(500) { return try last.result.get() }
    if let running { return try await running.value }
    // One question for all who ask at the moment; it must not end with the request of the first of them.
    let task = Task { [storage] in try await storage.checkHealth() }
    running = task
    let result = await task.result
    running = nil
    last = (.now, result)
    try result.get()
  }
}

/// Whether what is logged gets out: a thread of its own flushes the log's stream every minute, and a stream that takes
/// nothing any more blocks it.
private final class LogCheck: Sendable {
  private struct Blocked: Error, CustomStringConvertible {
    var description: String { "logging blocked" }
  }

  private let verified = Mutex<ContinuousClock.Instant?>(nil)

  func check() async throws {
    let (start, last) = verified.withLock { verified in
      let first = verified == nil
      if first { verified = .now }
      return (first, verified ?? .now)
    }
    if start { flushForEver() }
    guard .now - last < .seconds(120) else { throw Blocked() }
  }

  private func flushForEver() {
    // It lives as long as the check, and one minute more.
    Task.detached { [weak self] in
      while let check = self {
        fflush(nil)
        check.verified.withLock { $0 = .now }
        try? await Task.sleep(for: .seconds(60))
      }
    }
  }
}
