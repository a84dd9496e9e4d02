public import APIMachinery
internal import Crypto
internal import Synchronization

/// Why a token was not accepted.
public enum TokenError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Not a token of ours: another authenticator may know it.
  case foreign
  /// A token of our issuer that is damaged or signed by an unknown key.
  case invalidSignature
  /// The claims are not a service account's.
  case invalidClaims
  /// Its time is over.
  case expired
  /// Its time has not come.
  case notYetValid
  /// It was made for others.
  case audience(token: [String], wanted: [String])

  /// As upstream words it.
  public var description: String {
    switch self {
    case .foreign: return "not a service account token of this cluster"
    case .invalidSignature: return "invalid signature"
    case .invalidClaims: return "service account token claims could not be validated"
    case .expired: return "service account token has expired"
    case .notYetValid: return "service account token is not valid yet"
    case .audience(let token, let wanted):
      func list(_ names: [String]) -> String { "[" + names.map { "\"\($0)\"" }.joined(separator: " ") + "]" }
      return "token audiences \(list(token)) is invalid for the target audiences \(list(wanted))"
    }
  }
}

/// Signs and verifies service account tokens (JWS compact form, RS256, ES256, ES384 or ES512). Both are synchronous:
/// an ES256 signature takes tens of microseconds, and a token that was verified before is only looked up.
///
/// Whether the account and what the token is bound to still exist is the API server's to check.
public final class ServiceAccountTokens: Sendable {
  /// A token that was accepted.
  public struct Verified: Sendable {
    /// What it says.
    public var claims: ServiceAccountClaims
    /// The audiences it shares with those asked for.
    public var audiences: [String]
    /// Whom it stands for, made once for all requests that bring it.
    public var identity: Identity
  }

  /// A service account as a user.
  public struct Identity: Sendable {
    public let name: String
    public let uid: String
    public let groups: [String]
    public let extra: [String: [String]]

    init(_ claims: ServiceAccountClaims) {
      name = claims.subject
      uid = claims.serviceAccount.uid
      groups = claims.groups + ["system:authenticated"]
      extra = claims.extra
    }
  }

  private struct Known: Sendable {
    var claims: ServiceAccountClaims
    var identity: Identity
  }

  /// What the signing key puts into `iss`.
  public let issuer: String

  private let issuers: Set<String>
  private let signer: TokenKey?
  private let verifiers: [TokenKey]
  private let cache: Mutex<Cache>

  /// Clocks may differ by this much.
  private static let leeway: Int64 = 60

  /// Verified tokens in two generations, so that old ones go without bookkeeping per use.
  private struct Cache {
    static let limit = 512
    var young: [String: Known] = [:]
    var old: [String: Known] = [:]

    mutating func find(_ token: String) -> Known? {
      if let known = young[token] { return known }
      guard let known = old[token] else { return nil }
      insert(token, known)
      return known
    }

    mutating func insert(_ token: String, _ known: Known) {
      if young.count >= Self.limit {
        old = young
        young = [:]
      }
      young[token] = known
    }
  }

  /// Signs with `keyPEM`, and verifies with it and with the public keys in `verificationKeysPEM` (keys that signed
  /// before). `acceptedIssuers` are issuers of the past. Without `keyPEM` it only verifies.
  public init(
    issuer: String, keyPEM: String?, verificationKeysPEM: [String] = [], acceptedIssuers: [String] = []
  ) throws {
    self.issuer = issuer
    issuers = Set([issuer, ServiceAccountClaims.legacyIssuer] + acceptedIssuers)
    signer = try keyPEM.map { try TokenKey(privatePEM: $0) }
    var keys = signer.map { [$0] } ?? []
    for key in try verificationKeysPEM.flatMap({ try TokenKey.publicKeys(pem: $0) })
    where !keys.contains(where: { $0.id == key.id }) {
      keys.append(key)
    }
    verifiers = keys
    cache = Mutex(Cache())
  }

  // MARK: Signing

