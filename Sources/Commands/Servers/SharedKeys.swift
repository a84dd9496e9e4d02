import ArgumentParser
import Logging
import PKI
import Storage

/// Brings the keys in a server's directory and those in the store that several servers share to one state: the first
/// server puts its own there, sealed with the server token, and every other takes them from there.
struct SharedKeys {
  static let key = "/apus/pki"

  let storage: any Storage
  let pki: ClusterPKI
  let tokenPath: String
  let logger: Logger

  /// Throws one clear error when the token is missing or wrong, or when the directory is of another cluster.
  func settle(given: String?) async throws {
    let kept = try AtomicFile.readText(tokenPath)?.filter { !$0.isWhitespace }
    var stored = try await storage.get(Self.key)?.value
    var token = given ?? kept
    if stored == nil {
      let own = token ?? ServerTokenOptions.random()
      token = own
      try pki.ensureAuthorities()
      // Written down before it is used: a token that nobody knows would lock everybody out.
      try AtomicFile.write(own + "\n", to: tokenPath)
      switch try await storage.put(Self.key, try pki.bundle().sealed(token: own), if: .absent, ttl: nil) {
      case .committed:
        logger.info("the cluster's keys are in the store; further servers join with the token in \(tokenPath)")
        return
      case .conflict(let current): stored = current?.value
      }
    }
    guard let stored else { throw ValidationError("the store changed under our hands: start again") }
    guard let token else {
      throw ValidationError(
        "the store has a cluster already: join it with --token, the secret in <data-dir>/server-token of its servers")
    }
    do {
      try pki.install(try PKIBundle(opening: stored, token: token))
    } catch PKIError.wrongToken {
      throw ValidationError("the store belongs to another cluster, or the token is wrong")
    } catch let error as PKIError {
      throw ValidationError("\(error)")
    }
    if kept != token { try AtomicFile.write(token + "\n", to: tokenPath) }
  }
}
