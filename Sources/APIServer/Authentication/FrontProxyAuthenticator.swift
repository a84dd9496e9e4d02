import APIMachinery
import HTTP
import PKI

/// Believes a front proxy about users: its certificate is signed by an authority kept for that alone, and headers name
/// the user.
struct FrontProxyAuthenticator: Authenticator {
  private let certificates: CertificateAuthenticator
  private let allowedNames: [String]
  private let userHeaders: [String]
  private let groupHeaders: [String]
  private let extraPrefixes: [String]
  private let uidHeaders: [String]
  private let now: @Sendable () -> Time

  /// Nil where no authority is configured.
  init?(_ configuration: APIServerConfiguration, now: @escaping @Sendable () -> Time = { .now }) throws {
    guard let authorities = configuration.requestHeaderClientCAPEM else { return nil }
    certificates = try CertificateAuthenticator(authoritiesPEM: authorities, now: now)
    self.now = now
    allowedNames = configuration.requestHeaderAllowedNames
    userHeaders = configuration.requestHeaderUsernameHeaders
    groupHeaders = configuration.requestHeaderGroupHeaders
    extraPrefixes = configuration.requestHeaderExtraHeaderPrefixes.map { $0.lowercased() }
    uidHeaders = configuration.requestHeaderUIDHeaders
    for (flag, values) in [
      ("requestheader-username-headers", userHeaders), ("requestheader-group-headers", groupHeaders),
      ("requestheader-extra-headers-prefix", extraPrefixes), ("requestheader-allowed-names", allowedNames),
      ("requestheader-uid-headers", uidHeaders),
    ] where values.contains(where: { $0.trimmingSpaces.isEmpty }) {
      throw StatusError.internalError("empty value in \(goQuoted(flag))")
    }
  }

  var authorities: TrustedAuthorities { certificates.authorities }

  func verify(_ chain: [[UInt8]]) -> Bool { certificates.verify(chain) }

  func authenticateSync(_ head: HTTPRequestHead) -> AuthenticationResult? {
    guard let peer = head.tls, let leaf = peer.certificates.first else { return .absent }
    if let problem = problem(peer, leaf) { return .failed(problem) }
    return user(head.headers).map { .user($0) } ?? .absent
  }

  func authenticate(_ head: HTTPRequestHead) async -> AuthenticationResult { authenticateSync(head) ?? .absent }

  /// Why the other side is no front proxy.
  private func problem(_ peer: TLSPeer, _ leaf: [UInt8]) -> String? {
    let generation = authorities.generation
    if let known = peer.facts.proxy, known.generation == generation {
      return known.problem ?? (now() <= known.until ? nil : "x509: certificate has expired or is not yet valid")
    }
    var problem: String?
    var until = Time(seconds: .max)
    if !certificates.verify(peer.certificates) {
      problem = "x509: certificate signed by unknown authority"
    } else if let certificate = try? CertificateInfo(der: leaf) {
      until = certificate.notAfter
      if !allowedNames.isEmpty, !allowedNames.contains(certificate.commonName) {
        problem = "x509: subject with cn=\(certificate.commonName) is not in the allowed list"
      }
    } else {
      problem = "x509: malformed certificate"
    }
    peer.remember { $0.proxy = (problem, until, generation) }
    return problem
  }

  /// The user that the headers name.
  func user(_ headers: HTTPFields) -> UserInfo? {
    func first(_ names: [String]) -> String? {
      names.lazy.compactMap { headers[$0] }.first { !$0.isEmpty }
    }
    guard let name = first(userHeaders) else { return nil }
    var user = UserInfo(
      name: name, uid: first(uidHeaders) ?? "", groups: groupHeaders.flatMap { headers.values($0) })
    for prefix in extraPrefixes {
      for field in headers where field.name.utf8.count > prefix.utf8.count {
        let lower = field.name.lowercased()
        guard lower.hasPrefix(prefix) else { continue }
        let key = percentDecoded(Substring(lower.dropFirst(prefix.utf8.count)).utf8, plusIsSpace: false)
        user.extra[key, default: []].append(field.value)
      }
    }
    return user
  }

  /// The fields without those that name users: what comes in with them goes no further.
  func cleaned(_ headers: HTTPFields) -> HTTPFields {
    var headers = headers
    for name in userHeaders + groupHeaders + uidHeaders { headers.remove(name) }
    let extra = Set(headers.map { $0.name.lowercased() }).filter { name in
      extraPrefixes.contains { name.hasPrefix($0) }
    }
    for name in extra { headers.remove(name) }
    return headers
  }
}
