import APIMachinery
import Synchronization

/// Counts who was let in and what was decided, in upstream's names.
final class AccessMetrics: Sendable {
  enum Configuration: String, CaseIterable { case authentication, authorization }

  /// Names of users that upstream's metric tells apart.
  private static let users = [
    "admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default", "email_id", "other",
  ]
  private struct State {
    var users = [UInt64](repeating: 0, count: AccessMetrics.users.count)
    var authenticationFailures: UInt64 = 0
    var denied: UInt64 = 0
    var failed: UInt64 = 0
    var reloads: [Configuration: (success: UInt64, failure: UInt64, lastSuccess: Double, lastFailure: Double)] = [:]
  }
  private let state = Mutex(State())

  /// A request that may go on.
  func count(_ user: String) {
    let index = Self.users.firstIndex(of: user) ?? Self.users.count - (user.utf8.contains(UInt8(ascii: "@")) ? 2 : 1)
    state.withLock { $0.users[index] += 1 }
  }

  /// A request that may not.
  func count(refusal status: Int) {
    state.withLock { state in
      switch status {
      case 401: state.authenticationFailures += 1
      case 403: state.denied += 1
      default: state.failed += 1
      }
    }
  }

  /// Runs and counts what takes over a configuration file.
  func counting(_ configuration: Configuration, _ body: () throws -> Void) throws {
    let result = Result { try body() }
    let now = Double(Time.now.seconds)
    state.withLock { state in
      var counts = state.reloads[configuration] ?? (0, 0, 0, 0)
      if case .success = result {
        counts.success += 1
        counts.lastSuccess = now
      } else {
        counts.failure += 1
        counts.lastFailure = now
      }
      state.reloads[configuration] = counts
    }
    try result.get()
  }

  func write(to text: inout String) {
    let state = state.withLock { $0 }
    let admitted = state.users.reduce(0, +)
    // Who was refused later had been authenticated.
    let authenticated = admitted + state.denied + state.failed
    text += "# HELP authenticated_user_requests [ALPHA] Counter of authenticated requests broken out by username.\n"
    text += "# TYPE authenticated_user_requests counter\n"
    for (name, count) in zip(Self.users, state.users) where count > 0 {
      text += "authenticated_user_requests{username=\"\(name)\"} \(count)\n"
    }
    text += "# HELP authentication_attempts [ALPHA] Counter of authenticated attempts.\n"
    text += "# TYPE authentication_attempts counter\n"
    text += "authentication_attempts{result=\"failure\"} \(state.authenticationFailures)\n"
    text += "authentication_attempts{result=\"success\"} \(authenticated)\n"
    text +=
      "# HELP authorization_attempts_total [ALPHA] Counter of authorization attempts broken down by result. It can "
    text += "be either 'allowed', 'denied', 'no-opinion' or 'error'.\n"
    text += "# TYPE authorization_attempts_total counter\n"
    text += "authorization_attempts_total{result=\"allowed\"} \(admitted)\n"
    text += "authorization_attempts_total{result=\"error\"} \(state.failed)\n"
    text += "authorization_attempts_total{result=\"no-opinion\"} \(state.denied)\n"
    for configuration in Configuration.allCases {
      guard let counts = state.reloads[configuration] else { continue }
      let name = "apiserver_\(configuration)_config_controller_automatic_reload"
      text += "# HELP \(name)s_total [BETA] Total number of automatic reloads of \(configuration) configuration split "
      text += "by status and apiserver identity.\n# TYPE \(name)s_total counter\n"
      text += "\(name)s_total{status=\"failure\"} \(counts.failure)\n"
      text += "\(name)s_total{status=\"success\"} \(counts.success)\n"
      text += "# HELP \(name)_last_timestamp_seconds [BETA] Timestamp of the last automatic reload of "
      text += "\(configuration) configuration split by status and apiserver identity.\n"
      text += "# TYPE \(name)_last_timestamp_seconds gauge\n"
      if counts.lastFailure > 0 { text += "\(name)_last_timestamp_seconds{status=\"failure\"} \(counts.lastFailure)\n" }
      if counts.lastSuccess > 0 { text += "\(name)_last_timestamp_seconds{status=\"success\"} \(counts.lastSuccess)\n" }
    }
  }
}
