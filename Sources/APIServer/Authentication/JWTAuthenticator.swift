import APIMachinery
import Logging
import PKI
import Synchronization

/// Tokens of one OpenID issuer.
final class JWTAuthenticator: TokenAuthenticator {
  let issuer: JWTIssuer
  private let audiences: Set<String>
  private let algorithms: [String]
  private let mappings: ClaimMappings
  private let now: @Sendable () -> Time
  private let known = OutcomeCache<TokenKey, TokenResult>()
  /// How long an outcome is good for, as upstream's cache in front of all authenticators of tokens has it.
  private static let lifetime = Duration.seconds(10)

  init(
    _ issuer: JWTIssuer, audiences: [String], algorithms: [String] = JSONWebKeySet.algorithms,
    mappings: ClaimMappings, now: @escaping @Sendable () -> Time = { .now }
  ) {
    self.issuer = issuer
    self.audiences = Set(audiences)
    self.algorithms = algorithms
    self.mappings = mappings
    self.now = now
  }

  func authenticate(token: String, audiences: [String]) -> TokenResult? {
    if let found = known.find(TokenKey(token, [])) { return found }
    guard let parts = SignedToken(token), isOwn(parts) else { return .absent }
    return nil
  }

  func find(token: String, audiences: [String]) async -> TokenResult {
    guard let parts = SignedToken(token), isOwn(parts) else { return .absent }
    return await known.value(TokenKey(token, [])) { result in
      if case .user = result { Self.lifetime } else { nil }
    } ask: { [self] in
      do { return .user(try await verified(parts), audiences: []) } catch { return .failed("\(error)") }
    }
  }

  private func isOwn(_ token: SignedToken) -> Bool {
    let named = token.claims["iss"]?.stringValue
    // Google's old name of itself.
    return named == issuer.url || (named == "accounts.google.com" && issuer.url == "https://accounts.google.com")
  }

  private struct Refusal: Error, CustomStringConvertible {
    let reason: String
    init(_ reason: String) { self.reason = reason }
    var description: String { "oidc: verify token: \(reason)" }
  }

  private func verified(_ token: SignedToken) async throws -> UserInfo {
    try await verify(token)
    var claims = token.claims
    try await mappings.expand(&claims, by: self)
    return try mappings.user(claims)
  }

  /// Throws why the token is none of the issuer's for us, now.
  fileprivate func verify(_ token: SignedToken) async throws {
    try checkTimes(token.claims)
    guard algorithms.contains(token.algorithm) else {
      throw Refusal(
        "oidc: malformed jwt: unexpected signature algorithm \(goQuoted(token.algorithm)); expected "
          + RuleCoverage.list(algorithms))
    }
    do {
      guard try await issuer.hasSigned(token) else {
        throw Refusal("failed to verify signature: failed to verify id token signature")
      }
    } catch let failure as JWTIssuer.Failure { throw ClaimMappings.Refusal(description: "oidc: \(failure)") }
    let named =
      token.claims["aud"]?.arrayValue?.compactMap(\.stringValue)
      ?? token.claims["aud"]?.stringValue.map { [$0] } ?? []
    guard named.contains(where: audiences.contains) else {
      throw Refusal(
        "oidc: expected audience in \(RuleCoverage.list(audiences.sorted())) got \(RuleCoverage.list(named))")
    }
  }

  private func checkTimes(_ claims: [String: JSONValue]) throws {
    let time = now()
    guard let expiry = claims["exp"]?.doubleValue, expiry > Double(time.seconds) else {
      let shown = claims["exp"]?.doubleValue.map { Time(seconds: Int64($0)).description } ?? "none"
      throw Refusal("oidc: token is expired (Token Expiry: \(shown))")
    }
    // Clocks differ: five minutes ahead is nothing to be refused for.
    if let start = claims["nbf"]?.doubleValue, Double(time.seconds) + 300 < start {
      throw Refusal(
        "oidc: current time \(time) before the nbf (not before) time: \(Time(seconds: Int64(start)))")
    }
  }

  func shutdown() async { await issuer.shutdown() }
}

extension ClaimMappings {
  /// Fetches the groups where the token says that they are to be had elsewhere (OpenID Connect Core 5.6.2).
  fileprivate func expand(_ claims: inout [String: JSONValue], by authenticator: JWTAuthenticator) async throws {
    guard case .claim(let claim, _) = groups, claims[claim] == nil, let names = claims["_claim_names"] else { return }
    func failed(_ why: String) -> Refusal {
      Refusal(description: "oidc: could not expand distributed claims: \(why)")
    }
    guard let source = names[claim]?.stringValue else { return }
    guard let sources = claims["_claim_sources"] else { throw failed("oidc: no claim sources") }
    guard let described = sources[source] else {
      throw failed("id token _claim_names contained a source \(source) missing in _claims_sources")
    }
    guard let endpoint = described["endpoint"]?.stringValue, !endpoint.isEmpty else { return }
    do {
      let text = try await authenticator.issuer.get(endpoint, bearer: described["access_token"]?.stringValue)
      let token = SignedToken(String(decoding: text, as: UTF8.self).trimmingSpaces)
      guard let token, token.claims["iss"]?.stringValue == authenticator.issuer.url else {
        throw JWTIssuer.Failure(description: "verifying untrusted issuer failed")
      }
      try await authenticator.verify(token)
      guard let value = token.claims[claim] else {
        throw JWTIssuer.Failure(
          description: "jwt returned by distributed claim endpoint \(goQuoted(endpoint)) did not contain claim: "
            + claim)
      }
      claims[claim] = value
    } catch { throw failed("while getting distributed claim \(goQuoted(claim)): \(error)") }
  }
}

/// The issuers that a configuration names; it may be replaced.
final class JWTAuthenticators: TokenAuthenticator {
  private let state: Mutex<[JWTAuthenticator]>

  init(_ authenticators: [JWTAuthenticator]) {
    state = Mutex(authenticators)
    for authenticator in authenticators { authenticator.issuer.prepare() }
  }

  /// Takes other issuers; returns those that were there.
  func replace(_ authenticators: [JWTAuthenticator]) -> [JWTAuthenticator] {
    for authenticator in authenticators { authenticator.issuer.prepare() }
    return state.withLock { state in
      defer { state = authenticators }
      return state
    }
  }

  var current: [JWTAuthenticator] { state.withLock { $0 } }

  func authenticate(token: String, audiences: [String]) -> TokenResult? {
    var problem: TokenResult?
    for authenticator in current {
      switch authenticator.authenticate(token: token, audiences: audiences) {
      case nil: return nil
      case .user(let user, let audiences)?: return .user(user, audiences: audiences)
      case .failed(let reason)?: problem = .failed(reason)
      case .absent?: continue
      }
    }
    return problem ?? .absent
  }

  func find(token: String, audiences: [String]) async -> TokenResult {
    for authenticator in current {
      let result = await authenticator.find(token: token, audiences: audiences)
      if result != .absent { return result }
    }
    return .absent
  }
}
