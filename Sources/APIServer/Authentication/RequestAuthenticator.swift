import HTTP

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// All ways to authenticate, in upstream's order: front proxy, client certificate, bearer tokens, nobody.
struct RequestAuthenticator: Authenticator {
  var frontProxy: FrontProxyAuthenticator?
  var certificates: CertificateAuthenticator?
  var tokens: [any TokenAuthenticator] = []
  /// Whom tokens must be for.
  var audiences: [String] = []
  var anonymous = AnonymousRule(.everywhere)

  /// Nil where somebody has to be asked about a token.
  func authenticateSync(_ head: HTTPRequestHead) -> AuthenticationResult? {
    var problem: String?
    if let user = byCertificate(head, &problem) { return .user(Self.completed(user)) }
    if let token = Self.bearerToken(head.headers) {
      guard let result = authenticateNow(token: token, audiences: audiences) else { return nil }
      return conclusion(result, head, problem)
    }
    return nobody(head, problem)
  }

  func authenticate(_ head: HTTPRequestHead) async -> AuthenticationResult {
    var problem: String?
    if let user = byCertificate(head, &problem) { return .user(Self.completed(user)) }
    guard let token = Self.bearerToken(head.headers) else { return nobody(head, problem) }
    return conclusion(await authenticate(token: token, audiences: audiences), head, problem)
  }

  private func byCertificate(_ head: HTTPRequestHead, _ problem: inout String?) -> UserInfo? {
    switch frontProxy?.authenticateSync(head) {
    case .user(let user)?: return user
    case .failed(let reason)?: problem = reason
    case .absent?, nil: break
    }
    switch certificates?.authenticateSync(head) {
    case .user(let user)?: return user
    case .failed(let reason)?: problem = reason
    // Who is no proxy may still be somebody, and nobody without a certificate is a bad proxy.
    case .absent?, nil: break
    }
    return nil
  }

  private func conclusion(_ result: TokenResult, _ head: HTTPRequestHead, _ problem: String?) -> AuthenticationResult {
    switch result {
    case .user(let user, _): .user(Self.completed(user))
    case .failed(let reason): .failed(reason)
    case .absent: .failed(problem ?? "invalid bearer token")
    }
  }

  private func nobody(_ head: HTTPRequestHead, _ problem: String?) -> AuthenticationResult {
    if let problem { return .failed(problem) }
    return anonymous.allows(path: head.path) ? .user(.anonymous) : .absent
  }

  /// Who a token stands for, as far as that is known here; nil where somebody has to be asked.
  func authenticateNow(token: String, audiences: [String]) -> TokenResult? {
    var problems: [String] = []
    for authenticator in tokens {
      switch authenticator.authenticate(token: token, audiences: audiences) {
      case nil: return nil
      case .user(let user, let audiences)?: return .user(user, audiences: audiences)
      case .failed(let reason)?: problems.append(reason)
      case .absent?: continue
      }
    }
    return Self.nobody(problems)
  }

  /// Who a token stands for, as TokenReview asks.
  func authenticate(token: String, audiences: [String]) async -> TokenResult {
    var problems: [String] = []
    for authenticator in tokens {
      switch await authenticator.find(token: token, audiences: audiences) {
      case .user(let user, let audiences): return .user(user, audiences: audiences)
      case .failed(let reason): problems.append(reason)
      case .absent: continue
      }
    }
    return Self.nobody(problems)
  }

  private static func nobody(_ problems: [String]) -> TokenResult {
    if problems.isEmpty { return .absent }
    return .failed(problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]")
  }

  /// Adds the group of everybody who has been authenticated.
  static func completed(_ user: UserInfo) -> UserInfo {
    if user.name == UserInfo.anonymousName { return user }
    if user.groups.contains(where: { $0 == UserInfo.authenticatedGroup || $0 == UserInfo.unauthenticatedGroup }) {
      return user
    }
    var user = user
    user.groups.append(UserInfo.authenticatedGroup)
    return user
  }

  /// The second word if the first is `Bearer`. Bytes, not characters: a token is a thousand of them, on every request.
  private static func bearerToken(_ value: String) -> String? {
    var value = value
    return value.withUTF8 { bytes in
      let space = UInt8(ascii: " ")
      guard bytes.count > 7, bytes[6] == space, let base = bytes.baseAddress,
        asciiCaseEqual(String(decoding: bytes[..<6], as: UTF8.self), "bearer")
      else { return nil }
      var start = 7
      while start < bytes.count, bytes[start] == space { start += 1 }
      guard start < bytes.count else { return nil }
      let end = memchr(base + start, Int32(space), bytes.count - start).map {
        $0 - UnsafeMutableRawPointer(mutating: base)
      }
      return String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<(end ?? bytes.count)]), as: UTF8.self)
    }
  }

  /// `Authorization: Bearer`, or the subprotocol with which browsers' web sockets carry a token.
  static func bearerToken(_ headers: HTTPFields) -> String? {
    if let value = headers["authorization"] { return bearerToken(value) }
    guard headers.hasToken("connection", "upgrade"), asciiCaseEqual(headers["upgrade"] ?? "", "websocket") else {
      return nil
    }
    let prefix = "base64url.bearer.authorization.k8s.io."
    for protocolName in headers.elements("sec-websocket-protocol") where protocolName.hasPrefix(prefix) {
      if let bytes = base64URLDecoded(protocolName.dropFirst(prefix.count)) {
        return String(decoding: bytes, as: UTF8.self)
      }
    }
    return nil
  }
}

/// Decodes base64url without padding.
func base64URLDecoded(_ text: Substring) -> [UInt8]? {
  var bits: UInt32 = 0, count = 0
  var result: [UInt8] = []
  for byte in text.utf8 {
    let value: UInt32
    switch byte {
    case 65...90: value = UInt32(byte - 65)
    case 97...122: value = UInt32(byte - 71)
    case 48...57: value = UInt32(byte) + 4
    case UInt8(ascii: "-"): value = 62
    case UInt8(ascii: "_"): value = 63
    case UInt8(ascii: "="): continue
    default: return nil
    }
    bits = bits << 6 | value
    count += 6
    if count >= 8 {
      count -= 8
      result.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
    }
  }
  return result
}
