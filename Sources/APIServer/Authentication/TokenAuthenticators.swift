import API
import APIMachinery
import HTTP
import PKI
import Synchronization

/// What an authenticator knows of a token.
enum TokenResult: Sendable, Equatable {
  /// Not a token of its kind.
  case absent
  /// The user, and whom of those asked for the token is for.
  case user(UserInfo, audiences: [String])
  case failed(String)
}

/// Finds out who a bearer token stands for.
protocol TokenAuthenticator: Sendable {
  /// The answer when it is at hand without waiting; nil means: call `find`.
  func authenticate(token: String, audiences: [String]) -> TokenResult?
  func find(token: String, audiences: [String]) async -> TokenResult
}

extension TokenAuthenticator {
  func find(token: String, audiences: [String]) async -> TokenResult {
    authenticate(token: token, audiences: audiences) ?? .absent
  }
}

/// Gives tokens that say nothing of audiences those of this server.
struct AudienceAgnostic: TokenAuthenticator {
  let inner: any TokenAuthenticator
  let audiences: [String]

  func authenticate(token: String, audiences wanted: [String]) -> TokenResult? {
    let shared = wanted == audiences ? audiences : wanted.filter(audiences.contains)
    if shared.isEmpty, !wanted.isEmpty { return .absent }
    return inner.authenticate(token: token, audiences: []).map { named($0, shared) }
  }

  func find(token: String, audiences wanted: [String]) async -> TokenResult {
    let shared = wanted.filter(audiences.contains)
    if shared.isEmpty, !wanted.isEmpty { return .absent }
    return named(await inner.find(token: token, audiences: []), shared)
  }

  private func named(_ result: TokenResult, _ shared: [String]) -> TokenResult {
    if case .user(let user, _) = result { .user(user, audiences: shared) } else { result }
  }
}

/// A user known by a token that never changes, as a line of a token file.
public struct StaticToken: Sendable, Hashable {
  public var token: String
  public var user: UserInfo

  public init(token: String, user: UserInfo) {
    self.token = token
    self.user = user
  }

  /// Reads a token file: `token,user,uid[,"group1,group2"]` a line.
  public static func parse(csv: String) throws -> [StaticToken] {
    var result: [StaticToken] = []
    for line in csv.split(separator: "\n", omittingEmptySubsequences: true) {
      if line.first == "#" { continue }
      let fields = csvFields(line)
      guard fields.count >= 3 else {
        throw StatusError.internalError(
          "token file must have at least 3 columns (token, user name, user uid), found \(fields.count)")
      }
      if fields[0].isEmpty { continue }
      let groups = fields.count > 3 ? fields[3].split(separator: ",").map(String.init) : []
      result.append(
        StaticToken(token: fields[0], user: UserInfo(name: fields[1], uid: fields[2], groups: groups)))
    }
    return result
  }
}

private func csvFields(_ line: Substring) -> [String] {
  var fields: [String] = [], field = "", quoted = false
  for character in line where character != "\r" {
    switch character {
    case "\"": quoted.toggle()
    case "," where !quoted:
      fields.append(field)
      field = ""
    case " " where field.isEmpty && !quoted: break
    default: field.append(character)
    }
  }
  return fields + [field]
}

struct StaticTokenAuthenticator: TokenAuthenticator {
  private let users: [String: UserInfo]

  init(_ tokens: [StaticToken]) {
    users = Dictionary(tokens.map { ($0.token, $0.user) }, uniquingKeysWith: { $1 })
  }

  func authenticate(token: String, audiences: [String]) -> TokenResult? {
    users[token].map { .user($0, audiences: audiences) } ?? .absent
  }
}

/// Service-account tokens: the signature, the times and the audience, and that the account and what the token is bound
/// to are still the ones it was made for.
struct ServiceAccountAuthenticator: TokenAuthenticator {
  let tokens: ServiceAccountTokens
  let audiences: [String]
  let registry: Registry

