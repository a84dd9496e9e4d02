import APIMachinery
import HTTP
import PKI
import Testing

@testable import APIServer

@Suite struct AuthorizationConfigurationTests {
  private static func problem(_ text: String, version: String = "v1") -> String? {
    let whole = "apiVersion: apiserver.config.k8s.io/\(version)\nkind: AuthorizationConfiguration\n" + text
    do {
      _ = try AuthorizationConfiguration(Array(whole.utf8))
      return nil
    } catch { return "\(error)" }
  }

  private static func webhook(_ change: (inout [String: String]) -> Void = { _ in }, conditions: String = "[]")
    -> String
  {
    var fields = [
      "timeout": "3s", "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
      "failurePolicy": "Deny", "connectionInfo": "{type: InClusterConfig}", "matchConditions": conditions,
    ]
    change(&fields)
    let text = fields.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    return "authorizers: [{type: Webhook, name: w, webhook: {\(text)}}]"
  }

  @Test func isReadInItsOrder() throws {
    let text = """
      apiVersion: apiserver.config.k8s.io/v1
      kind: AuthorizationConfiguration
      authorizers:
      - {type: Node, name: node}
      - type: Webhook
        name: first
        webhook:
          timeout: 3s
          unauthorizedTTL: 10s
          cacheAuthorizedRequests: false
          subjectAccessReviewVersion: v1
          matchConditionSubjectAccessReviewVersion: v1
          failurePolicy: Deny
          connectionInfo: {type: InClusterConfig}
          matchConditions:
          - expression: has(request.resourceAttributes)
          - expression: request.resourceAttributes.namespace == 'x'
      - {type: RBAC, name: rbac}
      """
    let read = try AuthorizationConfiguration(Array(text.utf8))
    #expect(read.types == ["Node", "Webhook", "RBAC"])
    let webhook = try #require(read.entries[1].webhook)
    #expect(webhook.timeout == .seconds(3) && webhook.kubeconfig == nil)
    #expect(webhook.settings.authorizedTTL == .seconds(300) && webhook.settings.unauthorizedTTL == .seconds(10))
    #expect(!webhook.settings.cachesAuthorized && webhook.settings.cachesUnauthorized)
    #expect(webhook.settings.onError == .denied)
    func outcome(_ attributes: AuthorizationAttributes) -> AccessConditions.Outcome {
      webhook.settings.conditions.evaluate(AccessReview.spec(RequestUser(name: "a"), attributes))
    }
    #expect(outcome(.init(verb: "get", apiGroup: "", resource: "pods", namespace: "x")) == .matches)
    #expect(outcome(.init(verb: "get", apiGroup: "", resource: "pods", namespace: "y")) == .fails)
    #expect(outcome(.init(verb: "get", path: "/x")) == .fails)
  }

  @Test func aConditionThatCannotBeEvaluatedIsAnError() throws {
    var conditions = AccessConditions()
    #expect(conditions.add("request.nonResourceAttributes.path == '/x'") == nil)
    let spec = AccessReview.spec(RequestUser(name: "a"), .init(verb: "get", apiGroup: "", resource: "pods"))
    guard case .error(let text) = conditions.evaluate(spec) else {
      Issue.record("no error")
      return
    }
    #expect(text.contains("no such key: nonResourceAttributes"))
  }

