import API
import APIMachinery
import HTTP

/// What a service-account token says.
struct ServiceAccountTokenClaims: Sendable {
  /// The object whose life the token shares.
  struct Bound: Sendable {
    var kind: String
    var name: String
    var uid: String
  }

  var namespace: String
  var serviceAccountName: String
  var serviceAccountUID: String
  var audiences: [String]
  var expirationSeconds: Int64
  var bound: Bound?
  /// The node of the pod that the token is bound to.
  var node: Bound?
}

/// Signs service-account tokens.
protocol TokenIssuer: Sendable {
  /// The audiences of a token whose request names none.
  var defaultAudiences: [String] { get }
  func issue(_ claims: ServiceAccountTokenClaims) async throws -> (token: String, expiration: Time)
}

extension Registry {
  /// `serviceaccounts/token`: a token for the account.
  func token(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let context = try WriteContext(resource, request, kind: "CreateOptions")
    guard let tokenIssuer else { throw StatusError.serviceUnavailable("no token issuer") }
    let raw = try decodeBody(
      resource, request, context.options, context.warnings, kind: TokenRequest.gvk,
      schema: builtInSchema.schema(for: TokenRequest.gvk))
    var sent: TokenRequest
    do { sent = try TokenRequest.decode(raw.encoded()) } catch {
      throw cannotHandle(TokenRequest.gvk, message(error))
    }
    guard let account = object(ServiceAccount.self, namespace: context.namespace, name: context.name) else {
      throw context.notFound()
    }
    if !sent.metadata.name.isEmpty, sent.metadata.name != context.name {
      throw StatusError.badRequest(
        "the name of the object (\(sent.metadata.name)) does not match the name on the URL (\(context.name))")
    }
    if sent.spec.expirationSeconds == nil { sent.spec.expirationSeconds = 3600 }
    if configuration.nodeRestriction { try NodeRestriction().check(sent, context, self) }
    try await admit(&sent, context)
    try check(sent)
    if sent.spec.audiences.isEmpty { sent.spec.audiences = tokenIssuer.defaultAudiences }
    var claims = ServiceAccountTokenClaims(
      namespace: context.namespace, serviceAccountName: context.name, serviceAccountUID: account.metadata.uid,
      audiences: sent.spec.audiences, expirationSeconds: sent.spec.expirationSeconds ?? 3600)
    if let reference = sent.spec.boundObjectRef { try bind(reference, context, &claims) }
    let issued = try await tokenIssuer.issue(claims)
    sent.metadata.name = context.name
    sent.metadata.namespace = context.namespace
    sent.metadata.creationTimestamp = now()
    sent.status.token = issued.token
    sent.status.expirationTimestamp = issued.expiration
    return jsonResponse(201, sent.encodedWithType(), warnings: context.warnings.all)
  }

  private func check(_ request: TokenRequest) throws {
    var errors: [FieldError] = []
    let seconds = request.spec.expirationSeconds ?? 3600
    if seconds < 600 {
      errors.append(
        .invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    }
    if seconds > 1 << 32 {
      errors.append(
        .invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    }
    if !errors.isEmpty {
      throw StatusError.invalid(TokenRequest.gvk.groupKind, request.metadata.name, errors)
    }
  }

  private func bind(
    _ reference: BoundObjectReference, _ context: WriteContext, _ claims: inout ServiceAccountTokenClaims
  ) throws {
    let uid: String
    let resource: GroupResource
    switch (reference.apiVersion, reference.kind) {
    case ("v1", "Pod"):
      resource = Pod.groupResource
      guard let pod = object(Pod.self, namespace: context.namespace, name: reference.name) else {
        throw StatusError.notFound(resource, reference.name)
      }
      if pod.spec.serviceAccountName != context.name {
        throw StatusError.badRequest(
          "cannot bind token for serviceaccount \(goQuoted(context.name)) to pod running with different "
            + "serviceaccount name.")
      }
      uid = pod.metadata.uid
      if !pod.spec.nodeName.isEmpty {
        let node = object(Node.self, name: pod.spec.nodeName)
        claims.node = .init(kind: "Node", name: pod.spec.nodeName, uid: node?.metadata.uid ?? "")
      }
    case ("v1", "Secret"):
      resource = Secret.groupResource
      guard let secret = object(Secret.self, namespace: context.namespace, name: reference.name) else {
        throw StatusError.notFound(resource, reference.name)
      }
      uid = secret.metadata.uid
    case ("v1", "Node"):
      resource = Node.groupResource
      guard let node = object(Node.self, name: reference.name) else {
        throw StatusError.notFound(resource, reference.name)
      }
      uid = node.metadata.uid
    default:
      throw StatusError.badRequest(
        "cannot bind token to a \(reference.apiVersion), Kind=\(reference.kind) object.")
    }
    if !reference.uid.isEmpty, reference.uid != uid {
      throw StatusError.conflict(
        resource, reference.name,
        "the UID in the bound object reference (\(reference.uid)) does not match the UID in record. "
          + "The object might have been deleted and then recreated")
    }
    claims.bound = .init(kind: reference.kind, name: reference.name, uid: uid)
  }
}
