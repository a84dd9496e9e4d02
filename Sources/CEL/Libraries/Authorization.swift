/// What an expression asks the server's authorizer.
public struct CELAuthorizationRequest: Sendable, Hashable {
  public var verb = ""
  /// Of requests that are not for resources.
  public var path: String?
  public var group = ""
  public var resource = ""
  public var subresource = ""
  public var namespace = ""
  public var name = ""
  public var fieldSelector = ""
  public var labelSelector = ""
  /// The service account that is asked about in place of the request's user.
  public var serviceAccount: ServiceAccount?

  public init() {}

  public struct ServiceAccount: Sendable, Hashable {
    public var namespace: String
    public var name: String
  }
}

/// What the authorizer says.
public struct CELAuthorizationDecision: Sendable, Hashable {
  public var isAllowed: Bool
  public var reason: String
  /// Why it could not say, if it could not.
  public var error: String?

  public init(isAllowed: Bool, reason: String = "", error: String? = nil) {
    self.isAllowed = isAllowed
    self.reason = reason
    self.error = error
  }
}

/// The server's side of the variable `authorizer`.
public protocol CELAuthorizing: Sendable {
  /// Decides for the user of the request, or for the service account that is asked about.
  func authorize(_ request: CELAuthorizationRequest) -> CELAuthorizationDecision
}

/// `authorizer` and the checks that are built from it.
public final class CELAuthorizer: CELOpaque {
  enum Stage: String {
    case authorizer = "Authorizer", path = "PathCheck", group = "GroupCheck", resource = "ResourceCheck"
  }
  let stage: Stage
  let authorizing: any CELAuthorizing
  let request: CELAuthorizationRequest
  public var typeName: String { "kubernetes.authorization.\(stage.rawValue)" }

  init(_ stage: Stage, _ authorizing: any CELAuthorizing, _ request: CELAuthorizationRequest) {
    self.stage = stage
    self.authorizing = authorizing
    self.request = request
  }

  public func isEqual(to other: any CELOpaque) -> Bool {
    (other as? CELAuthorizer).map { $0.stage == stage && $0.request == request } ?? false
  }

  /// The value of the variable `authorizer`.
  public static func value(_ authorizing: any CELAuthorizing) -> CELValue {
    .opaque(CELAuthorizer(.authorizer, authorizing, CELAuthorizationRequest()))
  }

  /// The value of `authorizer.requestResource`: a check for the resource of the request itself.
  public static func requestResource(_ authorizing: any CELAuthorizing, _ request: CELAuthorizationRequest) -> CELValue
  {
    .opaque(CELAuthorizer(.resource, authorizing, request))
  }

  /// The types of the two variables.
  public static let type = CELType.opaque("kubernetes.authorization.Authorizer", [])
  public static let resourceCheckType = CELType.opaque("kubernetes.authorization.ResourceCheck", [])
}

final class CELDecision: CELOpaque {
  let typeName = "kubernetes.authorization.Decision"
  let decision: CELAuthorizationDecision
  init(_ decision: CELAuthorizationDecision) { self.decision = decision }
  func isEqual(to other: any CELOpaque) -> Bool { (other as? CELDecision)?.decision == decision }
}

extension CELLibrary {
  static let authorization: CELLibrary = {
    var out = CELLibrary("kubernetes.authorization")
    func type(_ stage: String) -> String { "kubernetes.authorization.\(stage)" }
    for stage in ["Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision"] {
      out.types[type(stage)] = .opaque(type(stage), [])
    }
    func step(
      _ name: String, _ from: CELAuthorizer.Stage, _ to: CELAuthorizer.Stage, args count: Int = 1,
      _ change: @escaping @Sendable (inout CELAuthorizationRequest, [String]) throws(CELError) -> Void
    ) {
      let strings = Array(repeating: ", string", count: count).joined()
      let signature = ".\(from)_\(name) (\(type(from.rawValue))\(strings)) -> \(type(to.rawValue))"
      out.add(name, [signature]) { (args) throws(CELError) in
        guard case .opaque(let opaque) = args[0], let check = opaque as? CELAuthorizer, check.stage == from else {
          throw .noSuchOverload
        }
        var texts: [String] = []
        for arg in args.dropFirst() { texts.append(try arg.string()) }
        var request = check.request
        try change(&request, texts)
        return .opaque(CELAuthorizer(to, check.authorizing, request))
      }
    }
    step("path", .authorizer, .path) { (request, args) throws(CELError) in
      guard !args[0].isEmpty else { throw CELError("path must not be empty") }
      request.path = args[0]
    }
    step("group", .authorizer, .group) { request, args in request.group = args[0] }
    step("serviceAccount", .authorizer, .authorizer, args: 2) { request, args in
      request.serviceAccount = .init(namespace: args[0], name: args[1])
    }
    step("resource", .group, .resource) { request, args in request.resource = args[0] }
    step("subresource", .resource, .resource) { request, args in request.subresource = args[0] }
    step("namespace", .resource, .resource) { request, args in request.namespace = args[0] }
    step("name", .resource, .resource) { request, args in request.name = args[0] }
    step("fieldSelector", .resource, .resource) { request, args in request.fieldSelector = args[0] }
    step("labelSelector", .resource, .resource) { request, args in request.labelSelector = args[0] }
    out.add(
      "check",
      [
        ".pathcheck_check (\(type("PathCheck")), string) -> \(type("Decision"))",
        ".resourcecheck_check (\(type("ResourceCheck")), string) -> \(type("Decision"))",
      ]
    ) { (args) throws(CELError) in
      guard case .opaque(let opaque) = args[0], let check = opaque as? CELAuthorizer else { throw .noSuchOverload }
      var request = check.request
      request.verb = try args[1].string()
      return .opaque(CELDecision(check.authorizing.authorize(request)))
    }
    func answer(_ name: String, _ result: String, _ body: @escaping @Sendable (CELAuthorizationDecision) -> CELValue) {
      out.add(name, [".decision_\(name) (\(type("Decision"))) -> \(result)"]) { (args) throws(CELError) in
        guard case .opaque(let opaque) = args[0], let decision = opaque as? CELDecision else { throw .noSuchOverload }
        return body(decision.decision)
      }
    }
    answer("errored", "bool") { .bool($0.error != nil) }
    answer("error", "string") { .string($0.error ?? "") }
    answer("allowed", "bool") { .bool($0.isAllowed && $0.error == nil) }
    answer("reason", "string") { .string($0.reason) }
    return out
  }()
}