  /// Signs claims. An empty issuer becomes ours.
  public func sign(_ claims: ServiceAccountClaims) throws -> String {
    guard let signer else { throw PKIError.malformed(what: "token key", detail: "there is no signing key") }
    var claims = claims
    if claims.issuer.isEmpty {
      claims.issuer = claims.legacySecretName == nil ? issuer : ServiceAccountClaims.legacyIssuer
    }
    var header = JSONWriter()
    header.beginObject()
    header.key("alg")
    header.string(signer.algorithm)
    header.key("kid")
    header.string(signer.id)
    header.endObject()
    var token = Base64URL.encode(header.bytes)
    token.append(UInt8(ascii: "."))
    token += Base64URL.encode(claims.json.encoded())
    let signature = try signer.sign(token)
    token.append(UInt8(ascii: "."))
    token += Base64URL.encode(signature)
    return String(decoding: token, as: UTF8.self)
  }

  // MARK: Verifying

  /// Verifies a token at a time and for audiences (none: whatever it was made for).
  public func verify(
    _ token: String, audiences: [String] = [], now: Time = .now
  ) throws(TokenError) -> Verified {
    let known: Known
    if let found = cache.withLock({ $0.find(token) }) {
      known = found
    } else {
      let claims = try verifySignature(token)
      let made = Known(claims: claims, identity: Identity(claims))
      cache.withLock { $0.insert(token, made) }
      known = made
    }
    let claims = known.claims
    if let expiry = claims.expiry, now.seconds > expiry.seconds + Self.leeway { throw .expired }
    for start in [claims.notBefore, claims.issuedAt] {
      if let start, now.seconds + Self.leeway < start.seconds { throw .notYetValid }
    }
    // Tokens of the old kind are for whoever asks.
    if audiences.isEmpty || claims.legacySecretName != nil {
      return Verified(
        claims: claims, audiences: audiences.isEmpty ? claims.audiences : audiences,
        identity: known.identity)
    }
    let shared = audiences.filter { claims.audiences.contains($0) }
    guard !shared.isEmpty else { throw .audience(token: claims.audiences, wanted: audiences) }
    return Verified(claims: claims, audiences: shared, identity: known.identity)
  }

  private func verifySignature(_ token: String) throws(TokenError) -> ServiceAccountClaims {
    let bytes = Array(token.utf8)
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
      let headerJSON = try? JSONValue(parsing: header), let json = try? JSONValue(parsing: payload),
      let issuer = json["iss"]?.stringValue, issuers.contains(issuer)
    else { throw .foreign }
    guard let signature = Base64URL.decode(parts[2]), let algorithm = headerJSON["alg"]?.stringValue,
      headerJSON["crit"] == nil
    else { throw .invalidSignature }
    let id = headerJSON["kid"]?.stringValue ?? ""
    let signed = bytes[..<parts[1].endIndex]
    // The key decides about the algorithm, the header only chooses among keys.
    let candidates = verifiers.filter { $0.algorithm == algorithm && (id.isEmpty || $0.id == id) }
    guard candidates.contains(where: { $0.verify(signature, signs: signed) }) else { throw .invalidSignature }
    guard let claims = ServiceAccountClaims(json: json),
      (claims.issuer == ServiceAccountClaims.legacyIssuer) == (claims.legacySecretName != nil)
    else { throw .invalidClaims }
    return claims
  }

  // MARK: Discovery

  /// The verification keys as `/openid/v1/jwks` serves them.
  public func jwks() throws -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("keys")
    writer.beginArray()
    for key in verifiers { try key.write(to: &writer) }
    writer.endArray()
    writer.endObject()
    return writer.bytes
  }

  /// The document at `/.well-known/openid-configuration`.
  public func openIDConfiguration(jwksURI: String) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("issuer")
    writer.string(issuer)
    writer.key("jwks_uri")
    writer.string(jwksURI)
    writer.key("response_types_supported")
    writer.raw(#"["id_token"]"#.utf8)
    writer.key("subject_types_supported")
    writer.raw(#"["public"]"#.utf8)
    writer.key("id_token_signing_alg_values_supported")
    let algorithms = Set(verifiers.map(\.algorithm)).sorted()
    algorithms.encode(to: &writer)
    writer.endObject()
    return writer.bytes
  }
}
