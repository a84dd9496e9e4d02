import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

@Suite struct ClusterRoleAggregationTests {
  private func role(_ name: String, _ resource: String?, labels: [String: String] = [:], gathers: String? = nil)
    -> ClusterRole
  {
    ClusterRole {
      $0.metadata.name = name
      $0.metadata.labels = labels
      if let resource {
        $0.rules = [
          PolicyRule {
            $0.apiGroups = [""]
            $0.resources = [resource]
            $0.verbs = ["get"]
          }
        ]
      }
      guard let gathers else { return }
      var rule = AggregationRule()
      var selector = LabelSelector()
      selector.matchLabels = [gathers: "true"]
      rule.clusterRoleSelectors = [selector]
      $0.aggregationRule = rule
    }
  }

  @Test func gathersByNameAndOnce() {
    let all = [
      role("b", "pods", labels: ["view": "true"]), role("a", "nodes", labels: ["view": "true"]),
      role("c", "pods", labels: ["view": "true"]), role("d", "secrets"),
      role("view", "stale", labels: ["view": "true"], gathers: "view"),
    ]
    let rules = ClusterRoleAggregationController.aggregated(all[4], from: all)
    #expect(rules?.map(\.resources) == [["nodes"], ["pods"]])
    #expect(ClusterRoleAggregationController.aggregated(all[0], from: all) == nil)
  }

  @Test func followsTheRolesAndThenIsSilent() async throws {
    try await withControllers(["clusterrole-aggregation-controller"]) { api, client in
      try api.seed(role("view", nil, gathers: "view"))
      try api.seed(role("pods", "pods", labels: ["view": "true"]))
      #expect(
        await eventually { api.object(ClusterRole.self, name: "view")?.rules.map(\.resources) == [["pods"]] })
      try await client.delete(ClusterRole.self, name: "pods")
      #expect(await eventually { api.object(ClusterRole.self, name: "view")?.rules.isEmpty == true })
    }
  }
}
