import APIServer

/// Flags of kube-apiserver about who is let in and who decides.
enum APIServerAccessFlags {
  static let all: [GoFlag] = authentication + oidc + frontProxy + authorization

  private static let authentication: [GoFlag] = [
    .flag("anonymous-auth", true, "Whether a request without credentials is system:anonymous."),
    .text("token-auth-file", "", "Lines of token,user,uid,\"groups\"."),
    .flag("enable-bootstrap-token-auth", true, "Must be true: bootstrap tokens are always read."),
    .text("authentication-config", "", "A file with an AuthenticationConfiguration; it is read again when it changes."),
    .text("authentication-token-webhook-config-file", "", "A kubeconfig of the webhook that knows tokens."),
    .text("authentication-token-webhook-version", "v1beta1", "The version of TokenReview that it is sent."),
    .duration("authentication-token-webhook-cache-ttl", "2m0s", "How long its answers are good for."),
  ]

  private static let oidc: [GoFlag] = [
    .text("oidc-issuer-url", "", "The OpenID issuer whose tokens are taken."),
    .text("oidc-client-id", "", "Whom its tokens must be for."),
    .text("oidc-ca-file", "", "Who signed its certificate (PEM)."),
    .text("oidc-username-claim", "sub", "The claim with the user's name."),
    .text("oidc-username-prefix", "", "What is put before it; - for nothing."),
    .text("oidc-groups-claim", "", "The claim with the user's groups."),
    .text("oidc-groups-prefix", "", "What is put before them."),
    .list("oidc-signing-algs", "RS256", "The algorithms of signatures that are taken."),
    .list("oidc-required-claim", "", "claim=value that a token must have."),
  ]

  private static let frontProxy: [GoFlag] = [
    .text("requestheader-client-ca-file", "", "Who signs the certificates of proxies that speak for users (PEM)."),
    .list("requestheader-allowed-names", "", "The common names of such proxies; any if empty."),
    .list("requestheader-username-headers", "", "Where they name the user."),
    .list("requestheader-group-headers", "", "Where they name the user's groups."),
    .list("requestheader-extra-headers-prefix", "", "How headers begin that say more of the user."),
    .list("requestheader-uid-headers", "", "Where they name the user's UID."),
  ]

  private static let authorization: [GoFlag] = [
    .list(
      "authorization-mode", "", "Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny, in the order in which they are asked."),
    .text("authorization-config", "", "A file with an AuthorizationConfiguration; it is read again when it changes."),
    .text("authorization-webhook-config-file", "", "A kubeconfig of the webhook of the mode Webhook."),
    .text("authorization-webhook-version", "v1beta1", "The version of SubjectAccessReview that it is sent."),
    .duration("authorization-webhook-cache-authorized-ttl", "5m0s", "How long what it allows is good for."),
    .duration("authorization-webhook-cache-unauthorized-ttl", "30s", "How long what it does not allow is."),
  ]

  static func apply(_ values: FlagValues, to settings: inout APIServer.Configuration) throws {
    try applyAuthentication(values, &settings)
    try applyAuthorization(values, &settings.authorization)
    // What the cluster has by itself stays unless another authority is named.
    guard let file = values.path("requestheader-client-ca-file") else { return }
    settings.requestHeaderClientCAFile = file
    settings.requestHeaderAllowedNames = values.list("requestheader-allowed-names")
    settings.requestHeaderUsernameHeaders = values.list("requestheader-username-headers")
    settings.requestHeaderGroupHeaders = values.list("requestheader-group-headers")
    settings.requestHeaderExtraHeaderPrefixes = values.list("requestheader-extra-headers-prefix")
    settings.requestHeaderUIDHeaders = values.list("requestheader-uid-headers")
  }

  private static func applyAuthentication(_ values: FlagValues, _ settings: inout APIServer.Configuration) throws {
    settings.anonymousAuth = values.flag("anonymous-auth")
    if let file = values.path("token-auth-file") { settings.tokenFile = file }
    var authentication = settings.authentication
    authentication.anonymousIsExplicit = values.isSet("anonymous-auth")
    authentication.configurationFile = values.path("authentication-config")
    authentication.webhookFile = values.path("authentication-token-webhook-config-file")
    authentication.webhookVersion = values.text("authentication-token-webhook-version")
    authentication.webhookCacheTTL = values.duration("authentication-token-webhook-cache-ttl")
    if oidc.contains(where: { values.isSet($0.name) }) {
      if authentication.configurationFile != nil {
        throw FlagError("authentication-config file and oidc-* flags are mutually exclusive")
      }
      var provider = OIDCSettings()
      provider.issuerURL = values.text("oidc-issuer-url")
      provider.clientID = values.text("oidc-client-id")
      if provider.issuerURL.isEmpty || provider.clientID.isEmpty {
        throw FlagError("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")
      }
      provider.authoritiesFile = values.path("oidc-ca-file")
      provider.usernameClaim = values.text("oidc-username-claim")
      provider.usernamePrefix = values.text("oidc-username-prefix")
      provider.groupsClaim = values.text("oidc-groups-claim")
      provider.groupsPrefix = values.text("oidc-groups-prefix")
      provider.signingAlgorithms = values.list("oidc-signing-algs")
      provider.requiredClaims = values.map("oidc-required-claim")
      authentication.oidc = provider
    }
    settings.authentication = authentication
  }

  private static func applyAuthorization(_ values: FlagValues, _ settings: inout AuthorizationSettings) throws {
    if values.isSet("authorization-mode") { settings.modes = values.list("authorization-mode") }
    if let file = values.path("authorization-config") {
      let others = authorization.map(\.name).filter { $0 != "authorization-config" && values.isSet($0) }
      if !others.isEmpty {
        throw FlagError(
          "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags "
            + "are defined")
      }
      settings.configurationFile = file
    }
    settings.webhookFile = values.path("authorization-webhook-config-file")
    settings.webhookVersion = values.text("authorization-webhook-version")
    settings.authorizedTTL = values.duration("authorization-webhook-cache-authorized-ttl")
    settings.unauthorizedTTL = values.duration("authorization-webhook-cache-unauthorized-ttl")
  }
}
