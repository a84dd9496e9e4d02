import API

/// Finds the flow of a request: the FlowSchema that matches it first, and whom within it the request belongs to.
///
/// A value that is made anew when a FlowSchema changes. Schemas whose priority level does not exist take no part.
struct FlowClassifier: Sendable {
  /// What a request belongs to.
  struct Flow: Sendable {
    let schema: Schema
    let level: PriorityLevel
    /// Tells the flows of one schema apart; empty where it has only one.
    let distinguisher: String
  }

  /// A FlowSchema made ready for matching.
  struct Schema: Sendable {
    let name: String
    let uid: String
    let precedence: Int32
    let method: String
    let rules: [Rule]
  }

  struct Rule: Sendable {
    var users: Set<String> = []
    var groups: [String] = []
    /// Any of these namespaces' accounts.
    var accountNamespaces: [String] = []
    var isForAll = false
    var resources: [ResourcePolicyRule] = []
    var paths: [NonResourcePolicyRule] = []
  }

  private let schemas: [(schema: Schema, level: PriorityLevel)]

  init(_ schemas: [FlowSchema], level: (String) -> PriorityLevel?) {
    self.schemas = schemas.compactMap { schema in
      level(schema.spec.priorityLevelConfiguration.name).map { (Schema(schema), $0) }
    }.sorted { ($0.0.precedence, $0.0.name) < ($1.0.precedence, $1.0.name) }
  }

  /// A schema that is for a user, with those of its rules that are.
  struct Candidate: Sendable {
    fileprivate let schema: Schema
    fileprivate let level: PriorityLevel
    fileprivate let rules: [Rule]
  }

  /// The schemas that are for a user, whatever is asked: the costly half of a match, and the same for every request.
  func candidates(of user: UserInfo) -> [Candidate] {
    schemas.compactMap { schema, level in
      let rules = schema.rules.filter { $0.isFor(user) }
      return rules.isEmpty ? nil : Candidate(schema: schema, level: level, rules: rules)
    }
  }

  /// The flow of a request; nil only before the mandatory schemas are there.
  func flow(_ user: UserInfo, _ info: RequestInfo) -> Flow? { Self.flow(user, info, among: candidates(of: user)) }

  static func flow(_ user: UserInfo, _ info: RequestInfo, among candidates: [Candidate]) -> Flow? {
    for candidate in candidates where candidate.rules.contains(where: { $0.covers(info) }) {
      let distinguisher =
        switch candidate.schema.method {
        case "ByUser": user.name
        case "ByNamespace": info.namespace
        default: ""
        }
      return Flow(schema: candidate.schema, level: candidate.level, distinguisher: distinguisher)
    }
    return nil
  }
}

extension FlowClassifier.Schema {
  init(_ schema: FlowSchema) {
    name = schema.metadata.name
    uid = schema.metadata.uid
    precedence = schema.spec.matchingPrecedence
    method = schema.spec.distinguisherMethod?.type ?? ""
    rules = schema.spec.rules.map { FlowClassifier.Rule($0) }
  }
}

extension FlowClassifier.Rule {
  init(_ rules: PolicyRulesWithSubjects) {
    resources = rules.resourceRules
    paths = rules.nonResourceRules
    for subject in rules.subjects {
      switch subject.kind {
      case "User":
        guard let name = subject.user?.name else { continue }
        if name == "*" { isForAll = true } else { users.insert(name) }
      case "Group":
        guard let name = subject.group?.name else { continue }
        if name == "*" { isForAll = true } else { groups.append(name) }
      case "ServiceAccount":
        guard let account = subject.serviceAccount else { continue }
        if account.name == "*" {
          accountNamespaces.append("system:serviceaccount:\(account.namespace):")
        } else {
          users.insert("system:serviceaccount:\(account.namespace):\(account.name)")
        }
      default: continue
      }
    }
  }

  func isFor(_ user: UserInfo) -> Bool {
    isForAll || groups.contains { user.groups.contains($0) } || users.contains(user.name)
      || accountNamespaces.contains { user.name.hasPrefix($0) }
  }

  func covers(_ info: RequestInfo) -> Bool {
    info.isResource
      ? resources.contains { Self.matches($0, info) } : paths.contains { Self.matches($0, info) }
  }

  private static func matches(_ rule: ResourcePolicyRule, _ info: RequestInfo) -> Bool {
    guard has(rule.verbs, info.verb), has(rule.apiGroups, info.apiGroup) else { return false }
    if rule.resources.first != "*" {
      let wanted = info.subresource.isEmpty ? info.resource : "\(info.resource)/\(info.subresource)"
      guard has(rule.resources, wanted) else { return false }
    }
    return info.namespace.isEmpty ? rule.clusterScope : has(rule.namespaces, info.namespace)
  }

  private static func matches(_ rule: NonResourcePolicyRule, _ info: RequestInfo) -> Bool {
    guard has(rule.verbs, info.verb) else { return false }
    return rule.nonResourceURLs.contains { url in
      url == "*" || url == info.path || (url.hasSuffix("/*") && info.path.hasPrefix(url.dropLast()))
    }
  }

  private static func has(_ list: [String], _ value: String) -> Bool {
    list.first == "*" || list.contains(value) || list.contains("*")
  }
}
