import API
import APIMachinery
import APIMeta
import Synchronization

/// Decides by roles and bindings, indexed by subject and kept current by the registry.
final class RBACAuthorizer: Authorizer {
  /// A user, or a group. Service accounts are users by their full name.
  enum SubjectKey: Hashable, Sendable {
    case user(String)
    case group(String)
  }
  struct Binding: Sendable, Hashable {
    var name: String
    var namespace: String
    var roleKind: String
    var roleName: String
    var subjects: [SubjectKey]
    /// What a decision by this binding says, in the subjects' order: made once, not for every request.
    var reasons: [String] = []
  }
  /// What is known. A value: a decision takes a copy and needs no lock.
  struct Index: Sendable {
    var clusterRoles: [String: ClusterRole] = [:]
    var roles: [String: [String: [PolicyRule]]] = [:]
    var clusterBindings: [String: Binding] = [:]
    var bindings: [String: [String: Binding]] = [:]
    /// Names of cluster bindings by subject, and by namespace those of role bindings.
    var clusterBySubject: [SubjectKey: [String]] = [:]
    var bySubject: [String: [SubjectKey: [String]]] = [:]
  }
  private let state = Mutex(Index())

  /// Follows the registry's roles and bindings.
  func follow(_ registry: Registry) {
    registry.subscribe(ClusterRole.self) {
      self.update(initial: $0)
    } handler: {
      self.update($0)
    }
    registry.subscribe(Role.self) {
      self.update(initial: $0)
    } handler: {
      self.update($0)
    }
    registry.subscribe(ClusterRoleBinding.self) {
      self.update(initial: $0)
    } handler: {
      self.update($0)
    }
    registry.subscribe(RoleBinding.self) {
      self.update(initial: $0)
    } handler: {
      self.update($0)
    }
  }

  private func update<T: APIObject>(initial objects: [T]) {
    state.withLock { index in
      for object in objects { index.set(object) }
    }
  }

  private func update<T: APIObject>(_ change: Registry.Change<T>) {
    state.withLock { index in
      switch change {
      case .added(let object), .updated(_, let object): index.set(object)
      case .deleted(let object): index.remove(object)
      }
    }
  }

  /// Puts an object in directly.
  func set(_ object: some APIObject) { state.withLock { $0.set(object) } }

  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    if user.groups.contains(UserInfo.mastersGroup) { return (.allowed, "") }
    var allowed: String?
    var missing: [String] = []
    visit(user, namespace: attributes.isResource ? attributes.namespace : "") { binding, subject, rules in
      guard let rules else {
        missing.append(Self.missing(binding))
        return true
      }
      guard rules.contains(where: { $0.covers(attributes) }) else { return true }
      allowed = binding.subjects.firstIndex(of: subject).map { binding.reasons[$0] }
      return false
    }
    if let allowed { return (.allowed, allowed) }
    return (.noOpinion, missing.isEmpty ? "" : "RBAC: " + Self.aggregated(missing))
  }

  /// Every rule that applies to a user in a namespace, for SelfSubjectRulesReview.
  func rules(for user: UserInfo, namespace: String) -> (rules: [PolicyRule], problems: [String]) {
    var result: [PolicyRule] = [], missing: [String] = []
    visit(user, namespace: namespace) { binding, _, rules in
      if let rules { result += rules } else { missing.append(Self.missing(binding)) }
      return true
    }
    return (result, missing)
  }

  /// The rules of a role that a binding names; nil when there is no such role.
  func rules(of reference: RoleRef, namespace: String) -> [PolicyRule]? {
    state.withLock { $0 }.rules(
      Binding(name: "", namespace: namespace, roleKind: reference.kind, roleName: reference.name, subjects: []))
  }

  /// Calls `body` with each binding that names the user; false ends the visit.
  private func visit(
    _ user: UserInfo, namespace: String, _ body: (Binding, SubjectKey, [PolicyRule]?) -> Bool
  ) {
    let index = state.withLock { $0 }
    let subjects = [SubjectKey.user(user.name)] + user.groups.map { .group($0) }
    for subject in subjects {
      for name in index.clusterBySubject[subject] ?? [] {
        guard let binding = index.clusterBindings[name] else { continue }
        if !body(binding, subject, index.rules(binding)) { return }
      }
    }
    guard !namespace.isEmpty, let local = index.bySubject[namespace] else { return }
    for subject in subjects {
      for name in local[subject] ?? [] {
        guard let binding = index.bindings[namespace]?[name] else { continue }
        if !body(binding, subject, index.rules(binding)) { return }
      }
    }
  }

  fileprivate static func reason(_ binding: Binding, _ subject: SubjectKey) -> String {
    let by =
      binding.namespace.isEmpty
      ? "ClusterRoleBinding \(goQuoted(binding.name))"
      : "RoleBinding \(goQuoted("\(binding.name)/\(binding.namespace)"))"
    let who =
      switch subject {
      case .user(let name):
        Impersonation.serviceAccount(name).map { "ServiceAccount \(goQuoted("\($0.name)/\($0.namespace)"))" }
          ?? "User \(goQuoted(name))"
      case .group(let name): "Group \(goQuoted(name))"
      }
    return "RBAC: allowed by \(by) of \(binding.roleKind) \(goQuoted(binding.roleName)) to \(who)"
  }

  private static func missing(_ binding: Binding) -> String {
    "\(binding.roleKind.lowercased()).rbac.authorization.k8s.io \(goQuoted(binding.roleName)) not found"
  }

  private static func aggregated(_ problems: [String]) -> String {
    var seen: Set<String> = []
    let unique = problems.filter { seen.insert($0).inserted }
    return unique.count == 1 ? unique[0] : "[\(unique.joined(separator: ", "))]"
  }
}

