import API
import APIMachinery
import Client
import HTTP
import PKI
import Synchronization

/// Authentication and authorization by asking the API server (TokenReview and SubjectAccessReview), as upstream's
/// components do for their own HTTPS ports; client certificates are checked against the authority it publishes.
final class DelegatedAccess: Sendable {
  enum Decision: Sendable {
    case allowed
    case refused(HTTPResponse)
  }

  private struct User: Sendable, Hashable {
    var name: String
    var groups: [String]
    var uid = ""
  }
  private struct Question: Hashable {
    var user: User
    var path: String
    var verb: String
  }
  private struct State {
    var authorities: [CertificateInfo] = []
    var users: [String: (user: User?, until: ContinuousClock.Instant)] = [:]
    var answers: [Question: (allowed: Bool, until: ContinuousClock.Instant)] = [:]
  }

  private let authentication: APIClient
  private let authorization: APIClient
  private let lifetimes: (token: Duration, yes: Duration, no: Duration)
  private let state = Mutex(State())
  /// What is remembered at most; when there is more, all is forgotten and asked again.
  private static let limit = 1000

  init(authentication: APIClient, authorization: APIClient, lifetimes: (token: Duration, yes: Duration, no: Duration)) {
    self.authentication = authentication
    self.authorization = authorization
    self.lifetimes = lifetimes
  }

  // MARK: Certificates

  /// Takes the certificates of these authorities (PEM) from now on.
  func trust(_ pem: String) throws {
    let mark = "-----BEGIN CERTIFICATE-----"
    let found = try pem.components(after: mark).map { try CertificateInfo(pem: mark + $0) }
    state.withLock { $0.authorities = found }
  }

  /// Reads the authority that the API server publishes, again and again until the task is cancelled.
  func followPublishedAuthority() async throws {
    while true {
      if let map = try? await authentication.get(
        ConfigMap.self, namespace: "kube-system", name: "extension-apiserver-authentication"),
        let pem = map.data["client-ca-file"], !pem.isEmpty
      {
        try? trust(pem)
      }
      try await Task.sleep(for: .seconds(state.withLock { $0.authorities.isEmpty } ? 2 : 60))
    }
  }

  /// Whether a chain (DER, leaf first) was signed by a trusted authority.
  func verify(_ chain: [[UInt8]]) -> Bool {
    guard let leaf = chain.first.flatMap({ try? CertificateInfo(der: $0) }), leaf.isValid(at: .now) else {
      return false
    }
    return state.withLock { $0.authorities }.contains { leaf.isSigned(by: $0) && $0.isValid(at: .now) }
  }

  // MARK: Requests

  func decide(_ head: HTTPRequestHead) async -> Decision {
    guard let user = await user(of: head) else {
      return .refused(ComponentHealth.text(401, "Unauthorized"))
    }
    let verb = head.method.lowercased()
    if user.groups.contains("system:masters") { return .allowed }
    let question = Question(user: user, path: head.path, verb: verb)
    let now = ContinuousClock.now
    if let known = state.withLock({ $0.answers[question] }), known.until > now {
      return known.allowed ? .allowed : refused(question)
    }
    var review = SubjectAccessReview()
    review.spec.user = user.name
    review.spec.groups = user.groups
    review.spec.uid = user.uid
    var attributes = NonResourceAttributes()
    attributes.path = head.path
    attributes.verb = verb
    review.spec.nonResourceAttributes = attributes
    guard let answer = try? await authorization.create(review) else {
      return .refused(ComponentHealth.text(500, "Internal Server Error: the API server cannot be asked"))
    }
    let allowed = answer.status.allowed
    state.withLock { state in
      if state.answers.count > Self.limit { state.answers = [:] }
      state.answers[question] = (allowed, now + (allowed ? lifetimes.yes : lifetimes.no))
    }
    return allowed ? .allowed : refused(question)
  }

  private func refused(_ question: Question) -> Decision {
    .refused(
      ComponentHealth.text(
        403, "Forbidden: \"\(question.path)\", User \"\(question.user.name)\" cannot \(question.verb) path"))
  }

  private func user(of head: HTTPRequestHead) async -> User? {
    if let peer = head.tls, peer.verified, let leaf = peer.certificates.first.flatMap({ try? CertificateInfo(der: $0) })
    {
      return User(name: leaf.commonName, groups: leaf.organizations + ["system:authenticated"])
    }
    guard let header = head.headers["authorization"], header.lowercased().hasPrefix("bearer ") else {
      return User(name: "system:anonymous", groups: ["system:unauthenticated"])
    }
    let token = String(header.dropFirst(7))
    let now = ContinuousClock.now
    if let known = state.withLock({ $0.users[token] }), known.until > now { return known.user }
    var review = TokenReview()
    review.spec.token = token
    guard let answer = try? await authentication.create(review) else { return nil }
    let user =
      answer.status.authenticated
      ? User(name: answer.status.user.username, groups: answer.status.user.groups, uid: answer.status.user.uid) : nil
    state.withLock { state in
      if state.users.count > Self.limit { state.users = [:] }
      state.users[token] = (user, now + lifetimes.token)
    }
    return user
  }
}

extension String {
  /// The pieces that begin after each occurrence of a mark.
  fileprivate func components(after mark: String) -> [String] {
    var pieces: [String] = []
    var rest = self[...]
    while let found = rest.firstRange(of: mark) {
      rest = rest[found.upperBound...]
      pieces.append(String(rest[..<(rest.firstRange(of: mark)?.lowerBound ?? rest.endIndex)]))
    }
    return pieces
  }
}
