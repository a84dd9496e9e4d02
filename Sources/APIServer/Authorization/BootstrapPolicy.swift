import API

/// The roles and bindings that every cluster starts with, as upstream v1.36 has them.
///
/// Written in lines, which `PolicyText` reads: `= role` begins a role, `@` gives its aggregation labels and selector,
/// every other line is a rule `verbs; groups; resources[; names]` or `verbs; url url…`. `R`, `W` and `RW` stand for
/// reading, writing and both, `core` for the group without a name, `EVENTS` for writing events.
enum BootstrapPolicy {
  static let label = "kubernetes.io/bootstrapping"
  static let labelValue = "rbac-defaults"
  static let autoUpdate = "rbac.authorization.kubernetes.io/autoupdate"

  static var clusterRoles: [ClusterRole] {
    (PolicyText.roles(generalRoles) + PolicyText.roles(componentRoles) + PolicyText.roles(controllerRoles)
      + PolicyText.roles(lateControllerRoles)).map { text in
        var role = ClusterRole()
        role.metadata.name = text.name
        role.metadata.labels = text.labels
        role.metadata.labels[label] = labelValue
        role.metadata.annotations[autoUpdate] = "true"
        role.rules = text.rules
        if let selected = text.aggregates {
          role.aggregationRule = AggregationRule()
          var selector = LabelSelector()
          selector.matchLabels = ["rbac.authorization.k8s.io/aggregate-to-\(selected)": "true"]
          role.aggregationRule?.clusterRoleSelectors = [selector]
        }
        return role
      }
  }

  static var nodeRules: [PolicyRule] {
    PolicyText.roles(componentRoles).first { $0.name == "system:node" }?.rules ?? []
  }

  static var clusterRoleBindings: [ClusterRoleBinding] {
    let controllers = clusterRoles.map(\.metadata.name).filter { $0.hasPrefix("system:controller:") }
    let bindings: [(String, [Subject])] =
      [
        ("cluster-admin", [group("system:masters")]),
        ("system:monitoring", [group("system:monitoring")]),
        ("system:discovery", [group("system:authenticated")]),
        ("system:basic-user", [group("system:authenticated")]),
        ("system:public-info-viewer", [group("system:authenticated"), group("system:unauthenticated")]),
        ("system:node-proxier", [user("system:kube-proxy")]),
        ("system:kube-controller-manager", [user("system:kube-controller-manager")]),
        ("system:kube-dns", [account("kube-dns")]),
        ("system:kube-scheduler", [user("system:kube-scheduler")]),
        ("system:volume-scheduler", [user("system:kube-scheduler")]),
        ("system:service-account-issuer-discovery", [group("system:serviceaccounts")]),
        ("system:node", []),
      ] + controllers.map { ($0, [account(String($0.dropFirst("system:controller:".count)))]) }
    return bindings.map { name, subjects in
      var binding = ClusterRoleBinding()
      binding.metadata.name = name
      binding.metadata.labels[label] = labelValue
      binding.metadata.annotations[autoUpdate] = "true"
      binding.roleRef = reference("ClusterRole", name)
      binding.subjects = subjects
      return binding
    }
  }

  static var roles: [Role] {
    namespaceRoles.flatMap { namespace, text in
      PolicyText.roles(text).map { text in
        var role = Role()
        role.metadata.name = text.name
        role.metadata.namespace = namespace
        role.metadata.labels[label] = labelValue
        role.metadata.annotations[autoUpdate] = "true"
        role.rules = text.rules
        return role
      }
    }
  }

  static var roleBindings: [RoleBinding] {
    let manager = "kube-controller-manager", scheduler = "kube-scheduler"
    let bindings: [(namespace: String, name: String, role: String, subjects: [Subject])] = [
      ("kube-system", "system:controller:bootstrap-signer", "", [account("bootstrap-signer")]),
      ("kube-system", "system:controller:cloud-provider", "", [account("cloud-provider")]),
      ("kube-system", "system:controller:token-cleaner", "", [account("token-cleaner")]),
      (
        "kube-system", "system::leader-locking-kube-controller-manager", "",
        [user("system:\(manager)"), account(manager)]
      ),
      (
        "kube-system", "system::leader-locking-kube-scheduler", "", [user("system:\(scheduler)"), account(scheduler)]
      ),
      (
        "kube-system", "system::extension-apiserver-authentication-reader", "extension-apiserver-authentication-reader",
        [user("system:\(manager)"), user("system:\(scheduler)")]
      ),
      ("kube-public", "system:controller:bootstrap-signer", "", [account("bootstrap-signer")]),
    ]
    return bindings.map { entry in
      var binding = RoleBinding()
      binding.metadata.name = entry.name
      binding.metadata.namespace = entry.namespace
      binding.metadata.labels[label] = labelValue
      binding.metadata.annotations[autoUpdate] = "true"
      binding.roleRef = reference("Role", entry.role.isEmpty ? entry.name : entry.role)
      binding.subjects = entry.subjects
      return binding
    }
  }

  private static func reference(_ kind: String, _ name: String) -> RoleRef {
    var reference = RoleRef()
    reference.apiGroup = "rbac.authorization.k8s.io"
    reference.kind = kind
    reference.name = name
    return reference
  }

  private static func user(_ name: String) -> Subject { subject("User", name) }
  private static func group(_ name: String) -> Subject { subject("Group", name) }

  private static func subject(_ kind: String, _ name: String) -> Subject {
    var subject = Subject()
    subject.apiGroup = "rbac.authorization.k8s.io"
    subject.kind = kind
    subject.name = name
    return subject
  }

  private static func account(_ name: String) -> Subject {
    var subject = Subject()
    subject.kind = "ServiceAccount"
    subject.name = name
    subject.namespace = "kube-system"
    return subject
  }
}

/// Reads the notation of `BootstrapPolicy`.
enum PolicyText {
  struct RoleText {
    var name: String
    var labels: [String: String] = [:]
    var aggregates: String?
    var rules: [PolicyRule] = []
  }

  static func roles(_ text: String) -> [RoleText] {
    var result: [RoleText] = []
    for line in text.split(separator: "\n") {
      let line = trimmed(line)
      if line.isEmpty { continue }
      if line.hasPrefix("= ") {
        result.append(RoleText(name: String(line.dropFirst(2))))
      } else if line.hasPrefix("@ to ") {
        result[result.count - 1].labels["rbac.authorization.k8s.io/aggregate-to-\(line.dropFirst(5))"] = "true"
      } else if line.hasPrefix("@ from ") {
        result[result.count - 1].aggregates = String(line.dropFirst(7))
      } else {
        result[result.count - 1].rules.append(rule(line))
      }
    }
    return result
  }

  static func rule(_ line: String) -> PolicyRule {
    if line == "EVENTS" { return rule("create patch update; core events.k8s.io; events") }
    let parts = line.split(separator: ";").map { $0.split(separator: " ").map(String.init) }
    var rule = PolicyRule()
    rule.verbs = parts[0].flatMap(verbs).sorted()
    if parts.count == 2 {
      rule.nonResourceURLs = parts[1].sorted()
      return rule
    }
    rule.apiGroups = parts[1].map { $0 == "core" ? "" : $0 }.sorted()
    rule.resources = parts[2].sorted()
    if parts.count > 3 { rule.resourceNames = parts[3].sorted() }
    return rule
  }

  private static func verbs(_ word: String) -> [String] {
    switch word {
    case "R": ["get", "list", "watch"]
    case "W": ["create", "update", "patch", "delete", "deletecollection"]
    case "RW": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
    default: [word]
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
