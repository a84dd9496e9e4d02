import API
import APIMachinery
import APIMeta
import CEL

/// Whether the expressions of policies and webhooks compile and give what they must, found when they are written. Those
/// that stand already are left alone.
struct ExpressionChecks {
  private(set) var errors: [FieldError] = []
  private let known: Set<String>

  /// What is wrong with an object of any kind; nothing if it has no expressions.
  static func errors(_ object: any APIObject, old: (any APIObject)?) -> [FieldError] {
    switch object {
    case let policy as ValidatingAdmissionPolicy:
      var checks = ExpressionChecks(known: (old as? ValidatingAdmissionPolicy).map(expressions) ?? [])
      checks.check(policy.spec)
      return checks.errors
    case let policy as MutatingAdmissionPolicy:
      var checks = ExpressionChecks(known: (old as? MutatingAdmissionPolicy).map(expressions) ?? [])
      checks.check(policy.spec)
      return checks.errors
    case let configuration as ValidatingWebhookConfiguration:
      let before = (old as? ValidatingWebhookConfiguration)?.webhooks.flatMap(\.matchConditions) ?? []
      return conditions(configuration.webhooks.map(\.matchConditions), before)
    case let configuration as MutatingWebhookConfiguration:
      let before = (old as? MutatingWebhookConfiguration)?.webhooks.flatMap(\.matchConditions) ?? []
      return conditions(configuration.webhooks.map(\.matchConditions), before)
    default: return []
    }
  }

  private init(known: some Sequence<String>) { self.known = Set(known) }

  private static func conditions(_ all: [[MatchCondition]], _ before: [MatchCondition]) -> [FieldError] {
    var checks = ExpressionChecks(known: before.map(\.expression))
    for (index, conditions) in all.enumerated() {
      checks.check(conditions, AdmissionExpressions(.authorizer), FieldPath("webhooks").index(index))
    }
    return checks.errors
  }

  private static func expressions(_ policy: ValidatingAdmissionPolicy) -> [String] {
    let spec = policy.spec
    return spec.matchConditions.map(\.expression) + spec.variables.map(\.expression)
      + spec.validations.flatMap { [$0.expression, $0.messageExpression] }
      + spec.auditAnnotations.map(\.valueExpression)
  }

  private static func expressions(_ policy: MutatingAdmissionPolicy) -> [String] {
    let spec = policy.spec
    return spec.matchConditions.map(\.expression) + spec.variables.map(\.expression)
      + spec.mutations.compactMap { $0.jsonPatch?.expression ?? $0.applyConfiguration?.expression }
  }

  private mutating func check(_ spec: ValidatingAdmissionPolicySpec) {
    let path = FieldPath("spec")
    var expressions = AdmissionExpressions(spec.paramKind == nil ? .policy : [.policy, .params])
    check(spec.matchConditions, expressions, path)
    for (index, variable) in spec.variables.enumerated() {
      define(variable, &expressions, path.child("variables").index(index))
    }
    for (index, validation) in spec.validations.enumerated() {
      let place = path.child("validations").index(index)
      check(validation.expression, expressions, place.child("expression"), is: [.bool])
      if !validation.messageExpression.isEmpty {
        check(validation.messageExpression, expressions, place.child("messageExpression"), is: [.string])
      }
    }
    for (index, annotation) in spec.auditAnnotations.enumerated() {
      let place = path.child("auditAnnotations").index(index).child("valueExpression")
      check(annotation.valueExpression, expressions, place, is: [.string, .null])
    }
  }

  private mutating func check(_ spec: MutatingAdmissionPolicySpec) {
    let path = FieldPath("spec")
    var expressions = AdmissionExpressions(
      spec.paramKind == nil ? [.policy, .mutation] : [.policy, .params, .mutation])
    check(spec.matchConditions, expressions, path)
    for (index, variable) in spec.variables.enumerated() {
      define(variable, &expressions, path.child("variables").index(index))
    }
    for (index, mutation) in spec.mutations.enumerated() {
      let place = path.child("mutations").index(index)
      if let patch = mutation.jsonPatch {
        check(
          patch.expression, expressions, place.child("jsonPatch").child("expression"),
          is: [.list(.object("JSONPatch"))])
      } else if let configuration = mutation.applyConfiguration {
        check(
          configuration.expression, expressions, place.child("applyConfiguration").child("expression"),
          is: [.object("Object")])
      }
    }
  }

  private mutating func check(_ conditions: [MatchCondition], _ expressions: AdmissionExpressions, _ path: FieldPath) {
    for (index, condition) in conditions.enumerated() {
      check(
        condition.expression, expressions, path.child("matchConditions").index(index).child("expression"),
        is: [.bool])
    }
  }

  private mutating func define(_ variable: Variable, _ expressions: inout AdmissionExpressions, _ path: FieldPath) {
    guard let problem = expressions.define(variable.name, variable.expression), !known.contains(variable.expression)
    else { return }
    errors.append(.invalid(path.child("expression"), variable.expression, "compilation failed: \(problem)"))
  }

  private mutating func check(
    _ expression: String, _ expressions: AdmissionExpressions, _ path: FieldPath, is types: [CELType]
  ) {
    // What is missing altogether is found by the rules of the kind.
    if expression.trimmingSpaces.isEmpty || known.contains(expression) { return }
    switch expressions.compile(expression) {
    case .failure(let problem): errors.append(.invalid(path, expression, "compilation failed: \(problem)"))
    case .success(let program):
      if types.contains(program.resultType) || program.resultType == .dyn { return }
      let wanted = types.map(\.description)
      errors.append(
        .invalid(
          path, expression,
          wanted.count == 1
            ? "must evaluate to \(wanted[0])" : "must evaluate to one of [\(wanted.joined(separator: " "))]"
        ))
    }
  }
}
