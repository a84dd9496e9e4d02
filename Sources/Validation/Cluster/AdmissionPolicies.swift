import API

// What is in expressions is checked where they can be compiled.

extension ValidatingAdmissionPolicy: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkPolicy(
      failure: spec.failurePolicy, spec.paramKind, spec.matchConstraints, spec.matchConditions, spec.variables, &errors)
    if spec.validations.isEmpty && spec.auditAnnotations.isEmpty {
      let hint = "validations or auditAnnotations must contain at least one item"
      errors.append(.required(path.child("validations"), hint))
      errors.append(.required(path.child("auditAnnotations"), hint))
    }
    for (i, rule) in spec.validations.enumerated() { checkRule(rule, path.child("validations").index(i), &errors) }
    checkAnnotations(path.child("auditAnnotations"), &errors)
  }

  private func checkRule(_ rule: AdmissionValidation, _ path: FieldPath, _ errors: inout [FieldError]) {
    if isBlank(rule.expression) { errors.append(.required(path.child("expression"), "expression is not specified")) }
    if !rule.messageExpression.isEmpty, isBlank(rule.messageExpression) {
      errors.append(
        .invalid(path.child("messageExpression"), rule.messageExpression, "must be non-empty if specified"))
    }
    if !rule.message.isEmpty, isBlank(rule.message) {
      errors.append(.invalid(path.child("message"), rule.message, "message must be non-empty if specified"))
    } else if trimmed(rule.message).contains(where: \.isNewline) {
      errors.append(.invalid(path.child("message"), rule.message, "message must not contain line breaks"))
    }
    if let reason = rule.reason {
      checkOneOf(reason, ["Forbidden", "Invalid", "RequestEntityTooLarge"], path.child("reason"), &errors)
    }
  }

  private func checkAnnotations(_ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.auditAnnotations.count > 20 {
      errors.append(.invalid(path, FieldJSON(spec.auditAnnotations), "must not have more than 20 auditAnnotations"))
    }
    var keys: Set<String> = []
    for (i, annotation) in spec.auditAnnotations.enumerated() {
      let path = path.index(i)
      if metadata.name.isEmpty {
        errors.append(.invalid(path.child("key"), annotation.key, "requires metadata.name be non-empty"))
      } else {
        let full = metadata.name + "/" + annotation.key
        checkProblems(Names.isQualifiedName(full), full, path.child("key"), &errors)
      }
      let value = path.child("valueExpression")
      let length = trimmed(annotation.valueExpression).utf8.count
      if length == 0 { errors.append(.required(value, "valueExpression is not specified")) }
      if length > 5 * 1024 { errors.append(.required(value, "must not exceed 5120 bytes in length")) }
      if !keys.insert(annotation.key).inserted { errors.append(.duplicate(path.child("key"), annotation.key)) }
    }
  }
}

extension ValidatingAdmissionPolicyBinding: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkBinding(spec.policyName, spec.paramRef, spec.matchResources, &errors)
    let actions = path.child("validationActions")
    var seen: Set<String> = []
    for (i, action) in spec.validationActions.enumerated() {
      checkOneOf(action, ["Audit", "Deny", "Warn"], actions.index(i), &errors)
      if !seen.insert(action).inserted { errors.append(.duplicate(actions.index(i), action)) }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
      errors.append(
        .invalid(
          actions, spec.validationActions,
          "must not contain both Deny and Warn (repeating the same validation failure information in the API response "
            + "and headers serves no purpose)"))
    }
    if seen.isEmpty { errors.append(.required(actions, "at least one validation action is required")) }
  }
}

