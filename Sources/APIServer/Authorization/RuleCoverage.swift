import API

/// Whether somebody's rules cover others, as upstream's escalation check decides: pure.
enum RuleCoverage {
  /// Everything: what an aggregated role may come to hold.
  static let everything = [
    PolicyRule {
      $0.verbs = ["*"]
      $0.apiGroups = ["*"]
      $0.resources = ["*"]
    },
    PolicyRule {
      $0.verbs = ["*"]
      $0.nonResourceURLs = ["*"]
    },
  ]

  /// What of `wanted` no rule of `held` covers, in the smallest pieces.
  static func missing(_ wanted: [PolicyRule], from held: [PolicyRule]) -> [PolicyRule] {
    wanted.flatMap(pieces).filter { piece in !held.contains { covers($0, piece) } }
  }

  /// One rule for each verb of each resource or path.
  static func pieces(_ rule: PolicyRule) -> [PolicyRule] {
    var result: [PolicyRule] = []
    for group in rule.apiGroups {
      for resource in rule.resources {
        for verb in rule.verbs {
          for name in rule.resourceNames.isEmpty ? [nil] : rule.resourceNames.map(Optional.some) {
            result.append(
              PolicyRule {
                $0.apiGroups = [group]
                $0.resources = [resource]
                $0.verbs = [verb]
                $0.resourceNames = name.map { [$0] } ?? []
              })
          }
        }
      }
    }
    for url in rule.nonResourceURLs {
      for verb in rule.verbs {
        result.append(
          PolicyRule {
            $0.nonResourceURLs = [url]
            $0.verbs = [verb]
          })
      }
    }
    return result
  }

  private static func covers(_ held: PolicyRule, _ piece: PolicyRule) -> Bool {
    func has(_ set: [String], _ wanted: [String]) -> Bool { set.contains("*") || wanted.allSatisfy(set.contains) }
    guard has(held.verbs, piece.verbs) else { return false }
    if !piece.nonResourceURLs.isEmpty {
      return piece.nonResourceURLs.allSatisfy { url in
        held.nonResourceURLs.contains { PolicyRule.matches(url: $0, url) }
      }
    }
    guard has(held.apiGroups, piece.apiGroups), piece.resources.allSatisfy({ covers(held.resources, $0) }) else {
      return false
    }
    if piece.resourceNames.isEmpty { return held.resourceNames.isEmpty }
    return held.resourceNames.isEmpty || piece.resourceNames.allSatisfy(held.resourceNames.contains)
  }

  private static func covers(_ held: [String], _ resource: String) -> Bool {
    if held.contains("*") || held.contains(resource) { return true }
    guard let slash = resource.firstIndex(of: "/") else { return false }
    return held.contains("*" + resource[slash...])
  }

  /// Pieces of one resource put together again, for people to read.
  static func compacted(_ rules: [PolicyRule]) -> [PolicyRule] {
    var result: [PolicyRule] = []
    for rule in rules {
      let same = result.firstIndex {
        $0.apiGroups == rule.apiGroups && $0.resources == rule.resources && $0.resourceNames == rule.resourceNames
          && !rule.resources.isEmpty
      }
      if let same { result[same].verbs += rule.verbs } else { result.append(rule) }
    }
    return result
  }

  /// A rule in one line: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
  static func text(_ rule: PolicyRule) -> String {
    let parts = [
      ("APIGroups", rule.apiGroups), ("Resources", rule.resources), ("NonResourceURLs", rule.nonResourceURLs),
      ("ResourceNames", rule.resourceNames), ("Verbs", rule.verbs),
    ]
    return "{"
      + parts.filter { !$0.1.isEmpty }.map { "\($0.0):\(list($0.1))" }.joined(separator: ", ") + "}"
  }

  static func list(_ words: [String]) -> String { "[" + words.map { goQuoted($0) }.joined(separator: " ") + "]" }
}
