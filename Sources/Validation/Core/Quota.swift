import API

private let quotaScopes = [
  "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
  "VolumeAttributesClass",
]

extension ResourceQuota: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    for (name, quantity) in spec.hard.sorted(by: { $0.key < $1.key }) {
      let path = path.child("hard").key(name)
      checkQuotaName(name, path, &errors)
      checkQuantity(name, quantity, path, &errors)
    }
    for scope in spec.scopes { checkOneOf(scope, quotaScopes, path.child("scopes"), &errors) }
    let scopes = Set(spec.scopes)
    for (a, b) in [("Terminating", "NotTerminating"), ("BestEffort", "NotBestEffort")]
    where scopes.contains(a) && scopes.contains(b) {
      errors.append(.invalid(path.child("scopes"), spec.scopes, "conflicting scopes"))
    }
    for (i, expression) in (spec.scopeSelector?.matchExpressions ?? []).enumerated() {
      let path = path.child("scopeSelector", "matchExpressions").index(i)
      checkOneOf(expression.scopeName, quotaScopes, path.child("scopeName"), &errors)
      switch expression.`operator` {
      case "In", "NotIn":
        if expression.values.isEmpty {
          errors.append(
            .required(
              path.child("values"),
              "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
        }
      case "Exists", "DoesNotExist":
        if !expression.values.isEmpty {
          errors.append(
            .invalid(
              path.child("values"), expression.values,
              "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
        }
      default:
        errors.append(.invalid(path.child("operator"), expression.`operator`, "not a valid selector operator"))
      }
    }
  }

  private func checkQuotaName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
    let problems = Names.isQualifiedName(name)
    checkProblems(problems, name, path, &errors)
    if !problems.isEmpty || name.contains("/") || name.hasPrefix("count/") { return }
    let known = [
      "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
      "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "services",
      "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
      "services.nodeports", "services.loadbalancers",
    ]
    if !known.contains(name) && !name.hasPrefix("hugepages-") && !name.hasPrefix("requests.hugepages-") {
      errors.append(.invalid(path, name, "must be a standard resource for quota"))
    }
  }

  func validateChange(of old: ResourceQuota, _ errors: inout [FieldError]) {
    validate(&errors)
    if Set(spec.scopes) != Set(old.spec.scopes) {
      errors.append(.invalid(FieldPath("spec").child("scopes"), spec.scopes, "field is immutable"))
    }
  }

  func validateStatusChange(of old: ResourceQuota, _ errors: inout [FieldError]) {
    for (field, amounts) in [("hard", status.hard), ("used", status.used)] {
      for (name, quantity) in amounts.sorted(by: { $0.key < $1.key }) {
        checkQuantity(name, quantity, FieldPath("status").child(field).key(name), &errors)
      }
    }
  }
}

extension LimitRange: Validated {
  func validate(_ errors: inout [FieldError]) {
    var types: Set<String> = []
    for (i, item) in spec.limits.enumerated() {
      let path = FieldPath("spec").child("limits").index(i)
      if !types.insert(item.type).inserted { errors.append(.duplicate(path.child("type"), item.type)) }
      if item.type == "Pod" {
        if !item.`default`.isEmpty {
          errors.append(.forbidden(path.child("default"), "may not be specified when `type` is 'Pod'"))
        }
        if !item.defaultRequest.isEmpty {
          errors.append(.forbidden(path.child("defaultRequest"), "may not be specified when `type` is 'Pod'"))
        }
      }
      if item.type == "PersistentVolumeClaim" && item.min["storage"] == nil && item.max["storage"] == nil {
        errors.append(
          .required(
            path.child("limits"), "either minimum or maximum storage value is required, but neither was provided"))
      }
      checkLimitOrder(item, path, &errors)
    }
  }

  private func checkLimitOrder(_ item: LimitRangeItem, _ path: FieldPath, _ errors: inout [FieldError]) {
    let names = Set(item.min.keys).union(item.max.keys).union(item.`default`.keys).union(item.defaultRequest.keys)
      .union(item.maxLimitRequestRatio.keys)
    /// Reports that one bound is above another.
    func order(
      _ field: String, _ name: String, _ value: Quantity?, above limit: Quantity?, _ label: String, _ other: String,
      _ errors: inout [FieldError]
    ) {
      guard let value, let limit, value > limit else { return }
      errors.append(
        .invalid(
          path.child(field).key(name), FieldJSON(value),
          "\(label) value \(value) is greater than \(other) value \(limit)"))
    }
    for name in names.sorted() {
      let (low, high) = (item.min[name], item.max[name])
      let (limit, request) = (item.`default`[name], item.defaultRequest[name])
      order("min", name, low, above: high, "min", "max", &errors)
      order("defaultRequest", name, low, above: request, "min", "default request", &errors)
      order("defaultRequest", name, request, above: high, "default request", "max", &errors)
      order("defaultRequest", name, request, above: limit, "default request", "default limit", &errors)
      order("default", name, low, above: limit, "min", "default", &errors)
      order("default", name, limit, above: high, "default", "max", &errors)
      if let ratio = item.maxLimitRequestRatio[name], ratio < Quantity(1) {
        errors.append(
          .invalid(path.child("maxLimitRequestRatio").key(name), FieldJSON(ratio), "ratio \(ratio) is less than 1"))
      }
    }
  }
}