  @Test func saysWhatIsWrong() {
    #expect(Self.problem(Self.webhook()) == nil)
    #expect(Self.problem("") == "authorizers: Required value: at least one authorization mode must be defined")
    #expect(
      Self.problem("authorizers: [{type: Some, name: a}]")
        == #"authorizers[0].type: Unsupported value: "Some": supported values: "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook""#
    )
    #expect(
      Self.problem("authorizers: [{type: RBAC, name: a}, {type: RBAC, name: b}]")
        == #"authorizers[1].type: Duplicate value: "RBAC""#)
    #expect(
      Self.problem("authorizers: [{type: RBAC, name: a}, {type: Node, name: a}]")
        == #"authorizers[1].name: Duplicate value: "a""#)
    #expect(
      Self.problem("authorizers: [{type: RBAC}, {type: Webhook, name: w}]")
        == "[authorizers[0].name: Required value, authorizers[1].webhook: Required value: required when type=Webhook]")
    #expect(
      Self.problem("authorizers: [{type: RBAC, name: a, webhok: {}}]")
        == #"strict decoding error: unknown field "authorizers[0].webhok""#)
    #expect(
      Self.problem(Self.webhook { $0["timeout"] = "31s" })
        == #"authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s"#)
    #expect(
      Self.problem(Self.webhook { $0["failurePolicy"] = "Allow" })
        == #"authorizers[0].failurePolicy: Unsupported value: "Allow": supported values: "Deny", "NoOpinion""#)
    #expect(
      Self.problem(Self.webhook { $0["connectionInfo"] = "{type: KubeConfigFile, kubeConfigFile: some}" })
        == #"authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "some": must be an absolute path"#)
    #expect(
      Self.problem(Self.webhook { $0["connectionInfo"] = "{type: KubeConfigFile, kubeConfigFile: /none/such}" })
        == #"authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "/none/such": error loading file: stat /none/such: no such file or directory"#
    )
    #expect(
      Self.problem(Self.webhook(conditions: "[{expression: request.user}]"))
        == #"authorizers[0].matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool"#)
    #expect(
      Self.problem(Self.webhook(conditions: "[{expression: request.usr == ''}]"))?.contains("undefined field 'usr'")
        == true)
    #expect(
      Self.problem(
        Self.webhook({ $0["matchConditionSubjectAccessReviewVersion"] = "''" }, conditions: "[{expression: 'true'}]"))
        == "authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified"
    )
    #expect(Self.problem("authorizers: [{type: RBAC, name: a}]", version: "v2")?.hasPrefix("no kind") == true)
  }

  @Test func flagsAreChecked() {
    func problem(_ modes: [String], webhook: String? = nil) -> String? {
      var settings = AuthorizationSettings()
      settings.modes = modes
      settings.webhookFile = webhook
      do {
        _ = try AuthorizationConfiguration(settings)
        return nil
      } catch { return "\(error)" }
    }
    #expect(problem(["Node", "RBAC", "AlwaysDeny"]) == nil)
    #expect(problem([]) == "at least one authorization-mode must be passed")
    #expect(problem(["Some"]) == #"authorization-mode "Some" is not a valid mode"#)
    #expect(problem(["RBAC", "RBAC"]) == #"authorization-mode ["RBAC" "RBAC"] has mode specified more than once"#)
    #expect(problem(["Webhook"]) == "authorization-mode Webhook's authorization config file not passed")
    #expect(
      problem(["RBAC"], webhook: "/x") == "cannot specify --authorization-webhook-config-file without mode Webhook")
  }

  @Test func aFileIsReadAgain() async throws {
    let hook = FakeWebhook(AuthorizationWebhookTests.hook)
    try await hook.serving { kubeconfig in
      let path = "/tmp/apus-authz-test-\(UInt64.random(in: 0 ... .max)).yaml"
      defer { removeTree(path) }
      func write(_ condition: String) throws {
        try writeText(
          """
          apiVersion: apiserver.config.k8s.io/v1
          kind: AuthorizationConfiguration
          authorizers:
          - type: Webhook
            name: w
            webhook:
              timeout: 3s
              subjectAccessReviewVersion: v1
              matchConditionSubjectAccessReviewVersion: v1
              failurePolicy: NoOpinion
              connectionInfo: {type: KubeConfigFile, kubeConfigFile: \(kubeconfig)}
              matchConditions: [{expression: "\(condition)"}]
          - {type: RBAC, name: rbac}
          """, path)
      }
      try write("request.user == 'someone'")
      try await ServerFixture.with(listening: false) { configuration in
        configuration.authorization.configurationFile = path
      } _: { fixture in
        let server = fixture.server
        let frank = RequestUser(name: "frank")
        let question = AuthorizationAttributes(verb: "get", apiGroup: "", resource: "secrets", namespace: "x")
        #expect(await server.authorizer.answer(frank, question).decision == .noOpinion)
        #expect(hook.questions.isEmpty)
        let follower = try #require(server.followers.first { $0.what == "authorization configuration" })
        try write("request.user == 'frank'")
        try follower.take(#require(readWholeFile(path)))
        #expect(await server.authorizer.answer(frank, question).decision == .allowed)
        // Outside of a deliberation an answer that is not at hand is no answer.
        var other = question
        other.name = "y"
        #expect(server.authorizer.decide(frank, other).decision == .noOpinion)
        #expect(server.authorizer.decide(frank, question).decision == .allowed)
        let wrong = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: []"
        #expect(throws: ConfigurationProblem.self) { try follower.take(Array(wrong.utf8)) }
        let fewer = wrong.replacing("[]", with: "[{type: AlwaysAllow, name: a}]")
        #expect(throws: ConfigurationProblem.self) { try follower.take(Array(fewer.utf8)) }
        #expect(await server.authorizer.answer(frank, question).decision == .allowed)
      }
    }
  }
}
