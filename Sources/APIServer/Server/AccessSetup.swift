import APIMachinery
import Logging
import PKI
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Who is let in and who decides, made from the configuration.
struct AccessSetup: Sendable {
  let authenticator: RequestAuthenticator
  let authorizer: ServerAuthorizer
  /// The types of authorizers; a configuration file cannot change them while the server runs.
  let modes: Set<String>
  /// What a client's certificate may lead to.
  let chainVerifiers: [@Sendable ([[UInt8]]) -> Bool]
  let followers: [FileFollower]
  let metrics = AccessMetrics()
  private let webhook: WebhookTokenAuthenticator?
  private let jwt: JWTAuthenticators?

  init(
    _ configuration: APIServerConfiguration, registry: Registry, tokens: ServiceAccountTokens?, audiences: [String],
    node: NodeAuthorizer, rbac: RBACAuthorizer, logger: Logger
  ) throws {
    var followers: [FileFollower] = []
    let settings = configuration.authentication
    let frontProxy = try FrontProxyAuthenticator(configuration)
    var certificates = try configuration.clientCAPEM.map { try CertificateAuthenticator(authoritiesPEM: $0) }
    certificates?.sharesHandshake = frontProxy != nil
    chainVerifiers =
      (certificates.map { [$0.verify] } ?? []) + (frontProxy.map { [$0.verify] } ?? [])

    func agnostic(_ inner: any TokenAuthenticator) -> any TokenAuthenticator {
      AudienceAgnostic(inner: inner, audiences: audiences)
    }
    var known: [any TokenAuthenticator] = []
    if !configuration.staticTokens.isEmpty {
      known.append(agnostic(StaticTokenAuthenticator(configuration.staticTokens)))
    }
    if let tokens {
      known.append(ServiceAccountAuthenticator(tokens: tokens, audiences: audiences, registry: registry))
    }
    known.append(agnostic(BootstrapTokenAuthenticator(registry: registry)))
    let anonymous = AnonymousRule(configuration.anonymousAuth ? .everywhere : .nowhere)
    let own = [configuration.serviceAccountIssuer]
    let issuers = try Self.issuers(configuration, own: own, anonymous, metrics, logger: logger)
    jwt = issuers.authenticators
    if let jwt { known.append(agnostic(jwt)) }
    followers += issuers.followers
    webhook = try settings.webhookFile.map { file in
      guard ["v1", "v1beta1"].contains(settings.webhookVersion) else {
        throw ConfigurationProblem(
          description: "unsupported authentication webhook version \(goQuoted(settings.webhookVersion)), supported "
            + "versions are \"v1\", \"v1beta1\"")
      }
      let review = ReviewWebhook(
        try WebhookKubeconfig(path: file), apiVersion: "authentication.k8s.io/\(settings.webhookVersion)",
        kind: "TokenReview", logger: logger)
      return WebhookTokenAuthenticator(
        review, audiences: audiences, lifetime: settings.webhookCacheTTL, logger: logger)
    }
    if let webhook { known.append(webhook) }
    authenticator = RequestAuthenticator(
      frontProxy: frontProxy, certificates: certificates, tokens: known, audiences: audiences, anonymous: anonymous)

    let authorization = configuration.authorization
    let path = authorization.configurationFile
    let text = try path.map(Self.text)
    let first: AuthorizationConfiguration
    do {
      first = try text.map { try AuthorizationConfiguration($0) } ?? AuthorizationConfiguration(authorization)
    } catch {
      guard let path else { throw error }
      throw ConfigurationProblem(description: "\(path): \(error)")
    }
    func chain(_ configuration: AuthorizationConfiguration) throws -> AuthorizerChain {
      try configuration.chain(node: node, rbac: rbac, environment: Self.environment, logger: logger)
    }
    let authorizer = ServerAuthorizer(try chain(first), isFixed: path == nil)
    self.authorizer = authorizer
    let modes = Set(first.types)
    self.modes = modes
    if let path {
      followers.append(
        FileFollower(path, "authorization configuration", current: text, logger: logger) { [metrics] text in
          try metrics.counting(.authorization) {
            let next = try AuthorizationConfiguration(text)
            let before = modes.subtracting(["Webhook"])
            guard Set(next.types).subtracting(["Webhook"]) == before else {
              throw ConfigurationProblem(
                description: "authorizers other than webhooks cannot be changed: they are "
                  + before.sorted().joined(separator: ", "))
            }
            let old = authorizer.chain
            authorizer.replace(
              try next.chain(node: node, rbac: rbac, environment: Self.environment, logger: logger))
            // Whoever asks one of the old ones now has its answer within its timeout.
            Task {
              try? await Task.sleep(for: .seconds(60))
              await old.shutdown()
            }
          }
        })
    }
    self.followers = followers
  }

  // MARK: Issuers

  /// The issuers that a file or flags name, and who follows the file.
  private static func issuers(
    _ configuration: APIServerConfiguration, own: [String], _ anonymous: AnonymousRule, _ metrics: AccessMetrics,
    logger: Logger
  ) throws -> (authenticators: JWTAuthenticators?, followers: [FileFollower]) {
    let settings = configuration.authentication
    guard let path = settings.configurationFile else {
      guard let oidc = settings.oidc else { return (nil, []) }
      return (JWTAuthenticators(made(try AuthenticationConfiguration(oidc, ownIssuers: own), logger)), [])
    }
    let rule: AnonymousRule.Rule = configuration.anonymousAuth ? .everywhere : .nowhere
    let isExplicit = settings.anonymousIsExplicit
    @Sendable func read(_ text: [UInt8]) throws -> AuthenticationConfiguration {
      let read = try AuthenticationConfiguration(text, ownIssuers: own)
      if read.anonymous != nil, isExplicit {
        throw ConfigurationProblem(
          description: "--anonymous-auth flag cannot be set when anonymous field is configured in authentication "
            + "configuration file")
      }
      return read
    }
    let text = try text(path)
    let first: AuthenticationConfiguration
    do { first = try read(text) } catch { throw ConfigurationProblem(description: "\(path): \(error)") }
    anonymous.set(first.anonymous ?? rule)
    let authenticators = JWTAuthenticators(made(first, logger))
    let follower = FileFollower(path, "authentication configuration", current: text, logger: logger) { text in
      try metrics.counting(.authentication) {
        let next = try read(text)
        anonymous.set(next.anonymous ?? rule)
        let old = authenticators.replace(made(next, logger))
        Task {
          try? await Task.sleep(for: .seconds(60))
          for authenticator in old { await authenticator.shutdown() }
        }
      }
    }
    return (authenticators, [follower])
  }

  private static func made(_ configuration: AuthenticationConfiguration, _ logger: Logger) -> [JWTAuthenticator] {
    configuration.issuers.map { issuer in
      JWTAuthenticator(
        JWTIssuer(
          url: issuer.url, discoveryURL: issuer.discoveryURL, authorityPEM: issuer.authorities, logger: logger),
        audiences: issuer.audiences, algorithms: issuer.algorithms, mappings: issuer.mappings)
    }
  }

  private static func text(_ path: String) throws -> [UInt8] {
    guard let text = readWholeFile(path) else { throw ConfigurationProblem(description: "cannot read \(path)") }
    return text
  }

  @Sendable static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  func shutdown() async {
    await webhook?.shutdown()
    for authenticator in jwt?.current ?? [] { await authenticator.shutdown() }
    await authorizer.chain.shutdown()
  }
}

extension AuthorizerChain {
  func shutdown() async {
    for case .webhook(let webhook) in steps { await webhook.shutdown() }
  }
}
