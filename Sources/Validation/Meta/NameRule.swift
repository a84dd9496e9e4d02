import API

/// What the names of a kind must look like.
enum NameRule: Sendable {
  case subdomain
  case label
  /// A label that begins with a letter.
  case label1035
  /// Whatever can stand in a URL's path.
  case pathSegment
  /// Objects that are never stored need no name.
  case none

  /// What is wrong with a name; a prefix may end in a dash.
  func problems(_ name: String, isPrefix: Bool = false) -> [String] {
    var name = name
    if isPrefix, self != .pathSegment, name.utf8.count > 1, name.hasSuffix("-") { name = name.dropLast(2) + "a" }
    switch self {
    case .subdomain: return Names.isDNS1123Subdomain(name)
    case .label: return Names.isDNS1123Label(name)
    case .label1035: return Names.isDNS1035Label(name)
    case .pathSegment: return isPrefix ? pathSegmentPrefixProblems(name) : pathSegmentProblems(name)
    case .none: return []
    }
  }

  /// Checks the metadata of a new object.
  func checkMetadata(_ meta: ObjectMeta, namespaced: Bool, _ errors: inout [FieldError]) {
    if self == .none { return }
    let path = FieldPath("metadata")
    if !meta.generateName.isEmpty {
      for problem in problems(meta.generateName, isPrefix: true) {
        errors.append(.invalid(path.child("generateName"), meta.generateName, problem))
      }
    }
    if meta.name.isEmpty {
      errors.append(.required(path.child("name"), "name or generateName is required"))
    } else {
      for problem in problems(meta.name) { errors.append(.invalid(path.child("name"), meta.name, problem)) }
    }
    if namespaced {
      if meta.namespace.isEmpty {
        errors.append(.required(path.child("namespace")))
      } else {
        for problem in Names.isDNS1123Label(meta.namespace) {
          errors.append(.invalid(path.child("namespace"), meta.namespace, problem))
        }
      }
    } else if !meta.namespace.isEmpty {
      errors.append(.forbidden(path.child("namespace"), "not allowed on this type"))
    }
    checkNonnegative(meta.generation, path.child("generation"), &errors)
    checkCommonMetadata(meta, path, &errors)
  }
}

/// Rules for names that only need to fit into a URL.
func pathSegmentProblems(_ name: String) -> [String] {
  if name == "." { return ["may not be '.'"] }
  if name == ".." { return ["may not be '..'"] }
  return pathSegmentPrefixProblems(name)
}

private func pathSegmentPrefixProblems(_ name: String) -> [String] {
  var problems: [String] = []
  for character in ["/", "%"] where name.contains(character) { problems.append("may not contain '\(character)'") }
  return problems
}
