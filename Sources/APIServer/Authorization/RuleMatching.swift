import API

/// Whether a rule covers what is asked.
extension PolicyRule {
  func covers(_ attributes: AuthorizationAttributes) -> Bool {
    guard verbs.contains(where: { $0 == "*" || $0 == attributes.verb }) else { return false }
    guard attributes.isResource else {
      return nonResourceURLs.contains { Self.matches(url: $0, attributes.path) }
    }
    guard apiGroups.contains(where: { $0 == "*" || $0 == attributes.apiGroup }) else { return false }
    guard
      resources.contains(where: {
        Self.matches(resource: $0, attributes.resource, subresource: attributes.subresource)
      })
    else { return false }
    return resourceNames.isEmpty || resourceNames.contains(attributes.name)
  }

  static func matches(url pattern: String, _ path: String) -> Bool {
    if pattern == "*" || pattern == path { return true }
    return pattern.hasSuffix("*") && path.hasPrefix(pattern.dropLast())
  }

  static func matches(resource pattern: String, _ resource: String, subresource: String) -> Bool {
    if pattern == "*" { return true }
    if subresource.isEmpty { return pattern == resource }
    guard pattern.utf8.count > subresource.utf8.count, pattern.hasSuffix(subresource) else { return false }
    let head = pattern.dropLast(subresource.count)
    return head == "*/" || (head.last == "/" && head.dropLast() == resource)
  }
}
