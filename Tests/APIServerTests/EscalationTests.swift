import API
import APIMachinery
import Testing

@testable import APIServer

@Suite struct EscalationTests {
  private static func rule(_ groups: [String], _ resources: [String], _ verbs: [String], _ names: [String] = [])
    -> PolicyRule
  {
    PolicyRule {
      $0.apiGroups = groups
      $0.resources = resources
      $0.verbs = verbs
      $0.resourceNames = names
    }
  }

  @Test func coverage() {
    func missing(_ wanted: PolicyRule, _ held: PolicyRule...) -> [String] {
      RuleCoverage.compacted(RuleCoverage.missing([wanted], from: held)).map(RuleCoverage.text)
    }
    let reads = Self.rule([""], ["pods", "pods/log"], ["get", "list"])
    #expect(missing(reads, Self.rule(["*"], ["*"], ["*"])).isEmpty)
    #expect(missing(reads, Self.rule([""], ["pods", "*/log"], ["get", "list", "watch"])).isEmpty)
    #expect(
      missing(reads, Self.rule([""], ["pods"], ["get"])) == [
        #"{APIGroups:[""], Resources:["pods"], Verbs:["list"]}"#,
        #"{APIGroups:[""], Resources:["pods/log"], Verbs:["get" "list"]}"#,
      ])
    // A right to one name is none to all, and the other way round it is.
    let named = Self.rule([""], ["secrets"], ["get"], ["a"])
    #expect(missing(Self.rule([""], ["secrets"], ["get"]), named).count == 1)
    #expect(missing(named, Self.rule([""], ["secrets"], ["get"])).isEmpty)
    #expect(missing(Self.rule([""], ["secrets"], ["get"], ["a", "b"]), named).count == 1)
    let url = PolicyRule {
      $0.nonResourceURLs = ["/metrics/x"]
      $0.verbs = ["get"]
    }
    let below = PolicyRule {
      $0.nonResourceURLs = ["/metrics/*"]
      $0.verbs = ["*"]
    }
    #expect(missing(url, below).isEmpty)
    #expect(missing(below, url) == [#"{NonResourceURLs:["/metrics/*"], Verbs:["*"]}"#])
    #expect(missing(RuleCoverage.everything[0], Self.rule([""], ["*"], ["*"])).count == 1)
  }

  @Test func nobodyGrantsWhatTheyDoNotHave() async throws {
    try await ServerFixture.with { fixture in
      let client = try fixture.client()
      func post(_ path: String, _ body: String, as token: String, _ method: String = "POST") async throws -> (
        Int, String
      ) {
        let answer = try await fixture.ask(
          client, method, "/apis/rbac.authorization.k8s.io/v1/\(path)", token: token, json: body)
        return (answer.status, answer.json["message"]?.stringValue ?? "")
      }
      func role(_ name: String, _ verbs: String, _ kind: String = "ClusterRole", _ more: String = "") -> String {
        #"{"kind":"\#(kind)","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"\#(name)"\#(more)},"#
          + #""rules":[{"apiGroups":[""],"resources":["pods"],"verbs":[\#(verbs)]}]}"#
      }
      func binding(_ name: String, _ roleName: String, to user: String) -> String {
        #"{"kind":"ClusterRoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"\#(name)"},"#
          + #""roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"\#(roleName)"},"#
          + #""subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"\#(user)"}]}"#
      }
      let manage =
        #"{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"manage"},"rules":["#
        + #"{"apiGroups":["rbac.authorization.k8s.io"],"resources":["*"],"verbs":["create","update","get"]},"#
        + #"{"apiGroups":[""],"resources":["pods"],"verbs":["get"]},"#
        + #"{"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"verbs":["bind"],"#
        + #""resourceNames":["strong"]}]}"#
      #expect(try await post("clusterroles", manage, as: "root-token").0 == 201)
      #expect(try await post("clusterroles", role("strong", #""delete""#), as: "root-token").0 == 201)
      #expect(
        try await post("clusterrolebindings", binding("manage", "manage", to: "alice"), as: "root-token").0 == 201)

      #expect(try await post("clusterroles", role("a", #""get""#), as: "alice-token").0 == 201)
      let refused = try await post("clusterroles", role("b", #""get","list","watch""#), as: "alice-token")
      #expect(refused.0 == 403)
      #expect(
        refused.1 == """
          clusterroles.rbac.authorization.k8s.io "b" is forbidden: user "alice" (groups=["system:authenticated"]) \
          is attempting to grant RBAC permissions not currently held:
          {APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}
          """)
      #expect(try await post("clusterroles/a", role("a", #""get","list""#), as: "alice-token", "PUT").0 == 403)
      #expect(
        try await post("namespaces/default/roles", role("c", #""list""#, "Role"), as: "alice-token").0 == 403)
      // What bind allows, and what it does not.
      #expect(try await post("clusterrolebindings", binding("s", "strong", to: "bob"), as: "alice-token").0 == 201)
      #expect(
        try await post("clusterrolebindings", binding("t", "cluster-admin", to: "bob"), as: "alice-token").0 == 403)
      let missing = try await post("clusterrolebindings", binding("u", "nothing", to: "bob"), as: "alice-token")
      #expect(missing.0 == 404)
      #expect(missing.1 == #"clusterroles.rbac.authorization.k8s.io "nothing" not found"#)
      let gathers =
        #"{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"g"},"rules":[],"#
        + #""aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}}"#
      let gathering = try await post("clusterroles", gathers, as: "alice-token")
      #expect(gathering.0 == 403)
      #expect(gathering.1.hasSuffix("must have cluster-admin privileges to use the aggregationRule"))
    }
  }
}
