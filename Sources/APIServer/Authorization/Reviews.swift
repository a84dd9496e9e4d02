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
      review.status = try await self.status(review.spec, kind: "SubjectAccessReview")
      return jsonResponse(201, review.encodedWithType())
    }
    registry.serve("authorization.k8s.io", "localsubjectaccessreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(LocalSubjectAccessReview.self, request)
      let namespace = review.spec.resourceAttributes?.namespace ?? ""
      var errors: [FieldError] = []
      if review.spec.resourceAttributes != nil, namespace != request.info.namespace {
        errors.append(.invalid("spec.resourceAttributes.namespace", namespace, "must match metadata.namespace"))
      }
      if review.spec.nonResourceAttributes != nil {
        errors.append(.invalid("spec.nonResourceAttributes", "", "disallowed on this kind of request"))
      }
      review.metadata.namespace = request.info.namespace
      review.status = try await self.status(review.spec, kind: "LocalSubjectAccessReview", errors)
      return jsonResponse(201, review.encodedWithType())
    }
    registry.serve("authorization.k8s.io", "selfsubjectaccessreviews") { [weak self] request in
      guard let self else { throw StatusError.serviceUnavailable("shutting down") }
      var review = try self.review(SelfSubjectAccessReview.self, request)
      review.status = try await self.status(
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
      return jsonResponse(201, try await self.tokenReview(request).encodedWithType())
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

  private func status(
    _ spec: SubjectAccessReviewSpec, kind: String, _ errors: [FieldError] = []
  ) async throws -> SubjectAccessReviewStatus {
    var errors = errors
    if spec.user.isEmpty, spec.groups.isEmpty {
      errors.append(.invalid("spec.user", "", "at least one of user or group must be specified"))
    }
    let user = UserInfo(name: spec.user, uid: spec.uid, groups: spec.groups, extra: spec.extra)
    return try await status(user, spec.resourceAttributes, spec.nonResourceAttributes, kind: kind, errors)
  }

  private func status(
    _ user: UserInfo, _ resource: ResourceAttributes?, _ path: NonResourceAttributes?, kind: String,
    _ found: [FieldError] = []
  ) async throws -> SubjectAccessReviewStatus {
    var errors: [FieldError] = []
    if resource != nil, path != nil {
      errors.append(
        .invalid("spec.nonResourceAttributes", "", "cannot be specified in combination with resourceAttributes"))
    }
    if resource == nil, path == nil {
      errors.append(
        .invalid(
          "spec.resourceAttributes", "",
          "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
    }
    errors += found + SelectorValidation.errors(resource)
    if !errors.isEmpty { throw StatusError.invalid(group: "authorization.k8s.io", kind: kind, name: "", errors) }
    var attributes = AuthorizationAttributes(verb: path?.verb ?? "", path: path?.path ?? "")
    if let resource {
      attributes = AuthorizationAttributes(
        verb: resource.verb, apiGroup: resource.group, apiVersion: resource.version, resource: resource.resource,
        subresource: resource.subresource, namespace: resource.namespace, name: resource.name)
      attributes.givenSelectors = AccessSelectors(resource)
    }
    let answer = await authorizer.answer(user, attributes)
    var status = SubjectAccessReviewStatus()
    status.allowed = answer.decision == .allowed
    status.denied = answer.decision == .denied
    status.reason = answer.reason
    let problems = (answer.error.map { [$0] } ?? []) + (attributes.givenSelectors?.problems ?? [])
    if !problems.isEmpty {
      status.evaluationError = problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]"
    }
    return status
  }

  private func rules(_ user: UserInfo, namespace: String) -> SubjectRulesReviewStatus {
    var status = SubjectRulesReviewStatus()
    let modes = accessModes
    var (rules, problems) = modes.contains("RBAC") ? rbac.rules(for: user, namespace: namespace) : ([], [])
    if user.groups.contains(UserInfo.mastersGroup) || modes.contains("AlwaysAllow") {
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
    if modes.contains("Webhook") {
      problems.append("webhook authorizer does not support user rule resolution")
      status.incomplete = true
    }
    if modes.contains("Node"), NodeAuthorizer.nodeName(user) != nil {
      problems.append("node authorizer does not support user rule resolution")
      status.incomplete = true
    }
    status.incomplete = status.incomplete || !problems.isEmpty
    status.evaluationError = problems.joined(separator: ", ")
    return status
  }

  // MARK: Identity

  private func tokenReview(_ request: ResourceRequest) async throws -> TokenReview {
    var review = try review(TokenReview.self, request)
    if review.spec.token.isEmpty {
      throw StatusError.badRequest("token is required for TokenReview in authentication")
    }
    let wanted = review.spec.audiences.isEmpty ? authenticator.audiences : review.spec.audiences
    review.status = TokenReviewStatus()
    switch await authenticator.authenticate(token: review.spec.token, audiences: wanted) {
    case .user(let user, let audiences):
      if audiences.isEmpty, !wanted.isEmpty { throw StatusError.internalError("error validating audiences") }
      review.status.authenticated = true
      review.status.user = Self.described(RequestAuthenticator.completed(user))
      review.status.audiences = audiences
    case .failed(let reason): review.status.error = reason
    // A token is what a review is about: it cannot be that there is none.
    case .absent: review.status.error = "invalid bearer token"
    }
    return review
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
