import API
import APIMachinery
import APIMeta
import HTTP
import PKI

private typealias ReviewedUser = API.UserInfo

/// The review resources: questions about who somebody is and what they may do.
extension APIServer {
  func registerReviews() {
    registry.serve("authorization.k8s.io", "subjectaccessreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(SubjectAccessReview.self, request)
      review.status = try self.status(review.spec, kind: "SubjectAccessReview")
      return jsonResponse(201, review.encodedWithType())
    }
    registry.serve("authorization.k8s.io", "localsubjectaccessreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(LocalSubjectAccessReview.self, request)
      let namespace = review.spec.resourceAttributes?.namespace ?? ""
      if namespace != request.info.namespace || review.spec.nonResourceAttributes != nil {
        throw StatusError.invalid(
          group: "authorization.k8s.io", kind: "LocalSubjectAccessReview", name: "",
          [.invalid("spec.resourceAttributes.namespace", namespace, "must match metadata.namespace")])
      }
      review.metadata.namespace = request.info.namespace
      review.status = try self.status(review.spec, kind: "LocalSubjectAccessReview")
      return jsonResponse(201, review.encodedWithType())
    }
    registry.serve("authorization.k8s.io", "selfsubjectaccessreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(SelfSubjectAccessReview.self, request)
      review.status = try self.status(
        request.user, review.spec.resourceAttributes, review.spec.nonResourceAttributes,
        kind: "SelfSubjectAccessReview")
      return jsonResponse(201, review.encodedWithType())
    }
    registry.serve("authorization.k8s.io", "selfsubjectrulesreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(SelfSubjectRulesReview.self, request)
      if review.spec.namespace.isEmpty { throw StatusError.badRequest("no namespace on request") }
      review.status = self.rules(request.user, namespace: review.spec.namespace)
      return jsonResponse(201, review.encodedWithType())
    }
    registry.serve("authentication.k8s.io", "tokenreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      return jsonResponse(201, try self.tokenReview(request).encodedWithType())
    }
    registry.serve("authentication.k8s.io", "selfsubjectreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(SelfSubjectReview.self, request)
      review.metadata.creationTimestamp = self.registry.now()
      review.status.userInfo = Self.described(request.user)
      return jsonResponse(201, review.encodedWithType())
    }
  }

  private func review<T: APIObject>(_ type: T.Type, _ request: ResourceRequest) throws -> T {
    guard request.info.verb == "create" else {
      throw StatusError.methodNotSupported(T.groupResource, request.info.verb)
    }
    let body = try registry.jsonBody(request, kind: T.gvk)
    do { return try T.decode(body) } catch {
      throw StatusError.badRequest("\(T.kind) in version \"\(T.version)\" cannot be handled as a \(T.kind): \(error)")
    }
  }

  // MARK: Access

  private func status(_ spec: SubjectAccessReviewSpec, kind: String) throws -> SubjectAccessReviewStatus {
    if spec.user.isEmpty, spec.groups.isEmpty {
      throw StatusError.invalid(
        group: "authorization.k8s.io", kind: kind, name: "",
        [.invalid("spec.user", "", "at least one of user or group must be specified")])
    }
    let user = UserInfo(name: spec.user, uid: spec.uid, groups: spec.groups, extra: spec.extra)
    return try status(user, spec.resourceAttributes, spec.nonResourceAttributes, kind: kind)
  }

  /// The selector as a request would carry it. What has no such form only narrows the question: leaving it out is safe.
  private static func selector(_ asked: FieldSelectorAttributes?) -> String {
    guard let asked else { return "" }
    if !asked.rawSelector.isEmpty { return asked.rawSelector }
    return asked.requirements.compactMap { requirement in
      guard requirement.values.count == 1 else { return nil }
      switch requirement.operator {
      case "In": return "\(requirement.key)=\(requirement.values[0])"
      case "NotIn": return "\(requirement.key)!=\(requirement.values[0])"
      default: return nil
      }
    }.joined(separator: ",")
  }

