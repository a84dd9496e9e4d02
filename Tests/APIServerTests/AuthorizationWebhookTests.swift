import API
import APIMachinery
import Client
import HTTP
import Logging
import Synchronization
import Testing

@testable import APIServer

@Suite struct AuthorizationWebhookTests {
  /// Lets frank do everything but delete, about which it has no opinion, and create pods, which it denies.
  static let hook: @Sendable (JSONValue) -> JSONValue? = { spec in
    switch (spec["user"]?.stringValue, spec["resourceAttributes"]?["verb"]?.stringValue) {
    case ("frank", "delete"): ["allowed": false, "reason": "not sure"]
    case ("frank", "create") where spec["resourceAttributes"]?["resource"] == "pods":
      ["allowed": false, "denied": true, "reason": "no pods"]
    case ("frank", _): ["allowed": true, "reason": "friend"]
    case ("broken", _): nil
    default: ["allowed": false]
    }
  }

  private func with(
    modes: [String] = ["Node", "RBAC", "Webhook"], _ body: (ServerFixture, FakeWebhook, HTTPClient) async throws -> Void
  ) async throws {
    let hook = FakeWebhook(Self.hook)
    try await hook.serving { kubeconfig in
      try await ServerFixture.with { configuration in
        configuration.authorization.modes = modes
        configuration.authorization.webhookFile = kubeconfig
        configuration.authorization.webhookVersion = "v1"
        configuration.staticTokens += [
          StaticToken(token: "frank-token", user: RequestUser(name: "frank", groups: ["g"])),
          StaticToken(token: "broken-token", user: RequestUser(name: "broken")),
        ]
      } _: { fixture in
        let client = try fixture.client()
        try await body(fixture, hook, client)
        await client.shutdown()
      }
    }
  }