  func authenticate(token: String, audiences wanted: [String]) -> TokenResult? {
    let verified: ServiceAccountTokens.Verified
    do {
      verified = try tokens.verify(token, audiences: wanted.isEmpty ? audiences : wanted, now: registry.now())
    } catch TokenError.foreign {
      return .absent
    } catch {
      return .failed("\(error)")
    }
    let claims = verified.claims
    if let problem = problem(claims, token) { return .failed(problem) }
    let identity = verified.identity
    return .user(
      UserInfo(name: identity.name, uid: identity.uid, groups: identity.groups, extra: identity.extra),
      audiences: verified.audiences)
  }

  private func problem(_ claims: ServiceAccountClaims, _ token: String) -> String? {
    guard let account = find(ServiceAccount.self, claims.namespace, claims.serviceAccount.name) else {
      return "service account \(claims.namespace)/\(claims.serviceAccount.name) not found"
    }
    if account.deleting { return "service account token has been invalidated" }
    if account.uid != claims.serviceAccount.uid {
      return "the service account UID (\(account.uid)) does not match the claim (\(claims.serviceAccount.uid))"
    }
    if let bound = claims.pod, let problem = check(Pod.self, claims.namespace, bound, "pod") { return problem }
    if let bound = claims.secret, let problem = check(Secret.self, claims.namespace, bound, "secret") {
      return problem
    }
    // With a pod the node is only a note on where it ran.
    if claims.pod == nil, let bound = claims.node, let problem = check(Node.self, "", bound, "node") {
      return problem
    }
    if let name = claims.legacySecretName {
      guard let secret = registry.object(Secret.self, namespace: claims.namespace, name: name),
        secret.metadata.deletionTimestamp == nil, secret.data["token"]?.bytes == Array(token.utf8)
      else { return "service account token has been invalidated" }
    }
    return nil
  }

  private func find<T: APIObject>(_ type: T.Type, _ namespace: String, _ name: String) -> CachedObject? {
    guard let resource = registry.resource(type) else { return nil }
    return resource.cache?.object(resource.key(namespace, name))
  }

  private func check<T: APIObject>(
    _ type: T.Type, _ namespace: String, _ bound: ServiceAccountClaims.Reference, _ what: String
  ) -> String? {
    guard let object = find(type, namespace, bound.name) else { return "service account token has been invalidated" }
    if object.uid != bound.uid {
      return "the \(what) UID (\(object.uid)) does not match the claim (\(bound.uid))"
    }
    // A pod that is being deleted keeps its token until it is gone, so that it can end in order.
    return nil
  }
}

/// Bootstrap tokens (`id.secret`), kept as secrets in `kube-system`, with which nodes join.
struct BootstrapTokenAuthenticator: TokenAuthenticator {
  let registry: Registry

  func authenticate(token: String, audiences: [String]) -> TokenResult? {
    guard token.utf8.count == 23 else { return .absent }
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.count == 6,
      parts.allSatisfy({ $0.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) } })
    else { return .absent }
    let id = String(parts[0])
    guard let secret = registry.object(Secret.self, namespace: "kube-system", name: "bootstrap-token-\(id)"),
      secret.metadata.deletionTimestamp == nil, secret.type == "bootstrap.kubernetes.io/token"
    else { return .absent }
    func text(_ key: String) -> String { String(decoding: secret.data[key]?.bytes ?? [], as: UTF8.self) }
    guard text("token-id") == id, equalInConstantTime(text("token-secret"), String(parts[1])),
      text("usage-bootstrap-authentication") == "true"
    else { return .absent }
    let expiration = text("expiration")
    if !expiration.isEmpty {
      guard let time = Time(rfc3339: expiration), registry.now() < time else { return .absent }
    }
    let groups = text("auth-extra-groups").split(separator: ",").map(String.init)
    guard groups.allSatisfy({ $0.hasPrefix("system:bootstrappers:") }) else { return .absent }
    return .user(
      UserInfo(name: "system:bootstrap:\(id)", groups: ["system:bootstrappers"] + groups), audiences: audiences)
  }

  private func equalInConstantTime(_ a: String, _ b: String) -> Bool {
    let x = Array(a.utf8), y = Array(b.utf8)
    guard x.count == y.count else { return false }
    return zip(x, y).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
