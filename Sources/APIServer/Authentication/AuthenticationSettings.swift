/// Ways to authenticate that are told by flags of their own.
public struct AuthenticationSettings: Sendable {
  /// A kubeconfig of the webhook that knows tokens.
  public var webhookFile: String?
  public var webhookVersion = "v1beta1"
  /// How long its answers are good for; zero asks every time.
  public var webhookCacheTTL = Duration.seconds(120)
  /// An AuthenticationConfiguration.
  public var configurationFile: String?
  /// Whether `anonymousAuth` was asked for in so many words: then the file may not speak of it.
  public var anonymousIsExplicit = false
  /// The issuer of the flags `--oidc-*`.
  public var oidc: OIDCSettings?

  public init() {}
}

/// The flags `--oidc-*`.
public struct OIDCSettings: Sendable {
  public var issuerURL = ""
  public var clientID = ""
  public var authoritiesFile: String?
  public var usernameClaim = "sub"
  public var usernamePrefix = ""
  public var groupsClaim = ""
  public var groupsPrefix = ""
  public var signingAlgorithms = ["RS256"]
  public var requiredClaims: [String: String] = [:]

  public init() {}
}
