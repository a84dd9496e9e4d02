import APIMachinery
import HTTP
import PKI
import Synchronization

/// Names users by their client certificates: CN is the user, O are the groups.
///
/// The chain is verified once, during the handshake, and the user read once a connection; again when the authorities
/// have changed.
struct CertificateAuthenticator: Authenticator {
  let authorities: TrustedAuthorities
  private let now: @Sendable () -> Time
  /// Set where the handshake accepts certificates of other authorities as well: each must be looked at again.
  var sharesHandshake = false

  /// Trusts the certificates of a PEM bundle.
  init(authoritiesPEM: String, now: @escaping @Sendable () -> Time = { .now }) throws {
    authorities = try TrustedAuthorities(authoritiesPEM)
    self.now = now
  }

  /// Whether a chain (DER, leaf first) leads to one of the authorities and may identify a client.
  func verify(_ chain: [[UInt8]]) -> Bool {
    guard let leaf = chain.first, Self.allowsClients(leaf), let certificate = try? CertificateInfo(der: leaf) else {
      return false
    }
    let time = now()
    guard certificate.isValid(at: time) else { return false }
    let authorities = authorities.current
    var current = certificate
    var intermediates = chain.dropFirst().prefix(8).compactMap { try? CertificateInfo(der: $0) }
    while true {
      if authorities.contains(where: { $0.isValid(at: time) && current.isSigned(by: $0) }) { return true }
      guard
        let next = intermediates.firstIndex(where: {
          $0.isAuthority && $0.isValid(at: time) && current.isSigned(by: $0)
        })
      else { return false }
      current = intermediates.remove(at: next)
    }
  }

  /// Whether the certificate names clientAuth among its extended key usages. The identifier (1.3.6.1.5.5.7.3.2) stands
  /// in no other extension, and what stands there was signed by the authority.
  private static func allowsClients(_ der: [UInt8]) -> Bool {
    let identifier: [UInt8] = [0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]
    return der.firstRange(of: identifier) != nil
  }

  func authenticateSync(_ head: HTTPRequestHead) -> AuthenticationResult? {
    guard let peer = head.tls, let leaf = peer.certificates.first else { return .absent }
    let generation = authorities.generation
    if let known = peer.facts.client, known.generation == generation {
      return now() <= known.until ? known.result : .failed("x509: certificate has expired or is not yet valid")
    }
    // What the handshake found is about the first authorities, and about those of proxies too.
    guard sharesHandshake || generation > 0 ? verify(peer.certificates) : peer.verified else {
      let result = AuthenticationResult.failed("x509: certificate signed by unknown authority")
      peer.remember { $0.client = (result, .init(seconds: .max), generation) }
      return result
    }
    guard let certificate = try? CertificateInfo(der: leaf) else { return .failed("x509: malformed certificate") }
    guard !certificate.commonName.isEmpty else { return .absent }
    let user = UserInfo(
      name: certificate.commonName, groups: certificate.organizations,
      extra: ["authentication.kubernetes.io/credential-id": [certificate.credentialID]])
    peer.remember { $0.client = (.user(user), certificate.notAfter, generation) }
    return .user(user)
  }

  func authenticate(_ head: HTTPRequestHead) async -> AuthenticationResult {
    authenticateSync(head) ?? .absent
  }
}

/// What a connection's certificate stands for: found with the first request, good for all of them.
struct PeerFacts: Sendable {
  var client: (result: AuthenticationResult, until: Time, generation: Int)?
  /// Why a front proxy's certificate is not believed; nil inside when it is.
  var proxy: (problem: String?, until: Time, generation: Int)?
}

/// The authorities whose signatures are trusted. They may be replaced while the server runs.
final class TrustedAuthorities: Sendable {
  private let state: Mutex<[CertificateInfo]>
  private let replacements = Atomic<Int>(0)

  /// Reads a PEM bundle.
  init(_ pem: String) throws { state = Mutex(try Self.read(pem)) }

  func replace(_ pem: String) throws {
    let read = try Self.read(pem)
    if read.isEmpty { throw ConfigurationProblem(description: "there is no certificate in it") }
    state.withLock { $0 = read }
    replacements.add(1, ordering: .sequentiallyConsistent)
  }

  private static func read(_ pem: String) throws -> [CertificateInfo] {
    try pemBlocks(pem).map { try CertificateInfo(pem: $0) }
  }

  var current: [CertificateInfo] { state.withLock { $0 } }

  /// How often they have been replaced.
  var generation: Int { replacements.load(ordering: .sequentiallyConsistent) }
}

extension TLSPeer {
  var facts: PeerFacts { remembered as? PeerFacts ?? PeerFacts() }

  func remember(_ change: (inout PeerFacts) -> Void) {
    var facts = facts
    change(&facts)
    remembered = facts
  }
}

/// The PEM blocks of a bundle, each as a text of its own.
func pemBlocks(_ text: String) -> [String] {
  var blocks: [String] = []
  var current: [Substring] = []
  for line in text.split(separator: "\n") {
    if line.hasPrefix("-----BEGIN ") { current = [] }
    current.append(line)
    if line.hasPrefix("-----END ") { blocks.append(current.joined(separator: "\n") + "\n") }
  }
  return blocks
}
