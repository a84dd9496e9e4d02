public import APIMachinery

/// What a service account token says.
public struct ServiceAccountClaims: Sendable, Hashable {
  /// An object the token is bound to.
  public struct Reference: Sendable, Hashable {
    /// The object's name.
    public var name: String
    /// The object's uid.
    public var uid: String

    /// Makes a reference.
    public init(name: String, uid: String) {
      self.name = name
      self.uid = uid
    }
  }

  /// `iss`; the signer fills it in when it is empty.
  public var issuer = ""
  /// `aud`.
  public var audiences: [String] = []
  /// `exp`; nil only in the tokens of secrets, which do not expire.
  public var expiry: Time?
  /// `iat`.
  public var issuedAt: Time?
  /// `nbf`.
  public var notBefore: Time?
  /// `jti`: names the token in audit records.
  public var id = ""
  /// The account's namespace.
  public var namespace: String
  /// The account.
  public var serviceAccount: Reference
  /// The pod the token lives and dies with.
  public var pod: Reference?
  /// The node that pod was on, or the node the token is bound to.
  public var node: Reference?
  /// The secret the token lives and dies with.
  public var secret: Reference?
  /// From when on the use of a token with an extended life is warned about.
  public var warnAfter: Time?
  /// The secret that holds a token of the old kind (no expiry, no audience).
  public var legacySecretName: String?

  /// The issuer of tokens of the old kind.
  public static let legacyIssuer = "kubernetes/serviceaccount"

  /// Claims for an account; the rest is filled in by hand.
  public init(namespace: String, serviceAccount: Reference) {
    self.namespace = namespace
    self.serviceAccount = serviceAccount
  }

  /// Claims as TokenRequest makes them.
  public init(
    namespace: String, serviceAccount: Reference, audiences: [String], expirationSeconds: Int64, now: Time, id: String,
    pod: Reference? = nil, node: Reference? = nil, secret: Reference? = nil, warnAfterSeconds: Int64? = nil
  ) {
    self.init(namespace: namespace, serviceAccount: serviceAccount)
    self.audiences = audiences
    self.expiry = now.adding(seconds: expirationSeconds)
    self.issuedAt = now
    self.notBefore = now
    self.id = id
    self.pod = pod
    self.node = node
    self.secret = secret
    self.warnAfter = warnAfterSeconds.map { now.adding(seconds: $0) }
  }

  /// `sub`, and the user's name: `system:serviceaccount:NAMESPACE:NAME`.
  public var subject: String { "system:serviceaccount:\(namespace):\(serviceAccount.name)" }

  /// The user's groups.
  public var groups: [String] { ["system:serviceaccounts", "system:serviceaccounts:\(namespace)"] }

  /// The user's extra fields, as upstream's authenticator adds them.
  public var extra: [String: [String]] {
    var extra: [String: [String]] = [:]
    if let pod {
      extra["authentication.kubernetes.io/pod-name"] = [pod.name]
      extra["authentication.kubernetes.io/pod-uid"] = [pod.uid]
    }
    if !id.isEmpty { extra["authentication.kubernetes.io/credential-id"] = ["JTI=\(id)"] }
    if let node {
      extra["authentication.kubernetes.io/node-name"] = [node.name]
      if !node.uid.isEmpty { extra["authentication.kubernetes.io/node-uid"] = [node.uid] }
    }
    return extra
  }
}

extension ServiceAccountClaims {
  private static let legacyPrefix = "kubernetes.io/serviceaccount/"

  /// The payload, keys sorted as upstream writes them.
  var json: JSONValue {
    var claims: [String: JSONValue] = ["iss": .string(issuer), "sub": .string(subject)]
    if let legacySecretName {
      claims[Self.legacyPrefix + "namespace"] = .string(namespace)
      claims[Self.legacyPrefix + "secret.name"] = .string(legacySecretName)
      claims[Self.legacyPrefix + "service-account.name"] = .string(serviceAccount.name)
      claims[Self.legacyPrefix + "service-account.uid"] = .string(serviceAccount.uid)
      return .object(claims)
    }
    if !audiences.isEmpty { claims["aud"] = .array(audiences.map { .string($0) }) }
    if !id.isEmpty { claims["jti"] = .string(id) }
    for (name, time) in [("exp", expiry), ("iat", issuedAt), ("nbf", notBefore)] {
      if let time { claims[name] = .int(time.seconds) }
    }
    var kubernetes: [String: JSONValue] = ["namespace": .string(namespace)]
    kubernetes["serviceaccount"] = Self.json(serviceAccount)
    if let pod { kubernetes["pod"] = Self.json(pod) }
    if let node { kubernetes["node"] = Self.json(node) }
    if let secret { kubernetes["secret"] = Self.json(secret) }
    if let warnAfter { kubernetes["warnafter"] = .int(warnAfter.seconds) }
    claims["kubernetes.io"] = .object(kubernetes)
    return .object(claims)
  }

  /// Reads a payload; nil when it is no service account's.
  init?(json: JSONValue) {
    let kubernetes = json["kubernetes.io"]
    if let kubernetes, let namespace = kubernetes["namespace"]?.stringValue,
      let account = Self.reference(kubernetes["serviceaccount"])
    {
      self.init(namespace: namespace, serviceAccount: account)
      pod = Self.reference(kubernetes["pod"])
      node = Self.reference(kubernetes["node"])
      secret = Self.reference(kubernetes["secret"])
      warnAfter = Self.time(kubernetes["warnafter"])
    } else if let namespace = json[Self.legacyPrefix + "namespace"]?.stringValue,
      let name = json[Self.legacyPrefix + "service-account.name"]?.stringValue,
      let secretName = json[Self.legacyPrefix + "secret.name"]?.stringValue
    {
      let uid = json[Self.legacyPrefix + "service-account.uid"]?.stringValue ?? ""
      self.init(namespace: namespace, serviceAccount: Reference(name: name, uid: uid))
      legacySecretName = secretName
    } else {
      return nil
    }
    issuer = json["iss"]?.stringValue ?? ""
    id = json["jti"]?.stringValue ?? ""
    audiences = json["aud"]?.arrayValue?.compactMap(\.stringValue) ?? json["aud"]?.stringValue.map { [$0] } ?? []
    expiry = Self.time(json["exp"])
    issuedAt = Self.time(json["iat"])
    notBefore = Self.time(json["nbf"])
    guard json["sub"]?.stringValue == subject else { return nil }
  }

  private static func json(_ reference: Reference) -> JSONValue {
    var value: [String: JSONValue] = ["name": .string(reference.name)]
    if !reference.uid.isEmpty { value["uid"] = .string(reference.uid) }
    return .object(value)
  }

  private static func reference(_ json: JSONValue?) -> Reference? {
    guard let name = json?["name"]?.stringValue else { return nil }
    return Reference(name: name, uid: json?["uid"]?.stringValue ?? "")
  }

  private static func time(_ json: JSONValue?) -> Time? {
    if let seconds = json?.intValue { return Time(seconds: seconds) }
    // Numbers of other writers may carry a fraction; a time no clock shows is no time.
    guard let seconds = json?.doubleValue, abs(seconds) < 1e15 else { return nil }
    return Time(seconds: Int64(seconds))
  }
}
