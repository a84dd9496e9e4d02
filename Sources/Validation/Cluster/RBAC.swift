import API

private let rbacGroup = "rbac.authorization.k8s.io"

extension Role: Validated {
  static var nameRule: NameRule { .pathSegment }

  func validate(_ errors: inout [FieldError]) { checkRules(rules, namespaced: true, &errors) }
}

extension ClusterRole: Validated {
  static var nameRule: NameRule { .pathSegment }

  func validate(_ errors: inout [FieldError]) {
    checkRules(rules, namespaced: false, &errors)
    guard let aggregation = aggregationRule else { return }
    let path = FieldPath("aggregationRule").child("clusterRoleSelectors")
    if aggregation.clusterRoleSelectors.isEmpty {
      errors.append(
        .required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    }
    for (i, selector) in aggregation.clusterRoleSelectors.enumerated() {
      checkLabelSelector(selector, path.index(i), &errors)
    }
  }
}

private func checkRules(_ rules: [PolicyRule], namespaced: Bool, _ errors: inout [FieldError]) {
  for (i, rule) in rules.enumerated() {
    let path = FieldPath("rules").index(i)
    if rule.verbs.isEmpty { errors.append(.required(path.child("verbs"), "verbs must contain at least one value")) }
    if !rule.nonResourceURLs.isEmpty {
      if namespaced {
        errors.append(
          .invalid(
            path.child("nonResourceURLs"), rule.nonResourceURLs,
            "namespaced rules cannot apply to non-resource URLs"))
      }
      if !rule.apiGroups.isEmpty || !rule.resources.isEmpty || !rule.resourceNames.isEmpty {
        errors.append(
          .invalid(
            path.child("nonResourceURLs"), rule.nonResourceURLs,
            "rules cannot apply to both regular resources and non-resource URLs"))
      }
      continue
    }
    if rule.apiGroups.isEmpty {
      errors.append(.required(path.child("apiGroups"), "resource rules must supply at least one api group"))
    }
    if rule.resources.isEmpty {
      errors.append(.required(path.child("resources"), "resource rules must supply at least one resource"))
    }
  }
}

extension RoleBinding: Validated {
  static var nameRule: NameRule { .pathSegment }

  func validate(_ errors: inout [FieldError]) {
    checkRoleRef(roleRef, kinds: ["Role", "ClusterRole"], &errors)
    checkSubjects(subjects, namespaced: true, &errors)
  }

  func validateChange(of old: RoleBinding, _ errors: inout [FieldError]) {
    validate(&errors)
    if roleRef != old.roleRef {
      errors.append(.invalid(FieldPath("roleRef"), FieldJSON(roleRef), "cannot change roleRef"))
    }
  }
}

extension ClusterRoleBinding: Validated {
  static var nameRule: NameRule { .pathSegment }

  func validate(_ errors: inout [FieldError]) {
    checkRoleRef(roleRef, kinds: ["ClusterRole"], &errors)
    checkSubjects(subjects, namespaced: false, &errors)
  }

  func validateChange(of old: ClusterRoleBinding, _ errors: inout [FieldError]) {
    validate(&errors)
    if roleRef != old.roleRef {
      errors.append(.invalid(FieldPath("roleRef"), FieldJSON(roleRef), "cannot change roleRef"))
    }
  }
}

private func checkRoleRef(_ ref: RoleRef, kinds: [String], _ errors: inout [FieldError]) {
  let path = FieldPath("roleRef")
  checkOneOf(ref.apiGroup, [rbacGroup], path.child("apiGroup"), &errors)
  checkOneOf(ref.kind, kinds, path.child("kind"), &errors)
  if ref.name.isEmpty {
    errors.append(.required(path.child("name")))
  } else {
    checkProblems(pathSegmentProblems(ref.name), ref.name, path.child("name"), &errors)
  }
}

private func checkSubjects(_ subjects: [Subject], namespaced: Bool, _ errors: inout [FieldError]) {
  for (i, subject) in subjects.enumerated() {
    let path = FieldPath("subjects").index(i)
    if subject.name.isEmpty { errors.append(.required(path.child("name"))) }
    switch subject.kind {
    case "ServiceAccount":
      if !subject.name.isEmpty { checkDNS1123Subdomain(subject.name, path.child("name"), &errors) }
      checkOneOf(subject.apiGroup, [""], path.child("apiGroup"), &errors)
      if !namespaced && subject.namespace.isEmpty { errors.append(.required(path.child("namespace"))) }
    case "User", "Group": checkOneOf(subject.apiGroup, [rbacGroup], path.child("apiGroup"), &errors)
    default: errors.append(.notSupported(path.child("kind"), subject.kind, ["Group", "ServiceAccount", "User"]))
    }
  }
}
