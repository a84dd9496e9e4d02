import API
import Client
import Synchronization

/// Finds out who a bearer token stands for by asking the API server (TokenReview).
final class TokenAuthenticator: Sendable {
  private let client: APIClient?
  private let clock: @Sendable () -> ContinuousTime
  private let known = Mutex<[String: (who: ClientIdentity?, until: ContinuousTime)]>([:])

  init(client: APIClient?, clock: @escaping @Sendable () -> ContinuousTime) {
    self.client = client
    self.clock = clock
  }

  /// Nil when the token is nobody's, or the server cannot be asked.
  func identity(_ token: String) async -> ClientIdentity? {
    let now = clock()
    if let answer = known.withLock({ $0[token] }), answer.until > now { return answer.who }
    guard let client else { return nil }
    var review = TokenReview()
    review.spec.token = token
    guard let answer = try? await client.create(review) else { return nil }
    let user = answer.status.user
    let who =
      answer.status.authenticated
      ? ClientIdentity(user: user.username, groups: user.groups, uid: user.uid, extra: user.extra) : nil
    // As upstream's cache: two minutes.
    known.withLock { all in
      if all.count > 1000 { all = [:] }
      all[token] = (who, now + .seconds(120))
    }
    return who
  }
}
