public import HTTP

/// Who makes a request.
public struct UserInfo: Sendable, Hashable {
  public var name: String
  public var uid: String
  public var groups: [String]
  public var extra: [String: [String]]

  public init(name: String, uid: String = "", groups: [String] = [], extra: [String: [String]] = [:]) {
    self.name = name
    self.uid = uid
    self.groups = groups
    self.extra = extra
  }

  public static let anonymousName = "system:anonymous"
  public static let authenticatedGroup = "system:authenticated"
  public static let unauthenticatedGroup = "system:unauthenticated"
  public static let mastersGroup = "system:masters"
  public static let nodesGroup = "system:nodes"
  public static let serviceAccountsGroup = "system:serviceaccounts"
  public static let nodeUserPrefix = "system:node:"
  public static let serviceAccountPrefix = "system:serviceaccount:"

  public static let anonymous = UserInfo(name: anonymousName, groups: [unauthenticatedGroup])

  /// The server's own identity for what it does by itself.
  public static let apiServer = UserInfo(name: "system:apiserver", groups: [mastersGroup, authenticatedGroup])
}

/// `UserInfo` under a name that no API type has.
public typealias APIServerUser = UserInfo

/// What a request is about, as upstream's RequestInfo.
public struct RequestInfo: Sendable, Hashable {
  public var isResource = false
  /// get, list, watch, create, update, patch, delete, deletecollection (or proxy's); for non-resource requests the
  /// HTTP method in lower case.
  public var verb = ""
  /// `api` or `apis`.
  public var apiPrefix = ""
  public var apiGroup = ""
  public var apiVersion = ""
  public var resource = ""
  public var subresource = ""
  public var namespace = ""
  public var name = ""
  /// The field selector of a list, a watch or a deletion of many, as sent.
  public var fieldSelector = ""
  /// The label selector of such a request, as sent.
  public var labelSelector = ""
  /// The path after the namespace: resource, name, subresource and what follows.
  public var parts: [String] = []
  /// The decoded path.
  public var path = ""

  public init() {}
}

/// A request for a resource, authenticated and authorized.
public struct ResourceRequest: Sendable {
  public var info: RequestInfo
  public var user: UserInfo
  /// Decoded, in order.
  public var query: [(String, String)]
  public var headers: HTTPFields
  /// The body as sent; the media type is in `contentType`.
  public var body: [UInt8]
  /// Without parameters and in lower case (`application/json` when absent).
  public var contentType: String
  /// The `Accept` field as sent (`*/*` when absent).
  public var accept: String
  /// What `accept` came to; set by the registry before it answers.
  var form = ResponseForm()
  /// What is written down about the request, if anything is.
  var audit: AuditRecord?

  public init(
    info: RequestInfo, user: UserInfo, query: [(String, String)] = [], headers: HTTPFields = .init(),
    body: [UInt8] = [], contentType: String = "application/json", accept: String = "*/*"
  ) {
    self.info = info
    self.user = user
    self.query = query
    self.headers = headers
    self.body = body
    self.contentType = contentType
    self.accept = accept
  }

  /// The first value of a query parameter.
  public func parameter(_ name: String) -> String? { query.first { $0.0 == name }?.1 }
}

/// What an authorizer is asked.
public struct AuthorizationAttributes: Sendable, Hashable {
  public var verb: String
  public var apiGroup = ""
  public var apiVersion = ""
  public var resource = ""
  public var subresource = ""
  public var namespace = ""
  public var name = ""
  /// The field selector of a list, a watch or a deletion of many, as sent.
  public var fieldSelector = ""
  /// The label selector of such a request, as sent.
  public var labelSelector = ""
  /// Selectors that came as requirements, in place of the texts.
  var givenSelectors: AccessSelectors?
  public var isResource: Bool
  /// Non-resource requests only.
  public var path = ""

  /// A question about a resource.
  public init(
    verb: String, apiGroup: String, apiVersion: String = "*", resource: String, subresource: String = "",
    namespace: String = "", name: String = ""
  ) {
    self.verb = verb
    self.apiGroup = apiGroup
    self.apiVersion = apiVersion
    self.resource = resource
    self.subresource = subresource
    self.namespace = namespace
    self.name = name
    self.isResource = true
  }

  /// A question about a path.
  public init(verb: String, path: String) {
    self.verb = verb
    self.path = path
    self.isResource = false
  }

  /// What a request asks for.
  public init(_ info: RequestInfo) {
    if info.isResource {
      self.init(
        verb: info.verb, apiGroup: info.apiGroup, apiVersion: info.apiVersion, resource: info.resource,
        subresource: info.subresource, namespace: info.namespace, name: info.name)
      fieldSelector = info.fieldSelector
      labelSelector = info.labelSelector
    } else {
      self.init(verb: info.verb, path: info.path)
    }
  }
}

/// An authorizer's decision.
public enum AuthorizationDecision: Sendable, Hashable { case allowed, denied, noOpinion }

/// Decides who may do what; synchronous, so that it can run on an event loop.
public protocol Authorizer: Sendable {
  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  )
}

extension Authorizer {
  /// Whether the request is allowed; no opinion is no.
  public func allows(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> Bool {
    authorize(user, attributes).decision == .allowed
  }
}

/// Allows everything, for tests and for a server told to trust everybody.
public struct AlwaysAllow: Authorizer {
  public init() {}
  public func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) { (.allowed, "") }
}

/// What an authenticator found.
public enum AuthenticationResult: Sendable {
  /// No credentials of this authenticator's kind.
  case absent
  case user(UserInfo)
  /// Credentials were given and are bad; the client gets 401.
  case failed(String)
}

extension AuthenticationResult {
  var user: UserInfo? { if case .user(let user) = self { user } else { nil } }
}

/// Finds out who makes a request.
public protocol Authenticator: Sendable {
  /// The answer when it is at hand without waiting; nil means: call `authenticate`.
  func authenticateSync(_ head: HTTPRequestHead) -> AuthenticationResult?
  func authenticate(_ head: HTTPRequestHead) async -> AuthenticationResult
}