extension MutatingAdmissionPolicy: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkPolicy(
      failure: spec.failurePolicy, spec.paramKind, spec.matchConstraints, spec.matchConditions, spec.variables, &errors)
    let mutations = path.child("mutations")
    if spec.mutations.isEmpty { errors.append(.required(mutations, "mutations must contain at least one item")) }
    for (i, mutation) in spec.mutations.enumerated() { checkMutation(mutation, mutations.index(i), &errors) }
    if !spec.reinvocationPolicy.isEmpty {
      checkOneOf(spec.reinvocationPolicy, ["IfNeeded", "Never"], path.child("reinvocationPolicy"), &errors)
    }
  }

  private func checkMutation(_ mutation: Mutation, _ path: FieldPath, _ errors: inout [FieldError]) {
    let types = ["ApplyConfiguration", "JSONPatch"]
    checkRequiredOneOf(mutation.patchType, types, path.child("patchType"), &errors)
    let parts = [
      ("ApplyConfiguration", "applyConfiguration", mutation.applyConfiguration?.expression),
      ("JSONPatch", "jsonPatch", mutation.jsonPatch?.expression),
    ]
    for (type, field, expression) in parts {
      if let expression {
        if types.contains(mutation.patchType), mutation.patchType != type {
          errors.append(
            .forbidden(path.child(field), "must not be specified when patchType is \(mutation.patchType)"))
        } else if isBlank(expression) {
          errors.append(.required(path.child(field).child("expression"), "expression is not specified"))
        }
      } else if mutation.patchType == type {
        errors.append(.required(path.child(field), "must be specified when patchType is \(type)"))
      }
    }
  }
}

extension MutatingAdmissionPolicyBinding: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkBinding(spec.policyName, spec.paramRef, spec.matchResources, &errors)
  }
}

private func trimmed(_ text: String) -> Substring {
  var rest = text[...]
  while rest.first?.isWhitespace == true { rest.removeFirst() }
  while rest.last?.isWhitespace == true { rest.removeLast() }
  return rest
}

private func isBlank(_ text: String) -> Bool { trimmed(text).isEmpty }

/// What both kinds of policies have.
private func checkPolicy(
  failure: String?, _ kind: ParamKind?, _ constraints: MatchResources?, _ conditions: [MatchCondition],
  _ variables: [Variable], _ errors: inout [FieldError]
) {
  let path = FieldPath("spec")
  if let failure {
    checkOneOf(failure, ["Fail", "Ignore"], path.child("failurePolicy"), &errors)
  } else {
    errors.append(.required(path.child("failurePolicy")))
  }
  if let kind { checkParamKind(kind, path.child("paramKind"), &errors) }
  if let constraints {
    checkMatch(constraints, path.child("matchConstraints"), &errors)
    if constraints.resourceRules.isEmpty {
      errors.append(.required(path.child("matchConstraints", "resourceRules")))
    }
  } else {
    errors.append(.required(path.child("matchConstraints")))
  }
  checkMatchConditions(conditions, path.child("matchConditions"), &errors)
  for (i, variable) in variables.enumerated() {
    let path = path.child("variables").index(i)
    if isBlank(variable.name) {
      errors.append(.required(path.child("name"), "name is not specified"))
    } else if !isIdentifier(variable.name) {
      errors.append(.invalid(path.child("name"), variable.name, "name is not a valid CEL identifier"))
    }
    if isBlank(variable.expression) {
      errors.append(.required(path.child("expression"), "expression is not specified"))
    }
  }
}

/// What both kinds of bindings have.
private func checkBinding(
  _ policy: String, _ reference: ParamRef?, _ match: MatchResources?, _ errors: inout [FieldError]
) {
  let path = FieldPath("spec")
  if policy.isEmpty {
    errors.append(.required(path.child("policyName")))
  } else {
    checkDNS1123Subdomain(policy, path.child("policyName"), &errors)
  }
  if let reference { checkParamRef(reference, path.child("paramRef"), &errors) }
  // Upstream spells the field so.
  if let match { checkMatch(match, path.child("matchResouces"), &errors) }
}

private func checkParamKind(_ kind: ParamKind, _ path: FieldPath, _ errors: inout [FieldError]) {
  let place = path.child("apiVersion")
  let parts = kind.apiVersion.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
  if kind.apiVersion.isEmpty {
    errors.append(.required(place))
  } else if parts.count > 2 {
    errors.append(.invalid(place, kind.apiVersion, "unexpected GroupVersion string: \(kind.apiVersion)"))
  } else {
    let (group, version) = parts.count == 2 ? (parts[0], parts[1]) : ("", parts[0])
    let problems = group.isEmpty ? [] : Names.isDNS1123Subdomain(group)
    if !problems.isEmpty { errors.append(.invalid(place, group, problems.joined(separator: ","))) }
    if version.isEmpty {
      errors.append(.invalid(place, kind.apiVersion, "version must be specified"))
    } else {
      let problems = Names.isDNS1035Label(version)
      if !problems.isEmpty { errors.append(.invalid(place, version, problems.joined(separator: ","))) }
    }
  }
  if kind.kind.isEmpty {
    errors.append(.required(path.child("kind")))
  } else {
    let problems = Names.isDNS1035Label(kind.kind.lowercased())
    if !problems.isEmpty {
      errors.append(
        .invalid(
          path.child("kind"), kind.kind,
          "may have mixed case, but should otherwise match: " + problems.joined(separator: ",")))
    }
  }
}

