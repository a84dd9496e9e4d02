import APIMachinery
import CEL

extension SchemaCheck {
  /// What rules may cost by estimate: one of them, and all of a version.
  static let ruleLimit: UInt64 = 10_000_000
  static let totalLimit: UInt64 = 100_000_000

  /// `cardinality`: how often the schema may apply in one object; nil when nothing bounds it.
  mutating func checkRules(_ schema: JSONValue, _ path: FieldPath, isRoot: Bool, cardinality: UInt64?) {
    let rules = schema["x-kubernetes-validations"]?.arrayValue ?? []
    if !rules.isEmpty {
      let place = path.child("x-kubernetes-validations")
      for (at, rule) in rules.enumerated() { checkRule(rule, schema, place.index(at)) }
      if let type = CELSchemaType.structural(schema, isResourceRoot: isRoot) {
        for (at, rule) in rules.enumerated() { compile(rule, type, place.index(at), cardinality) }
      }
    }
    for (name, child) in (schema["properties"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
      checkRules(
        child, path.child("properties").key(name),
        isRoot: child["x-kubernetes-embedded-resource"] == .bool(true), cardinality: cardinality)
    }
    for (name, bound) in [("items", "maxItems"), ("additionalProperties", "maxProperties")] {
      guard let child = schema[name], child.objectValue != nil else { continue }
      let most =
        schema[bound]?.intValue.map { UInt64(max(0, $0)) } ?? Self.unboundedCount(child, isMap: name != "items")
      let (product, overflow) = (cardinality ?? .max).multipliedReportingOverflow(by: most)
      checkRules(
        child, path.child(name), isRoot: child["x-kubernetes-embedded-resource"] == .bool(true),
        cardinality: overflow ? .max : product)
    }
  }

  /// How many elements fit into the largest request.
  private static func unboundedCount(_ element: JSONValue, isMap: Bool) -> UInt64 {
    CELSchemaType.structural(element)?.largestCount(isMap: isMap) ?? 1 << 20
  }

  private mutating func checkRule(_ rule: JSONValue, _ schema: JSONValue, _ path: FieldPath) {
    let text = rule["rule"]?.stringValue ?? ""
    if CompiledRule.trim(text).isEmpty { errors.append(.required(path.child("rule"), "rule is not specified")) }
    if let message = rule["message"]?.stringValue, !message.isEmpty {
      let trimmed = CompiledRule.trim(message)
      if trimmed.isEmpty {
        errors.append(.invalid(path.child("message"), message, "message must be non-empty if specified"))
      } else if trimmed.contains("\n") {
        errors.append(.invalid(path.child("message"), message, "message must not contain line breaks"))
      } else if trimmed.utf8.count > 2048 {
        errors.append(
          .invalid(
            path.child("message"), String(message.prefix(10)) + "...",
            "message must have a maximum length of 2048 characters"))
      }
    } else if text.contains("\n"), rule["messageExpression"] == nil {
      errors.append(.required(path.child("message"), "message must be specified if rule contains line breaks"))
    }
    if let expression = rule["messageExpression"]?.stringValue, !expression.isEmpty,
      CompiledRule.trim(expression).isEmpty
    {
      errors.append(
        .required(path.child("messageExpression"), "messageExpression must be non-empty if specified"))
    }
    if let reason = rule["reason"]?.stringValue {
      let known = ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"]
      if !known.contains(reason) { errors.append(.notSupported(path.child("reason"), reason, known)) }
    }
    if let field = rule["fieldPath"]?.stringValue, !field.isEmpty {
      if field != CompiledRule.trim(field) || !field.hasPrefix(".") && !field.hasPrefix("[") {
        errors.append(
          .invalid(path.child("fieldPath"), field, "fieldPath must be a valid path: expected [ or . but got: \(field)"))
      } else if !Self.leads(field, schema) {
        errors.append(
          .invalid(
            path.child("fieldPath"), field, "fieldPath must be a valid path: does not refer to a valid field"))
      }
    }
  }

  private static func leads(_ field: String, _ schema: JSONValue) -> Bool {
    guard let path = try? JSONPath(field) else { return false }
    var at = schema
    for step in path.steps {
      guard case .member(let name) = step else { return false }
      if let next = at["properties"]?[name] {
        at = next
      } else if let next = at["additionalProperties"], next.objectValue != nil {
        at = next
      } else {
        return false
      }
    }
    return true
  }

  private mutating func compile(_ rule: JSONValue, _ type: CELSchemaType, _ path: FieldPath, _ cardinality: UInt64?) {
    let compiled = CompiledRule(rule, type)
    if let error = compiled.error {
      errors.append(
        FieldError(
          type: .invalid, field: path.child("rule").description, badValue: Self.goText(rule), detail: error))
    }
    if let error = compiled.messageError {
      errors.append(
        FieldError(
          type: .invalid, field: path.child("messageExpression").description, badValue: Self.goText(rule),
          detail: error))
    }
    if rule["optionalOldSelf"] != nil, let program = compiled.program, !program.usedVariables.contains("oldSelf") {
      errors.append(
        .invalid(
          path.child("optionalOldSelf"), JSONText(rule["optionalOldSelf"] ?? .null),
          "may not be set if oldSelf is not used in rule"))
    }
    for (program, name, label) in [
      (compiled.program, "rule", "estimated rule cost"),
      (compiled.message, "messageExpression", "estimated messageExpression cost"),
    ] {
      guard let program else { continue }
      let (cost, overflow) = program.estimatedCost.max.multipliedReportingOverflow(by: cardinality ?? .max)
      let estimate = overflow ? UInt64.max : cost
      totalCost = totalCost.addingReportingOverflow(estimate).overflow ? .max : totalCost + estimate
      if estimate > Self.ruleLimit {
        errors.append(.forbidden(path.child(name), Self.costMessage(label, estimate, Self.ruleLimit)))
      }
    }
  }

  static func costMessage(_ name: String, _ cost: UInt64, _ limit: UInt64) -> String {
    let factor = Double(cost) / Double(limit)
    let shown =
      factor > 100 ? "more than 100x" : factor < 1.5 ? fixed(factor, 6) + "x" : fixed(factor, 1) + "x"
    return "\(name) exceeds budget by factor of \(shown) (try simplifying the rule, or adding maxItems, maxProperties, "
      + "and maxLength where arrays, maps, and strings are declared)"
  }

  private static func fixed(_ number: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int64((number * scale).rounded())
    let fraction = String(scaled % Int64(scale))
    return "\(scaled / Int64(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// A rule as upstream's errors print it.
  private static func goText(_ rule: JSONValue) -> String {
    func text(_ name: String) -> String { goQuoted(rule[name]?.stringValue ?? "") }
    let reason = rule["reason"]?.stringValue == nil ? "(*apiextensions.FieldValueErrorReason)(nil)" : text("reason")
    let old = rule["optionalOldSelf"] == nil ? "(*bool)(nil)" : "true"
    return "apiextensions.ValidationRule{Rule:\(text("rule")), Message:\(text("message")), "
      + "MessageExpression:\(text("messageExpression")), Reason:\(reason), FieldPath:\(text("fieldPath")), "
      + "OptionalOldSelf:\(old)}"
  }
}
