import HTTP
import Synchronization

/// `/healthz`, `/livez` and `/readyz`, whole and by check.
final class HealthChecks: Sendable {
  private struct State {
    /// Checks in order, and whether each is passed.
    var checks: [(name: String, passed: Bool)] = [("ping", true), ("log", true), ("etcd", true)]
    var shuttingDown = false
  }
  private let state = Mutex(State())
  private static let endpoints = ["healthz", "livez", "readyz"]

  /// Adds a check that fails until it is finished.
  func begin(_ name: String) { set(name, false) }
  func finish(_ name: String) { set(name, true) }

  private func set(_ name: String, _ passed: Bool) {
    state.withLock { s in
      if let index = s.checks.firstIndex(where: { $0.name == name }) {
        s.checks[index].passed = passed
      } else {
        s.checks.append((name, passed))
      }
    }
  }

  /// From now on the server is alive but not ready.
  func shutDown() { state.withLock { $0.shuttingDown = true } }

  var paths: [String] {
    let names = state.withLock { $0.checks.map(\.name) }
    return Self.endpoints.flatMap { endpoint in ["/\(endpoint)"] + names.map { "/\(endpoint)/\($0)" } }
      + ["/readyz/shutdown"]
  }

  func answer(path: String, query: [(String, String)]) -> HTTPResponse? {
    let parts = path.dropFirst().split(separator: "/", maxSplits: 1)
    guard let endpoint = parts.first, Self.endpoints.contains(String(endpoint)) else { return nil }
    let (known, stopping) = state.withLock { ($0.checks, $0.shuttingDown) }
    var checks = known
    if endpoint == "readyz" { checks.append(("shutdown", !stopping)) }
    if parts.count == 2 {
      guard let check = checks.first(where: { $0.name == parts[1] }) else {
        return textResponse(404, "404 page not found\n")
      }
      return check.passed
        ? textResponse(200, "ok") : textResponse(500, "internal server error: \(check.name) has not finished\n")
    }
    let excluded = query.filter { $0.0 == "exclude" }.map(\.1)
    var lines: [String] = []
    var failed: [String] = []
    for check in checks {
      if excluded.contains(check.name) {
        lines.append("[+]\(check.name) excluded: ok")
      } else if check.passed {
        lines.append("[+]\(check.name) ok")
      } else {
        failed.append(check.name)
        lines.append("[-]\(check.name) failed: reason withheld")
      }
    }
    let unknown = excluded.filter { name in !checks.contains { $0.name == name } }
    if !unknown.isEmpty {
      let names = unknown.map { "\"\($0)\"" }.joined(separator: ",")
      lines.append("warn: some health checks cannot be excluded: no matches for \(names)")
    }
    guard failed.isEmpty else {
      return textResponse(500, lines.joined(separator: "\n") + "\n\(endpoint) check failed\n")
    }
    guard query.contains(where: { $0.0 == "verbose" }) else { return textResponse(200, "ok") }
    return textResponse(200, lines.joined(separator: "\n") + "\n\(endpoint) check passed\n")
  }
}