extension RBACAuthorizer.Index {
  mutating func set(_ object: some APIObject) {
    switch object {
    case let role as ClusterRole: clusterRoles[role.metadata.name] = role
    case let role as Role: roles[role.metadata.namespace, default: [:]][role.metadata.name] = role.rules
    case let binding as ClusterRoleBinding:
      let name = binding.metadata.name
      removeClusterBinding(name)
      var made = RBACAuthorizer.Binding(
        name: name, namespace: "", roleKind: binding.roleRef.kind, roleName: binding.roleRef.name,
        subjects: Self.keys(binding.subjects, namespace: ""))
      made.reasons = made.subjects.map { RBACAuthorizer.reason(made, $0) }
      clusterBindings[name] = made
      for subject in made.subjects { clusterBySubject[subject, default: []].append(name) }
    case let binding as RoleBinding:
      let (namespace, name) = (binding.metadata.namespace, binding.metadata.name)
      removeBinding(namespace, name)
      var made = RBACAuthorizer.Binding(
        name: name, namespace: namespace, roleKind: binding.roleRef.kind, roleName: binding.roleRef.name,
        subjects: Self.keys(binding.subjects, namespace: namespace))
      made.reasons = made.subjects.map { RBACAuthorizer.reason(made, $0) }
      bindings[namespace, default: [:]][name] = made
      for subject in made.subjects { bySubject[namespace, default: [:]][subject, default: []].append(name) }
    default: break
    }
  }

  mutating func remove(_ object: some APIObject) {
    switch object {
    case let role as ClusterRole: clusterRoles[role.metadata.name] = nil
    case let role as Role: roles[role.metadata.namespace]?[role.metadata.name] = nil
    case let binding as ClusterRoleBinding: removeClusterBinding(binding.metadata.name)
    case let binding as RoleBinding: removeBinding(binding.metadata.namespace, binding.metadata.name)
    default: break
    }
  }

  private mutating func removeClusterBinding(_ name: String) {
    guard let old = clusterBindings.removeValue(forKey: name) else { return }
    for subject in old.subjects {
      clusterBySubject[subject]?.removeAll { $0 == name }
      if clusterBySubject[subject]?.isEmpty == true { clusterBySubject[subject] = nil }
    }
  }

  private mutating func removeBinding(_ namespace: String, _ name: String) {
    guard let old = bindings[namespace]?.removeValue(forKey: name) else { return }
    for subject in old.subjects {
      bySubject[namespace]?[subject]?.removeAll { $0 == name }
      if bySubject[namespace]?[subject]?.isEmpty == true { bySubject[namespace]?[subject] = nil }
    }
    if bindings[namespace]?.isEmpty == true {
      bindings[namespace] = nil
      bySubject[namespace] = nil
    }
  }

  private static func keys(_ subjects: [Subject], namespace: String) -> [RBACAuthorizer.SubjectKey] {
    var seen: Set<RBACAuthorizer.SubjectKey> = []
    return subjects.compactMap { subject in
      switch subject.kind {
      case "User": .user(subject.name)
      case "Group": .group(subject.name)
      case "ServiceAccount":
        .user(
          "\(UserInfo.serviceAccountPrefix)\(subject.namespace.isEmpty ? namespace : subject.namespace):\(subject.name)"
        )
      default: nil
      }
    }.filter { seen.insert($0).inserted }
  }

  /// The rules of a binding's role; nil when there is no such role.
  func rules(_ binding: RBACAuthorizer.Binding) -> [PolicyRule]? {
    if binding.roleKind == "Role" { return roles[binding.namespace]?[binding.roleName] }
    guard let role = clusterRoles[binding.roleName] else { return nil }
    // An aggregated role is filled in by a controller; until that has run it would be empty.
    guard role.rules.isEmpty, let aggregation = role.aggregationRule else { return role.rules }
    return aggregated(aggregation, except: binding.roleName)
  }

  func aggregated(_ aggregation: AggregationRule, except name: String) -> [PolicyRule] {
    let selectors = aggregation.clusterRoleSelectors.compactMap { try? $0.selector() }
    return clusterRoles.values.filter { role in
      role.metadata.name != name && selectors.contains { $0.matches(role.metadata.labels) }
    }
    .sorted { $0.metadata.name < $1.metadata.name }
    .flatMap { role -> [PolicyRule] in
      guard role.rules.isEmpty, let deeper = role.aggregationRule else { return role.rules }
      return aggregated(deeper, except: role.metadata.name)
    }
  }
}
