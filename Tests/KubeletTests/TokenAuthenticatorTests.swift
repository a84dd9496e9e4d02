import API
import Client
import HTTP
import Synchronization
import Testing

@testable import Kubelet

/// Answers TokenReviews, and counts them.
private final class Reviews: Transport {
  let count = Mutex(0)

  func send(_ request: TransportRequest) async throws -> TransportResponse {
    count.withLock { $0 += 1 }
    var review = try TokenReview.decode(request.body ?? [])
    if review.spec.token == "good" {
      review.status.authenticated = true
      review.status.user.username = "system:serviceaccount:a:b"
      review.status.user.groups = ["system:serviceaccounts"]
    }
    return (201, [], review.encodedWithType())
  }

  func stream(_ request: TransportRequest) async throws -> TransportStream { throw TransportError("no streams here") }
}

@Suite struct TokenAuthenticatorTests {
  @Test func asksTheServerAndRemembersForTwoMinutes() async throws {
    let reviews = Reviews()
    let time = Mutex(at(1000))
    let authenticator = TokenAuthenticator(
      client: APIClient(transport: reviews, userAgent: "test"), clock: { time.withLock { $0 } })
    let who = try #require(await authenticator.identity("good"))
    #expect(who.user == "system:serviceaccount:a:b")
    #expect(who.groups == ["system:serviceaccounts"])
    #expect(await authenticator.identity("good") == who)
    #expect(await authenticator.identity("bad") == nil)
    #expect(await authenticator.identity("bad") == nil)
    #expect(reviews.count.withLock { $0 } == 2)
    time.withLock { $0 = at(1121) }
    #expect(await authenticator.identity("good") == who)
    #expect(reviews.count.withLock { $0 } == 3)
  }

  @Test func withoutAServerNobodyIsKnown() async {
    #expect(await TokenAuthenticator(client: nil, clock: { at(1) }).identity("good") == nil)
  }

  @Test func finerRightsOrTheOldOne() {
    #expect(NodeAccess.alternatives(method: "GET", path: "/pods").map(\.subresource) == ["pods", "proxy"])
    #expect(NodeAccess.alternatives(method: "GET", path: "/healthz").map(\.subresource) == ["healthz", "proxy"])
    #expect(NodeAccess.alternatives(method: "GET", path: "/metrics").map(\.subresource) == ["metrics"])
    #expect(NodeAccess.alternatives(method: "POST", path: "/exec/a/b/c").map(\.subresource) == ["proxy"])
  }
}