  @Test func aWebhookDecides() async throws {
    try await with { fixture, hook, client in
      let maps = "/api/v1/namespaces/default/configmaps"
      for _ in 0..<2 {
        #expect(
          try await fixture.ask(client, "GET", maps + "?labelSelector=a%3Db,c", token: "frank-token").status == 200)
      }
      #expect(hook.questions.count == 1)
      let spec = hook.questions[0]["spec"]
      #expect(hook.questions[0]["kind"] == "SubjectAccessReview")
      #expect(spec?["user"] == "frank" && spec?["groups"] == ["g", "system:authenticated"])
      #expect(
        spec?["resourceAttributes"] == [
          "verb": "list", "version": "v1", "resource": "configmaps", "namespace": "default",
          "labelSelector": [
            "requirements": [
              ["key": "a", "operator": "In", "values": ["b"]], ["key": "c", "operator": "Exists"],
            ]
          ],
        ])
      let deleted = try await fixture.ask(client, "DELETE", maps + "/x", token: "frank-token")
      #expect(deleted.status == 403)
      #expect(deleted.json["message"]?.stringValue?.hasSuffix("in the namespace \"default\": not sure") == true)
      let pod = try await fixture.ask(
        client, "POST", "/api/v1/namespaces/default/pods", token: "frank-token", json: "{}")
      #expect(pod.status == 403)
      #expect(pod.json["message"]?.stringValue?.hasSuffix(": no pods") == true)
      // Those whom others allow are not asked about.
      let asked = hook.questions.count
      #expect(try await fixture.ask(client, "GET", "/version", token: "alice-token").status == 200)
      #expect(try await fixture.ask(client, "GET", maps, token: "root-token").status == 200)
      #expect(hook.questions.count == asked)
      let broken = try await fixture.ask(client, "GET", maps, token: "broken-token")
      #expect(broken.status == 500)
      #expect(broken.text.hasPrefix("Internal Server Error: \"\(maps)\": "))
    }
  }

  @Test func admissionAsksTheWebhookToo() async throws {
    try await with { fixture, hook, client in
      let made = try await fixture.ask(
        client, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", token: "frank-token",
        json:
          #"{"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}"#)
      #expect(made.status == 201)
      let verbs = hook.questions.compactMap { $0["spec"]?["resourceAttributes"]?["verb"]?.stringValue }
      #expect(verbs == ["create", "escalate"])
    }
  }

  @Test func impersonationAsksTheWebhookToo() async throws {
    try await with { fixture, hook, client in
      let answer = try await fixture.ask(
        client, "GET", "/api/v1/namespaces/default/secrets", token: "frank-token",
        headers: [("Impersonate-User", "nobody-in-particular")])
      #expect(answer.status == 403)
      #expect(answer.json["message"]?.stringValue?.contains("User \"nobody-in-particular\" cannot list") == true)
      let verbs = hook.questions.compactMap { $0["spec"]?["resourceAttributes"]?["verb"]?.stringValue }
      #expect(verbs == ["impersonate", "list"])
    }
  }

  @Test func reviewsSayWhatTheWebhookSays() async throws {
    try await with { fixture, _, client in
      func review(_ user: String, _ verb: String) async throws -> JSONValue? {
        try await fixture.ask(
          client, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", token: "root-token",
          json: """
            {"spec":{"user":"\(user)","resourceAttributes":{"verb":"\(verb)","resource":"pods","namespace":"x"}}}
            """
        ).json["status"]
      }
      #expect(try await review("frank", "get") == ["allowed": true, "reason": "friend"])
      #expect(try await review("frank", "create") == ["allowed": false, "denied": true, "reason": "no pods"])
      #expect(try await review("broken", "get")?["evaluationError"]?.stringValue?.contains("503") == true)
      let rules = try await fixture.ask(
        client, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", token: "alice-token",
        json: #"{"spec":{"namespace":"default"}}"#)
      #expect(rules.json["status"]?["incomplete"] == true)
      #expect(
        rules.json["status"]?["evaluationError"] == "webhook authorizer does not support user rule resolution")
    }
  }

  @Test func theFirstOpinionCounts() async throws {
    try await with(modes: ["Webhook", "AlwaysAllow"]) { fixture, _, client in
      let pods = "/api/v1/namespaces/default/pods"
      let denied = try await fixture.ask(client, "POST", pods, token: "frank-token", json: "{}")
      #expect(denied.status == 403)
      let allowed = try await fixture.ask(client, "GET", "/api/v1/secrets", token: "alice-token")
      #expect(allowed.status == 200)
    }
    let none = AuthorizerChain(authorizers: [AlwaysDenyMode()])
    #expect(
      none.authorize(RequestUser(name: "a"), .init(verb: "get", path: "/")) == (.noOpinion, "Everything is forbidden."))
  }

  @Test func aWebhookThatStumblesIsAskedAgain() async throws {
    let count = Atomic<Int>(0)
    let hook = FakeWebhook(failure: 500) { _ in
      count.add(1, ordering: .relaxed).newValue < 3 ? nil : ["allowed": true]
    }
    try await hook.serving { kubeconfig in
      let review = ReviewWebhook(
        try WebhookKubeconfig(path: kubeconfig), apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview",
        firstPause: .milliseconds(1), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      #expect(try await review.ask([:]) == ["allowed": true])
      #expect(hook.questions.count == 3)
      await review.shutdown()
    }
  }

  @Test func failureIsDecidedByPolicy() async throws {
    let hook = FakeWebhook { _ in nil }
    try await hook.serving { kubeconfig in
      let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
      for policy in [AuthorizationDecision.denied, .noOpinion] {
        var settings = WebhookAuthorizer.Settings()
        settings.onError = policy
        let review = ReviewWebhook(
          try WebhookKubeconfig(path: kubeconfig), apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview",
          logger: logger)
        let chain = AuthorizerChain(
          steps: [.webhook(WebhookAuthorizer(review, settings, logger: logger)), .local(AlwaysAllow())])
        let answer = await chain.answer(RequestUser(name: "a"), .init(verb: "get", path: "/x"))
        #expect(answer.decision == (policy == .denied ? .denied : .allowed))
        #expect((answer.error != nil) == (policy == .denied))
        await chain.shutdown()
      }
    }
  }
}
