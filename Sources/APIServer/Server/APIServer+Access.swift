import APIMachinery
import HTTP
import Logging
import Storage

/// Who asks, and whether they may.
extension APIServer {
  /// What is known of a request once it is allowed.
  struct Admitted {
    var head: HTTPRequestHead
    var info: RequestInfo
    var user: UserInfo
    /// Whom the credentials name, who may impersonate `user`.
    var asker = ""
    var query: [(String, String)]
    var audit: AuditRecord?
    /// Where it belongs in flow control; nil without that.
    var flow: FlowClassifier.Flow?
    var started = RequestMetrics.now()
  }

  enum Admission {
    case admitted(Admitted)
    case refused(HTTPResponse, RequestInfo, AuditRecord?)
  }

  /// Authenticates and authorizes. `user` is given where the way in has settled who asks, `found` where that had to be
  /// waited for.
  func admit(
    _ head: HTTPRequestHead, user known: UserInfo? = nil, found: AuthenticationResult? = nil
  ) -> Admission {
    let query = head.query
    let info = RequestInfo(method: head.method, path: head.path, query: query)
    func refused(_ error: any Error, _ audit: AuditRecord?) -> Admission {
      let response = errorResponse(error, head.headers, query: query)
      audit?.answered(response)
      return .refused(response, info, audit)
    }
    func nobody() -> Admission {
      refused(StatusError.unauthorized(), record(head, info, UserInfo(name: ""), nil, isUnknown: true))
    }
    var user: UserInfo
    if let known {
      user = RequestAuthenticator.completed(known)
    } else {
      switch found ?? authenticator.authenticateSync(head) ?? .absent {
      case .user(let found): user = found
      case .absent: return nobody()
      case .failed(let reason):
        logger.debug("unable to authenticate the request", metadata: ["reason": "\(reason)"])
        return nobody()
      }
    }
    let real = user
    do {
      if let other = try Impersonation.apply(head.headers, user: user, authorizer: authorizer) { user = other }
    } catch {
      return refused(error, record(head, info, real, nil))
    }
    let audit = record(head, info, real, user == real ? nil : user)
    let attributes = AuthorizationAttributes(info)
    let answer = authorizer.decide(user, attributes)
    if let audit {
      audit.annotate("authorization.k8s.io/decision", answer.decision == .allowed ? "allow" : "forbid")
      audit.annotate("authorization.k8s.io/reason", answer.reason)
    }
    guard answer.decision == .allowed else {
      if let error = answer.error {
        let response = textResponse(500, "Internal Server Error: \(goQuoted(head.rawTarget)): \(error)\n")
        audit?.answered(response)
        return .refused(response, info, audit)
      }
      return refused(forbidden(user, attributes, reason: answer.reason), audit)
    }
    return .admitted(
      Admitted(
        head: head, info: info, user: user, asker: real.name, query: query, audit: audit,
        flow: flowControl?.flow(user, info)))
  }

  private func record(
    _ head: HTTPRequestHead, _ info: RequestInfo, _ user: UserInfo, _ other: UserInfo?, isUnknown: Bool = false
  ) -> AuditRecord? {
    auditor?.begin(
      id: head.headers["audit-id"] ?? Self.newAuditID(), head, info, user: user, impersonated: other,
      isUnknown: isUnknown)
  }

  /// Whether a refusal may come from caches that do not have yet what another server was told: a token's account, a
  /// role's binding.
  func mayBeBehind(_ refusal: HTTPResponse) -> Bool {
    !registry.storage.servesCurrentReads && (refusal.status == 401 || refusal.status == 403)
  }

  func admitCaughtUp(_ head: HTTPRequestHead, user: UserInfo?) async -> Admission {
    let before = registry.hub.clock.current
    let first = await admitAsking(head, user: user)
    guard case .refused(let response, _, _) = first, mayBeBehind(response) else { return first }
    // Who cannot be told more is answered by what is known.
    try? await registry.catchUp()
    return registry.hub.clock.current > before ? await admitAsking(head, user: user) : first
  }

  /// As `admit`, asking whoever has to be asked first.
  private func admitAsking(_ head: HTTPRequestHead, user: UserInfo?) async -> Admission {
    var found: AuthenticationResult?
    if user == nil {
      found = authenticator.authenticateSync(head)
      if found == nil { found = await authenticator.authenticate(head) }
    }
    guard authorizer.asksOthers else { return admit(head, user: user, found: found) }
    let memo = AccessMemo()
    try? await authorizer.settled(memo) { deliberate(head, user: user, found: found) }
    return AccessMemo.$current.withValue(memo) { admit(head, user: user, found: found) }
  }

  /// Asks everything that `admit` asks, and does nothing else.
  func deliberate(_ head: HTTPRequestHead, user known: UserInfo?, found: AuthenticationResult?) {
    guard var user = known.map(RequestAuthenticator.completed) ?? found?.user else { return }
    do {
      if let other = try Impersonation.apply(head.headers, user: user, authorizer: authorizer) { user = other }
    } catch { return }
    let info = RequestInfo(method: head.method, path: head.path, query: head.query)
    _ = authorizer.decide(user, AuthorizationAttributes(info))
  }

  /// The request as others may see it: without what a front proxy says of its user.
  func cleaned(_ request: Admitted) -> Admitted {
    guard let proxy = authenticator.frontProxy else { return request }
    var request = request
    request.head.headers = proxy.cleaned(request.head.headers)
    return request
  }

  // MARK: Files

  /// Who follows the files with authorities and the serving certificate. What was given as text is in no file.
  func certificateFollowers(_ configuration: APIServerConfiguration) -> [FileFollower] {
    var result: [FileFollower] = []
    func follow(
      _ file: String?, _ text: String?, _ authorities: TrustedAuthorities?, _ what: String,
      _ key: WritableKeyPath<APIServerConfiguration, String?> & Sendable
    ) {
      guard let file, let authorities, let bytes = readWholeFile(file), String(decoding: bytes, as: UTF8.self) == text
      else { return }
      result.append(
        FileFollower(file, what, current: bytes, logger: logger) { [registry] bytes in
          let text = String(decoding: bytes, as: UTF8.self)
          try authorities.replace(text)
          var changed = configuration
          changed[keyPath: key] = text
          let published = PublishedAuthentication(registry: registry, configuration: changed)
          Task { try? await published.run() }
        })
    }
    follow(
      configuration.clientCAFile, configuration.clientCAPEM, authenticator.certificates?.authorities, "client CA",
      \.clientCAPEM)
    follow(
      configuration.requestHeaderClientCAFile, configuration.requestHeaderClientCAPEM,
      authenticator.frontProxy?.authorities, "request header CA", \.requestHeaderClientCAPEM)
    if let certificate = configuration.servingCertificateFile, let key = configuration.servingKeyFile {
      @Sendable func read() -> [UInt8]? {
        guard let chain = readWholeFile(certificate), let secret = readWholeFile(key) else { return nil }
        return chain + [0] + secret
      }
      result.append(
        FileFollower("serving certificate", current: read(), logger: logger, read: read) { [weak self] bytes in
          let parts = bytes.split(separator: 0, maxSplits: 1).map { String(decoding: $0, as: UTF8.self) }
          guard parts.count == 2 else { throw ConfigurationProblem(description: "a file is empty") }
          try self?.reload(servingCertificatePEM: parts[0], servingKeyPEM: parts[1])
        })
    }
    return result
  }
}
