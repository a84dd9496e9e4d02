/// Who decides what users may do.
public struct AuthorizationSettings: Sendable {
  /// In their order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny.
  public var modes = ["Node", "RBAC"]
  /// A kubeconfig of the webhook, for the mode of that name.
  public var webhookFile: String?
  public var webhookVersion = "v1beta1"
  public var authorizedTTL = Duration.seconds(300)
  public var unauthorizedTTL = Duration.seconds(30)
  /// An AuthorizationConfiguration, in place of all of that.
  public var configurationFile: String?

  public init() {}
}