private func checkParamRef(_ reference: ParamRef, _ path: FieldPath, _ errors: inout [FieldError]) {
  let both = "name and selector are mutually exclusive"
  if !reference.name.isEmpty {
    checkProblems(pathSegmentProblems(reference.name), reference.name, path.child("name"), &errors)
    if reference.selector != nil { errors.append(.forbidden(path.child("name"), both)) }
  }
  if let selector = reference.selector {
    checkLabelSelector(selector, path.child("selector"), &errors)
    if !reference.name.isEmpty { errors.append(.forbidden(path.child("selector"), both)) }
  } else if reference.name.isEmpty {
    errors.append(.required(path, "one of name or selector must be specified"))
  }
  checkRequiredOneOf(
    reference.parameterNotFoundAction ?? "", ["Deny", "Allow"], path.child("parameterNotFoundAction"), &errors)
}

private func checkMatch(_ match: MatchResources, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let policy = match.matchPolicy {
    checkOneOf(policy, ["Equivalent", "Exact"], path.child("matchPolicy"), &errors)
  } else {
    errors.append(.required(path.child("matchPolicy")))
  }
  for (field, selector) in [
    ("namespaceSelector", match.namespaceSelector), ("objectSelector", match.objectSelector),
  ] {
    if selector == nil { errors.append(.required(path.child(field))) }
    checkLabelSelector(selector, path.child(field), &errors)
  }
  for (field, rules) in [
    ("resourceRules", match.resourceRules), ("excludeResourceRules", match.excludeResourceRules),
  ] {
    for (i, rule) in rules.enumerated() {
      let place = path.child(field).index(i)
      var names: Set<String> = []
      for (j, name) in rule.resourceNames.enumerated() {
        let path = place.child("resourceNames").index(j)
        checkProblems(pathSegmentProblems(name), name, path, &errors)
        if !names.insert(name).inserted { errors.append(.duplicate(path, name)) }
      }
    }
    checkHookRules(
      rules.map { rule in
        RuleWithOperations {
          $0.operations = rule.operations
          $0.apiGroups = rule.apiGroups
          $0.apiVersions = rule.apiVersions
          $0.resources = rule.resources
          $0.scope = rule.scope
        }
      }, path.child(field), &errors)
  }
}

/// Checks the names of conditions on which a policy or webhook is asked at all.
func checkMatchConditions(_ conditions: [MatchCondition], _ path: FieldPath, _ errors: inout [FieldError]) {
  if conditions.count > 64 { errors.append(.tooMany(path, actual: conditions.count, max: 64)) }
  var names: Set<String> = []
  for (i, condition) in conditions.enumerated() {
    let path = path.index(i)
    if isBlank(condition.expression) { errors.append(.required(path.child("expression"))) }
    if condition.name.isEmpty {
      errors.append(.required(path.child("name")))
      continue
    }
    checkProblems(Names.isQualifiedName(condition.name), condition.name, path.child("name"), &errors)
    if !names.insert(condition.name).inserted { errors.append(.duplicate(path.child("name"), condition.name)) }
  }
}

private let reserved: Set<String> = [
  "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
  "loop", "package", "namespace", "return", "var", "void", "while",
]

/// Whether an expression can speak of something by this name.
private func isIdentifier(_ name: String) -> Bool {
  !reserved.contains(name) && name.utf8.first.map { $0 < 0x30 || $0 > 0x39 } == true
    && name.utf8.allSatisfy {
      ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5A) || ($0 >= 0x61 && $0 <= 0x7A) || $0 == 0x5F
    }
}
