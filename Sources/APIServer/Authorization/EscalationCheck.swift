import API
import APIMachinery
import APIMeta

/// Nobody grants by roles and bindings what they may not do themselves, unless they may `escalate` the role or `bind`
/// it (upstream's "privilege escalation prevention and bootstrapping").
struct EscalationCheck: AdmissionPlugin {
  private static let group = "rbac.authorization.k8s.io"

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, request.resource.info.group == Self.group,
      !request.user.groups.contains(UserInfo.mastersGroup), let rbac = registry.access.rbac
    else { return }
    if let old = request.old, Self.changesOnlyForCollection(object, old) { return }
    let name = object.metadata.name
    if let role = object.as(ClusterRole.self) {
      if mayDo("escalate", "clusterroles", name, request, registry) { return }
      let aggregates = role.aggregationRule != nil || request.old?.as(ClusterRole.self)?.aggregationRule != nil
      if aggregates, problem(RuleCoverage.everything, request, rbac) != nil {
        throw request.forbidden(name, "must have cluster-admin privileges to use the aggregationRule")
      }
      if let problem = problem(role.rules, request, rbac) { throw request.forbidden(name, problem) }
    } else if let role = object.as(Role.self) {
      if mayDo("escalate", "roles", name, request, registry) { return }
      if let problem = problem(role.rules, request, rbac) { throw request.forbidden(name, problem) }
    } else if let reference = object.as(ClusterRoleBinding.self)?.roleRef ?? object.as(RoleBinding.self)?.roleRef {
      let resource = reference.kind == "Role" ? "roles" : "clusterroles"
      if mayDo("bind", resource, reference.name, request, registry) { return }
      guard let rules = rbac.rules(of: reference, namespace: request.namespace) else {
        throw StatusError.notFound(GroupResource(group: Self.group, resource: resource), reference.name)
      }
      if let problem = problem(rules, request, rbac) { throw request.forbidden(name, problem) }
    }
  }

  private func mayDo(
    _ verb: String, _ resource: String, _ name: String, _ request: AdmissionRequest, _ registry: Registry
  ) -> Bool {
    registry.access.allows(
      request.user,
      AuthorizationAttributes(
        verb: verb, apiGroup: Self.group, resource: resource, namespace: request.namespace, name: name))
  }

  /// What is granted beyond what the user has; nil if nothing is.
  private func problem(_ rules: [PolicyRule], _ request: AdmissionRequest, _ rbac: RBACAuthorizer) -> String? {
    let held = rbac.rules(for: request.user, namespace: request.namespace)
    let missing = RuleCoverage.missing(rules, from: held.rules)
    guard !missing.isEmpty else { return nil }
    let lines = Set(RuleCoverage.compacted(missing).map(RuleCoverage.text)).sorted()
    var text =
      "user \(goQuoted(request.user.name)) (groups=\(RuleCoverage.list(request.user.groups))) is attempting to "
    text += "grant RBAC permissions not currently held:\n" + lines.joined(separator: "\n")
    if !held.problems.isEmpty { text += "; resolution errors: [\(held.problems.joined(separator: ", "))]" }
    return text
  }

  /// Owners and finalizers may go from an object whose rights the collector does not have.
  private static func changesOnlyForCollection(_ object: LiveObject, _ old: LiveObject) -> Bool {
    var (new, before) = (object, old)
    new.metadata.ownerReferences = []
    before.metadata.ownerReferences = []
    new.metadata.finalizers = []
    before.metadata.finalizers = []
    new.metadata.managedFields = before.metadata.managedFields
    return new.isSame(as: before)
  }
}
