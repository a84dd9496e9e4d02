import APIMachinery
import HTTP
import Testing

@testable import APIServer

@Suite struct TokenWebhookTests {
  private static let review = #"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#
  private static let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

  @Test func aWebhookKnowsTokens() async throws {
    let hook = FakeWebhook { spec in
      switch spec["token"]?.stringValue {
      case "good":
        [
          "authenticated": true,
          "user": ["username": "erin", "uid": "u1", "groups": ["g"], "extra": ["k.example/x": ["v"]]],
        ]
      case "broken": nil
      case "told": ["authenticated": false, "error": "not this one"]
      default: ["authenticated": false]
      }
    }
    try await hook.serving { kubeconfig in
      try await ServerFixture.with { configuration in
        configuration.authentication.webhookFile = kubeconfig
        configuration.authentication.webhookVersion = "v1"
      } _: { fixture in
        let client = try fixture.client()
        for _ in 0..<2 {
          let answer = try await fixture.ask(client, "POST", Self.path, token: "good", json: Self.review)
          let user = answer.json["status"]?["userInfo"]
          #expect(answer.status == 201)
          #expect(user?["username"] == "erin" && user?["uid"] == "u1")
          #expect(user?["groups"] == ["g", "system:authenticated"])
          #expect(user?["extra"] == ["k.example/x": ["v"]])
        }
        #expect(hook.questions.count == 1)
        #expect(hook.questions[0]["apiVersion"] == "authentication.k8s.io/v1")
        #expect(hook.questions[0]["spec"]?["audiences"] == ["https://kubernetes.default.svc.cluster.local"])
        for _ in 0..<2 {
          #expect(try await fixture.ask(client, "GET", "/version", token: "bad").status == 401)
        }
        #expect(hook.questions.count == 2)
        // What could not be asked is asked again.
        for _ in 0..<2 {
          #expect(try await fixture.ask(client, "GET", "/version", token: "broken").status == 401)
        }
        #expect(hook.questions.count == 4)
        // Who is known here is not asked about.
        #expect(try await fixture.ask(client, "GET", "/version", token: "alice-token").status == 200)
        #expect(hook.questions.count == 4)
        let told = try await fixture.ask(
          client, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", token: "root-token",
          json: #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"told"}}"#)
        #expect(told.json["status"]?["error"] == "not this one")
        let named = try await fixture.ask(
          client, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", token: "root-token",
          json:
            #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"good","audiences":["x"]}}"#
        )
        #expect(named.json["status"]?["authenticated"] != true)
        await client.shutdown()
      }
    }
  }

  @Test func audiencesAreThoseThatAreShared() {
    func result(_ status: JSONValue, wanted: [String]) -> TokenResult {
      WebhookTokenAuthenticator.result(status, wanted: wanted, own: ["here"])
    }
    let plain: JSONValue = ["authenticated": true, "user": ["username": "a"]]
    let aware: JSONValue = ["authenticated": true, "user": ["username": "a"], "audiences": ["x", "y"]]
    #expect(result(plain, wanted: ["here", "x"]) == .user(RequestUser(name: "a"), audiences: ["here"]))
    #expect(result(plain, wanted: ["x"]) == .absent)
    #expect(result(aware, wanted: ["y", "z"]) == .user(RequestUser(name: "a"), audiences: ["y"]))
    #expect(result(aware, wanted: ["here"]) == .absent)
    #expect(result(["authenticated": false], wanted: []) == .absent)
    #expect(result([:], wanted: []) == .absent)
  }

  @Test func tokensWithoutAudiencesHaveThoseOfTheServer() async {
    let inner = StaticTokenAuthenticator([StaticToken(token: "t", user: RequestUser(name: "a"))])
    let agnostic = AudienceAgnostic(inner: inner, audiences: ["here", "there"])
    #expect(
      agnostic.authenticate(token: "t", audiences: ["there"]) == .user(RequestUser(name: "a"), audiences: ["there"]))
    #expect(agnostic.authenticate(token: "t", audiences: ["elsewhere"]) == .absent)
    #expect(await agnostic.find(token: "t", audiences: []) == .user(RequestUser(name: "a"), audiences: []))
  }

  @Test func oneQuestionAtATimeForEachKey() async {
    let cache = OutcomeCache<String, Int>()
    let gate = AsyncStream<Void>.makeStream()
    async let first = cache.value("k", lifetime: { _ in .seconds(60) }) {
      for await _ in gate.stream { break }
      return 1
    }
    async let second = cache.value("k", lifetime: { _ in .seconds(60) }) {
      for await _ in gate.stream { break }
      return 1
    }
    gate.continuation.yield()
    gate.continuation.finish()
    #expect(await first == 1)
    #expect(await second == 1)
    #expect(cache.find("k") == 1)
    _ = await cache.value("l", lifetime: { _ in nil }, ask: { 2 })
    #expect(cache.find("l") == nil)
  }

  @Test func anonymousOnlyWhereItMay() async throws {
    let rule = AnonymousRule(.at(["/livez"]))
    #expect(rule.allows(path: "/livez") && !rule.allows(path: "/livez/x") && !rule.allows(path: "/"))
    rule.set(.nowhere)
    #expect(!rule.allows(path: "/livez"))
    try await ServerFixture.with {
      $0.anonymousAuth = false
    } _: { fixture in
      let client = try fixture.client()
      #expect(try await fixture.ask(client, "GET", "/livez").status == 401)
      #expect(try await fixture.ask(client, "GET", "/livez", token: "alice-token").status == 200)
      await client.shutdown()
    }
  }
}
