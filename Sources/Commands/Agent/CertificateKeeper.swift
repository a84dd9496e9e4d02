import API
import Client
import Logging
import PKI

/// Renews the node's certificates while the agent runs, and tells who uses them.
struct CertificateKeeper: Sendable {
  let store: AgentStore
  let requester: CertificateRequester
  let transport: HTTPTransport
  /// What the kubelet is reached by.
  let addresses: [String]
  let logger: Logger
  /// Long waits are cut into pieces of this length: a machine that slept wakes up late otherwise.
  private static let longestSleep: Int64 = 600

  /// Keeps both until cancelled.
  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await keep(.client) }
      group.addTask { await keep(.serving) }
    }
    try Task.checkCancellation()
  }

  private func keep(_ pair: AgentStore.Pair) async {
    var delay = 1.0
    while !Task.isCancelled {
      if let due = due(pair) {
        let left = due.seconds - Time.now.seconds
        if left > 0 {
          try? await Task.sleep(for: .seconds(min(left, Self.longestSleep)))
          continue
        }
      }
      do {
        try await renew(pair)
        delay = 1
      } catch is CancellationError {
        return
      } catch {
        logger.warning(
          "renewing a certificate failed", metadata: ["certificate": "\(pair.rawValue)", "error": "\(error)"])
        try? await Task.sleep(for: .seconds(delay))
        delay = min(delay * 2, 60)
      }
    }
  }

  /// When a certificate must be renewed; nil: now.
  private func due(_ pair: AgentStore.Pair) -> Time? {
    guard let found = store.pair(pair), let info = try? CertificateInfo(pem: found.certificatePEM),
      info.commonName == "system:node:\(requester.nodeName)"
    else { return nil }
    // The kubelet needs one that clients can verify, for the addresses that the node has today.
    if pair == .serving, Set(info.ipAddresses) != Set(addresses) { return nil }
    // The same fraction each time the question is asked of the same certificate.
    let digits = info.serialNumber.utf8.suffix(4).reduce(0) { $0 * 31 + Int($1) }
    return CertificateRenewal.time(info, fraction: Double(digits % 1000) / 1000)
  }

  private func renew(_ pair: AgentStore.Pair) async throws {
    let issued: IssuedCertificate
    switch pair {
    case .client:
      issued = try await requester.clientCertificate()
      try store.save(issued, as: .client)
      transport.setClientCertificate(Array(issued.certificatePEM.utf8), key: Array(issued.privateKeyPEM.utf8))
    case .serving:
      issued = try await requester.servingCertificate(addresses: addresses)
      try store.save(issued, as: .serving)
    }
    let end = (try? CertificateInfo(pem: issued.certificatePEM).notAfter).map { "\($0)" } ?? ""
    logger.info("got a certificate", metadata: ["certificate": "\(pair.rawValue)", "valid until": "\(end)"])
  }
}
