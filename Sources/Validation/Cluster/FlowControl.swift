import API

extension FlowSchema: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if spec.matchingPrecedence <= 0 || spec.matchingPrecedence > 10_000 {
      errors.append(
        .invalid(
          path.child("matchingPrecedence"), spec.matchingPrecedence,
          spec.matchingPrecedence <= 0 ? "must be a positive value" : "must not be greater than 10000"))
    }
    if spec.matchingPrecedence == 1 && metadata.name != "exempt" {
      errors.append(
        .invalid(
          path.child("matchingPrecedence"), spec.matchingPrecedence,
          "only the schema named 'exempt' may have matchingPrecedence 1"))
    }
    let level = path.child("priorityLevelConfiguration").child("name")
    if spec.priorityLevelConfiguration.name.isEmpty {
      errors.append(.required(level, "must reference a priority level"))
    } else {
      checkDNS1123Subdomain(spec.priorityLevelConfiguration.name, level, &errors)
    }
    if let method = spec.distinguisherMethod {
      checkOneOf(method.type, ["ByNamespace", "ByUser"], path.child("distinguisherMethod"), &errors)
    }
    for (i, rule) in spec.rules.enumerated() {
      let path = path.child("rules").index(i)
      if rule.subjects.isEmpty {
        errors.append(.required(path.child("subjects"), "subjects must contain at least one value"))
      }
      if rule.resourceRules.isEmpty && rule.nonResourceRules.isEmpty {
        errors.append(
          .required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
      }
    }
  }
}

extension PriorityLevelConfiguration: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    switch spec.type {
    case "Exempt":
      if spec.limited != nil {
        errors.append(.forbidden(path.child("limited"), "must be nil if the type is not Limited"))
      }
    case "Limited":
      if spec.exempt != nil {
        errors.append(.forbidden(path.child("exempt"), "must be nil if the type is Limited"))
      }
      guard let limited = spec.limited else {
        errors.append(.required(path.child("limited"), "must not be empty when type is Limited"))
        return
      }
      let path = path.child("limited")
      if let shares = limited.nominalConcurrencyShares, shares < 0 {
        errors.append(
          .invalid(path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer"))
      }
      if let percent = limited.lendablePercent, percent < 0 || percent > 100 {
        errors.append(.invalid(path.child("lendablePercent"), percent, "must be between 0 and 100, inclusive"))
      }
      checkOneOf(limited.limitResponse.type, ["Queue", "Reject"], path.child("limitResponse", "type"), &errors)
    default: errors.append(.notSupported(path.child("type"), spec.type, ["Exempt", "Limited"]))
    }
  }
}
