import APIServer
import Logging
import PKI

/// Renews a running server's certificates before they end, and serves new connections with the new ones.
struct ServerCertificates: Sendable {
  let pki: ClusterPKI
  let identity: ClusterPKI.Identity
  let server: APIServer
  let logger: Logger

  /// Looks twice a day until the task is cancelled.
  func run() async throws {
    while true {
      try await Task.sleep(for: .seconds(12 * 3600))
      do { try renew() } catch {
        logger.error("certificates cannot be renewed", metadata: ["error": "\(error)"])
      }
    }
  }

  func renew() throws {
    let changed = try pki.ensure(identity)
    guard !changed.isEmpty else { return }
    logger.info("certificates renewed", metadata: ["names": "\(changed.map(\.rawValue))"])
    guard changed.contains(.apiserver) else { return }
    let pair = try pki.pair(.apiserver)
    try server.reload(servingCertificatePEM: pair.certificatePEM, servingKeyPEM: pair.privateKeyPEM)
  }
}
