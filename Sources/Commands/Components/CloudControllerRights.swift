import API
import Client

/// What the cloud's controllers may do when `apus server` runs them: no more than they need. Upstream leaves this to
/// whoever deploys them.
enum CloudControllerRights {
  static let user = "system:cloud-controller-manager"

  static var role: ClusterRole {
    var role = ClusterRole()
    role.metadata.name = user
    role.rules = [
      rule("", ["nodes"], ["get", "list", "watch", "update", "patch", "delete"]),
      rule("", ["nodes/status"], ["update", "patch"]),
      rule("", ["services"], ["get", "list", "watch", "update", "patch"]),
      rule("", ["services/status"], ["update", "patch"]),
      rule("discovery.k8s.io", ["endpointslices"], ["get", "list", "watch"]),
      rule("", ["events"], ["create", "update", "patch"]),
      rule("coordination.k8s.io", ["leases"], ["create"]),
      rule("coordination.k8s.io", ["leases"], ["get", "update", "patch"], names: ["cloud-controller-manager"]),
    ]
    return role
  }

  static var binding: ClusterRoleBinding {
    var binding = ClusterRoleBinding()
    binding.metadata.name = user
    binding.roleRef.apiGroup = "rbac.authorization.k8s.io"
    binding.roleRef.kind = "ClusterRole"
    binding.roleRef.name = user
    var subject = Subject()
    subject.apiGroup = "rbac.authorization.k8s.io"
    subject.kind = "User"
    subject.name = user
    binding.subjects = [subject]
    return binding
  }

  private static func rule(
    _ group: String, _ resources: [String], _ verbs: [String], names: [String] = []
  ) -> PolicyRule {
    var rule = PolicyRule()
    rule.apiGroups = [group]
    rule.resources = resources
    rule.verbs = verbs
    rule.resourceNames = names
    return rule
  }
}
