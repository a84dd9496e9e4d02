import APIMachinery

/// How much of which requests is written down (audit.k8s.io/v1 Policy).
struct AuditPolicy: Sendable {
  enum Level: String, Sendable, Comparable {
    case none = "None"
    case metadata = "Metadata"
    case request = "Request"
    case requestResponse = "RequestResponse"

    private var rank: Int {
      switch self {
      case .none: 0
      case .metadata: 1
      case .request: 2
      case .requestResponse: 3
      }
    }
    static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
  }

  enum Stage: String, Sendable {
    case requestReceived = "RequestReceived"
    case responseStarted = "ResponseStarted"
    case responseComplete = "ResponseComplete"
    case panic = "Panic"
  }

  /// What is written of one request.
  struct Decision: Sendable {
    var level: Level
    var omitStages: Set<Stage> = []
    var omitManagedFields = false
  }

  /// A policy that cannot be read.
  struct Malformed: Error, CustomStringConvertible {
    var description: String
  }

  fileprivate struct Rule: Sendable {
    var level: Level
    var users: Set<String>
    var groups: Set<String>
    var verbs: Set<String>
    var resources: [(group: String, names: [String], objects: Set<String>)]
    var namespaces: Set<String>
    var paths: [String]
    var omitStages: Set<Stage>
    var omitManagedFields: Bool?
  }

  private var rules: [Rule] = []
  private var omitStages: Set<Stage> = []
  private var omitManagedFields = false

  /// Reads a policy file, YAML or JSON. Throws `Malformed`.
  init(_ text: [UInt8]) throws {
    let tree: JSONValue
    do { tree = try JSONValue(parsing: yamlToJSON(text)) } catch { throw Malformed(description: "\(error)") }
    guard tree["kind"]?.stringValue == "Policy", tree["apiVersion"]?.stringValue == "audit.k8s.io/v1" else {
      throw Malformed(description: "not a Policy of audit.k8s.io/v1")
    }
    omitStages = try Self.stages(tree["omitStages"])
    omitManagedFields = tree["omitManagedFields"]?.boolValue ?? false
    let entries = tree["rules"]?.arrayValue ?? []
    if entries.isEmpty { throw Malformed(description: "loaded illegal policy with 0 rules") }
    rules = try entries.enumerated().map { index, entry in
      guard let level = entry["level"]?.stringValue.flatMap(Level.init(rawValue:)) else {
        throw Malformed(
          description: "rules[\(index)].level: Unsupported value: \(goQuoted(entry["level"]?.stringValue ?? ""))")
      }
      let resources = (entry["resources"]?.arrayValue ?? []).map { kind in
        (
          group: kind["group"]?.stringValue ?? "", names: Self.texts(kind["resources"]),
          objects: Set(Self.texts(kind["resourceNames"]))
        )
      }
      let paths = Self.texts(entry["nonResourceURLs"])
      if !paths.isEmpty, !resources.isEmpty || !Self.texts(entry["namespaces"]).isEmpty {
        throw Malformed(
          description:
            "rules[\(index)].nonResourceURLs: Invalid value: rules cannot apply to both regular resources and "
            + "non-resource URLs")
      }
      return Rule(
        level: level, users: Set(Self.texts(entry["users"])), groups: Set(Self.texts(entry["userGroups"])),
        verbs: Set(Self.texts(entry["verbs"])), resources: resources, namespaces: Set(Self.texts(entry["namespaces"])),
        paths: paths, omitStages: try Self.stages(entry["omitStages"]),
        omitManagedFields: entry["omitManagedFields"]?.boolValue)
    }
  }

  private static func texts(_ value: JSONValue?) -> [String] { (value?.arrayValue ?? []).compactMap(\.stringValue) }

  private static func stages(_ value: JSONValue?) throws -> Set<Stage> {
    try Set(
      texts(value).map { text in
        guard let stage = Stage(rawValue: text) else {
          throw Malformed(description: "omitStages: Unsupported value: \(goQuoted(text))")
        }
        return stage
      })
  }

  /// What the first rule that matches says; nothing is written where none does.
  func decide(_ user: UserInfo, _ info: RequestInfo) -> Decision {
    for rule in rules where rule.matches(user, info) {
      return Decision(
        level: rule.level, omitStages: omitStages.union(rule.omitStages),
        omitManagedFields: rule.omitManagedFields ?? omitManagedFields)
    }
    return Decision(level: .none)
  }
}

extension AuditPolicy.Rule {
  fileprivate func matches(_ user: UserInfo, _ info: RequestInfo) -> Bool {
    if !users.isEmpty, !users.contains(user.name) { return false }
    if !groups.isEmpty, groups.isDisjoint(with: user.groups) { return false }
    if !verbs.isEmpty, !verbs.contains(info.verb) { return false }
    if !namespaces.isEmpty || !resources.isEmpty {
      guard info.isResource else { return false }
      if !namespaces.isEmpty, !namespaces.contains(info.namespace) { return false }
      return resources.isEmpty || resources.contains { matches($0, info) }
    }
    guard !paths.isEmpty else { return true }
    guard !info.isResource else { return false }
    return paths.contains { pattern in
      pattern == "*" || pattern == info.path
        || (pattern.hasSuffix("*") && info.path.hasPrefix(pattern.dropLast()))
    }
  }

  private func matches(
    _ kind: (group: String, names: [String], objects: Set<String>), _ info: RequestInfo
  ) -> Bool {
    guard kind.group == info.apiGroup else { return false }
    if kind.names.isEmpty { return true }
    guard kind.objects.isEmpty || kind.objects.contains(info.name) else { return false }
    let full = info.subresource.isEmpty ? info.resource : "\(info.resource)/\(info.subresource)"
    return kind.names.contains { name in
      name == full || name == "*" || (name.hasPrefix("*/") && name.dropFirst(2) == info.subresource)
        || (name.hasSuffix("/*") && name.dropLast(2) == info.resource)
    }
  }
}