  private func status(
    _ user: UserInfo, _ resource: ResourceAttributes?, _ path: NonResourceAttributes?, kind: String
  ) throws -> SubjectAccessReviewStatus {
    var attributes: AuthorizationAttributes
    switch (resource, path) {
    case (let resource?, nil):
      attributes = AuthorizationAttributes(
        verb: resource.verb, apiGroup: resource.group, apiVersion: resource.version, resource: resource.resource,
        subresource: resource.subresource, namespace: resource.namespace, name: resource.name)
      attributes.fieldSelector = Self.selector(resource.fieldSelector)
    case (nil, let path?): attributes = AuthorizationAttributes(verb: path.verb, path: path.path)
    case (.some, .some):
      throw StatusError.invalid(
        group: "authorization.k8s.io", kind: kind, name: "",
        [
          .invalid(
            "spec.nonResourceAttributes", "", "cannot be specified in combination with resourceAttributes")
        ])
    case (nil, nil):
      throw StatusError.invalid(
        group: "authorization.k8s.io", kind: kind, name: "",
        [
          .invalid(
            "spec.resourceAttributes", "",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified")
        ])
    }
    let answer = authorizer.authorize(user, attributes)
    var status = SubjectAccessReviewStatus()
    status.allowed = answer.decision == .allowed
    status.denied = answer.decision == .denied
    status.reason = answer.reason
    return status
  }

  private func rules(_ user: UserInfo, namespace: String) -> SubjectRulesReviewStatus {
    var status = SubjectRulesReviewStatus()
    var (rules, problems) = rbac.rules(for: user, namespace: namespace)
    if user.groups.contains(UserInfo.mastersGroup) || !configuration.rbac {
      rules.insert(contentsOf: [PolicyText.rule("*; *; *"), PolicyText.rule("*; *")], at: 0)
    }
    for rule in rules {
      if rule.resources.isEmpty {
        var item = NonResourceRule()
        item.verbs = rule.verbs
        item.nonResourceURLs = rule.nonResourceURLs
        status.nonResourceRules.append(item)
      } else {
        var item = ResourceRule()
        item.verbs = rule.verbs
        item.apiGroups = rule.apiGroups
        item.resources = rule.resources
        item.resourceNames = rule.resourceNames
        status.resourceRules.append(item)
      }
    }
    if NodeAuthorizer.nodeName(user) != nil {
      problems.append("node authorizer does not support user rule resolution")
      status.incomplete = true
    }
    status.incomplete = status.incomplete || !problems.isEmpty
    status.evaluationError = problems.joined(separator: ", ")
    return status
  }

  // MARK: Identity

  private func tokenReview(_ request: ResourceRequest) throws -> TokenReview {
    var review = try review(TokenReview.self, request)
    if review.spec.token.isEmpty {
      throw StatusError.badRequest("token is required for TokenReview in authentication")
    }
    let token = review.spec.token
    review.status = TokenReviewStatus()
    switch authenticator.authenticate(token: token, audiences: review.spec.audiences) {
    case .user(let user):
      review.status.authenticated = true
      review.status.user = Self.described(RequestAuthenticator.completed(user))
      review.status.audiences = audiences(token, wanted: review.spec.audiences)
    case .failed(let reason): review.status.error = reason
    case .absent: break
    }
    return review
  }

  /// The audiences that the token shares with those asked for; those of this server where none were asked for.
  private func audiences(_ token: String, wanted: [String]) -> [String] {
    let own = configuration.audiences.isEmpty ? [configuration.serviceAccountIssuer] : configuration.audiences
    let asked = wanted.isEmpty ? own : wanted
    guard let verified = try? tokens?.verify(token, audiences: asked, now: registry.now()) else {
      return wanted.isEmpty ? [] : asked.filter { own.contains($0) }
    }
    return verified.audiences
  }

  private static func described(_ user: UserInfo) -> ReviewedUser {
    var info = ReviewedUser()
    info.username = user.name
    info.uid = user.uid
    info.groups = user.groups
    info.extra = user.extra
    return info
  }
}
