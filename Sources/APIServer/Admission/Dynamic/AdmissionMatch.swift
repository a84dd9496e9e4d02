import API
import APIMachinery
import APIMeta

/// One rule of what a webhook or a policy wants to see.
struct AdmissionRule: Sendable {
  private let operations: Set<String>
  private let groups: Set<String>
  private let versions: Set<String>
  private let resources: [(resource: String, subresource: String)]
  private let names: Set<String>
  private let scope: String

  init(_ rule: RuleWithOperations) {
    self.init(rule.operations, rule.apiGroups, rule.apiVersions, rule.resources, [], rule.scope)
  }

  init(_ rule: NamedRuleWithOperations) {
    self.init(rule.operations, rule.apiGroups, rule.apiVersions, rule.resources, rule.resourceNames, rule.scope)
  }

  private init(
    _ operations: [String], _ groups: [String], _ versions: [String], _ resources: [String], _ names: [String],
    _ scope: String?
  ) {
    self.operations = Set(operations)
    self.groups = Set(groups)
    self.versions = Set(versions)
    self.resources = resources.map { text in
      let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }
    self.names = Set(names)
    self.scope = scope ?? "*"
  }

  func matches(_ view: AdmissionView, as other: ServedResource) -> Bool {
    guard operations.contains("*") || operations.contains(view.operation.rawValue),
      groups.contains("*") || groups.contains(other.info.group),
      versions.contains("*") || versions.contains(other.info.version)
    else { return false }
    switch scope {
    case "Namespaced": if view.namespace.isEmpty || other.info.resource == "namespaces" { return false }
    case "Cluster": if !view.namespace.isEmpty, other.info.resource != "namespaces" { return false }
    default: break
    }
    guard names.isEmpty || names.contains(view.name) else { return false }
    return resources.contains { rule in
      (rule.resource == "*" || rule.resource == other.info.resource)
        && (rule.subresource == "*" || rule.subresource == view.subresource)
    }
  }
}

/// Which requests a webhook, a policy or a binding is for.
struct AdmissionMatch: Sendable {
  private let rules: [AdmissionRule]
  private let excluded: [AdmissionRule]
  private let wantsEquivalents: Bool
  private let namespaces: Labels.Selector
  private let objects: Labels.Selector
  private let seesAllNamespaces: Bool
  private let seesAllObjects: Bool
  /// No rules, in a binding: whatever its policy is for.
  private let matchesAllResources: Bool

  /// Throws for a selector that says nothing sensible.
  init(
    rules: [RuleWithOperations], matchPolicy: String?, namespaceSelector: LabelSelector?,
    objectSelector: LabelSelector?
  ) throws {
    try self.init(
      rules.map { AdmissionRule($0) }, [], matchPolicy, namespaceSelector, objectSelector, matchesAll: false)
  }

  /// `isBinding`: rules may be absent and then leave the choice to the policy.
  init(_ match: MatchResources?, isBinding: Bool) throws {
    let rules = (match?.resourceRules ?? []).map { AdmissionRule($0) }
    try self.init(
      rules, (match?.excludeResourceRules ?? []).map { AdmissionRule($0) }, match?.matchPolicy,
      match?.namespaceSelector, match?.objectSelector, matchesAll: isBinding && rules.isEmpty)
  }

  private init(
    _ rules: [AdmissionRule], _ excluded: [AdmissionRule], _ policy: String?, _ namespaces: LabelSelector?,
    _ objects: LabelSelector?, matchesAll: Bool
  ) throws {
    self.rules = rules
    self.excluded = excluded
    wantsEquivalents = policy != "Exact"
    seesAllNamespaces = (namespaces ?? LabelSelector()) == LabelSelector()
    seesAllObjects = (objects ?? LabelSelector()) == LabelSelector()
    self.namespaces = try (namespaces ?? LabelSelector()).selector()
    self.objects = try (objects ?? LabelSelector()).selector()
    matchesAllResources = matchesAll
  }

  /// The version of the resource in which the request is to be shown; nil if it is none of these. Throws if the
  /// request's namespace is unknown.
  func version(for view: AdmissionView, _ registry: Registry) throws -> ServedResource? {
    guard let version = matchingVersion(view, registry), try matchesNamespace(view, registry), matchesObject(view)
    else {
      return nil
    }
    return version
  }

  private func matchingVersion(_ view: AdmissionView, _ registry: Registry) -> ServedResource? {
    let requested = view.requested
    if find(excluded, view, registry) != nil { return nil }
    return matchesAllResources ? requested : find(rules, view, registry)
  }

  private func find(_ rules: [AdmissionRule], _ view: AdmissionView, _ registry: Registry) -> ServedResource? {
    if rules.isEmpty { return nil }
    if rules.contains(where: { $0.matches(view, as: view.requested) }) { return view.requested }
    guard wantsEquivalents else { return nil }
    return view.equivalents(registry).first { other in rules.contains { $0.matches(view, as: other) } }
  }

  private func matchesNamespace(_ view: AdmissionView, _ registry: Registry) throws -> Bool {
    if seesAllNamespaces { return true }
    let isNamespace = view.requested.info.resource == "namespaces" && view.requested.info.group.isEmpty
    if view.namespace.isEmpty, !isNamespace { return true }
    if isNamespace, view.subresource.isEmpty, view.operation == .create || view.operation == .update {
      return namespaces.matches(Self.labels(view.object))
    }
    guard let namespace = registry.object(Namespace.self, name: view.namespace) else {
      throw StatusError.notFound(Namespace.groupResource, view.namespace)
    }
    return namespaces.matches(namespace.metadata.labels)
  }

  private func matchesObject(_ view: AdmissionView) -> Bool {
    if seesAllObjects { return true }
    return [view.object, view.old].contains { tree in
      tree.map { $0["metadata"]?.objectValue != nil && objects.matches(Self.labels($0)) } ?? false
    }
  }

  private static func labels(_ tree: JSONValue?) -> [String: String] {
    (tree?["metadata"]?["labels"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
  }
}
