public import APIMachinery
import CEL

/// The `x-kubernetes-validations` of a schema, compiled (KEP-2876).
public final class RuleValidator: Sendable {
  /// What expressions may cost: one of them, and all of them for one object.
  static let callLimit: UInt64 = 1_000_000
  public static let budget: Int64 = 10_000_000

  private let schema: StructuralSchema
  private let rules: [CompiledRule]
  private let type: CELSchemaType?
  private let properties: [String: RuleValidator]
  private let items: RuleValidator?
  private let additionalProperties: RuleValidator?

  /// Nil if neither the schema nor anything below it has rules.
  public init?(_ schema: StructuralSchema, isRoot: Bool = true) {
    guard schema.hasRules else { return nil }
    self.schema = schema
    properties = schema.properties.compactMapValues { RuleValidator($0, isRoot: $0.isEmbeddedResource) }
    items = schema.items.flatMap { RuleValidator($0, isRoot: $0.isEmbeddedResource) }
    additionalProperties = schema.additionalProperties.flatMap { RuleValidator($0, isRoot: $0.isEmbeddedResource) }
    type = schema.rules.isEmpty ? nil : CELSchemaType.structural(schema.source, isResourceRoot: isRoot)
    if let type {
      rules = schema.rules.map { CompiledRule($0, type) }
    } else {
      rules = []
    }
  }

  /// Evaluates all rules against an object and its previous state.
  public func validate(_ value: JSONValue, old: JSONValue?) -> (errors: [FieldError], warnings: [String]) {
    var run = Run()
    validate(value, old, FieldPath(), isSame: old == value, &run)
    return (run.errors, run.warnings)
  }

  private struct Run {
    var errors: [FieldError] = []
    var warnings: [String] = []
    var budget = RuleValidator.budget
  }

  private func validate(_ value: JSONValue, _ old: JSONValue?, _ path: FieldPath, isSame: Bool, _ run: inout Run) {
    if value == .null || run.budget < 0 { return }
    if !rules.isEmpty { runRules(value, old, path, isSame: isSame, &run) }
    switch value {
    case .object(let members):
      for name in members.keys.sorted() {
        guard run.budget >= 0, let member = members[name] else { return }
        let previous = schema.isAtomicMap ? nil : old?[name]
        let same = isSame || previous == member
        if let inner = properties[name] {
          inner.validate(member, previous, path.child(name), isSame: same, &run)
        } else if schema.properties[name] == nil, let inner = additionalProperties {
          inner.validate(member, previous, path.key(name), isSame: same, &run)
        }
      }
    case .array(let elements):
      guard let items else { return }
      let correlation = Correlation(old, schema)
      for (at, element) in elements.enumerated() where run.budget >= 0 {
        let previous = schema.listType == .map ? correlation.element(element, at) : nil
        items.validate(element, previous, path.index(at), isSame: isSame || previous == element, &run)
      }
    default: break
    }
  }

  private func runRules(_ value: JSONValue, _ old: JSONValue?, _ path: FieldPath, isSame: Bool, _ run: inout Run) {
    let place = schema.type
    func stop(_ message: String) {
      run.errors.append(.invalid(path, place, message))
      run.budget = -1
    }
    guard run.budget > 0, let type else {
      return stop("validation failed due to running out of cost budget, no further validation rules will be run")
    }
    let selfValue: CELValue
    var oldValue: CELValue?
    do {
      selfValue = try CELValue(json: value, schema: type)
      if let old, old != .null { oldValue = try CELValue(json: old, schema: type) }
    } catch {
      run.errors.append(.invalid(path, place, "\(error) evaluating rule: \(rules.first?.shown ?? "")"))
      return
    }
    for rule in rules {
      if let error = rule.error {
        run.errors.append(.invalid(path, place, "rule compile error: \(error)"))
        continue
      }
      guard let program = rule.program else { continue }
      if rule.usesOldSelf, oldValue == nil, !rule.optionalOldSelf { continue }
      var activation = CELActivation(["self": selfValue])
      if rule.optionalOldSelf {
        activation.values["oldSelf"] = .optional(oldValue)
      } else if let oldValue {
        activation.values["oldSelf"] = oldValue
      }
      do throws(CELError) {
        let result = try program.evaluateWithCost(activation, costLimit: Self.callLimit)
        guard Int64(clamping: result.cost) <= run.budget else {
          return stop("validation failed due to running out of cost budget, no further validation rules will be run")
        }
        run.budget -= Int64(result.cost)
        if case .bool(true) = result.value { continue }
      } catch {
        if error.kind == .costLimit {
          return stop(
            "'\(error)': no further validation rules will be run due to call cost exceeds limit for rule: \(rule.shown)"
          )
        }
        let text =
          error.message.hasPrefix("no such overload")
          ? "'\(error)': call arguments did not match a supported operator, function or macro signature for rule: "
            + rule.shown
          : "\(error) evaluating rule: \(rule.shown)"
        run.errors.append(.invalid(path, place, text))
        continue
      }
      let error = rule.failure(of: value, place, path, activation, &run.budget)
      if isSame, !rule.usesOldSelf {
        // What was wrong before and is left as it was is only pointed out.
        run.warnings.append(error.message)
      } else {
        run.errors.append(error)
      }
      if run.budget < 0 { return }
    }
  }
}

/// One rule, ready to run.
struct CompiledRule: Sendable {
  let source: JSONValue
  let program: CELProgram?
  let message: CELProgram?
  /// Why the rule cannot run.
  let error: String?
  let messageError: String?
  let usesOldSelf: Bool
  let optionalOldSelf: Bool

  init(_ source: JSONValue, _ type: CELSchemaType) {
    self.source = source
    optionalOldSelf = source["optionalOldSelf"] == .bool(true)
    var environment = CELEnvironment()
    environment.declare("self", type)
    if optionalOldSelf {
      environment.declare("oldSelf", .optional(type.celType))
    } else {
      environment.declare("oldSelf", type)
    }
    var program: CELProgram?
    var error: String?
    let rule = source["rule"]?.stringValue ?? ""
    if !rule.allSatisfy(\.isWhitespace) {
      do throws(CELErrors) {
        let compiled = try environment.compile(rule)
        if compiled.resultType == .bool {
          program = compiled
        } else {
          error = "cel expression must evaluate to a bool"
        }
      } catch let problem { error = "compilation failed: \(problem)" }
    }
    self.program = program
    self.error = error
    usesOldSelf = program?.usedVariables.contains("oldSelf") ?? false
    var messageProgram: CELProgram?
    var messageError: String?
    if let text = source["messageExpression"]?.stringValue, !text.isEmpty {
      do throws(CELErrors) {
        let compiled = try environment.compile(text)
        if compiled.resultType == .string {
          messageProgram = compiled
        } else {
          messageError = "messageExpression must evaluate to a string"
        }
      } catch let problem { messageError = "messageExpression compilation failed: \(problem)" }
    }
    message = messageProgram
    self.messageError = messageError
  }

  private func trimmed(_ name: String) -> String { Self.trim(source[name]?.stringValue ?? "") }

  static func trim(_ text: String) -> String {
    let rest = text.drop { $0.isWhitespace }
    return String(rest.reversed().drop { $0.isWhitespace }.reversed())
  }

  /// How messages name the rule.
  var shown: String {
    let message = trimmed("message")
    return message.isEmpty ? trimmed("rule") : message
  }

  /// The error of a rule that does not hold.
  func failure(
    of value: JSONValue, _ type: String, _ path: FieldPath, _ activation: CELActivation, _ budget: inout Int64
  ) -> FieldError {
    var place = path
    if let field = source["fieldPath"]?.stringValue, !field.isEmpty {
      place = path.child(field.hasPrefix(".") ? String(field.dropFirst()) : field)
    }
    var detail: String?
    if let message {
      do throws(CELError) {
        let result = try message.evaluateWithCost(activation, costLimit: RuleValidator.callLimit)
        guard Int64(clamping: result.cost) <= budget else {
          budget = -1
          return .invalid(
            place, type,
            "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be "
              + "run")
        }
        budget -= Int64(result.cost)
        if case .string(let text) = result.value {
          let text = Self.trim(text)
          // A message that cannot be shown gives way to the plain one.
          if !text.isEmpty, text.utf8.count <= 5 << 10, !text.contains("\n") { detail = text }
        }
      } catch {
        if error.kind == .costLimit {
          budget = -1
          return .invalid(
            place, type,
            "no further validation rules will be run due to call cost exceeds limit for messageExpression: "
              + goQuoted(source["messageExpression"]?.stringValue ?? ""))
        }
      }
    }
    let message = trimmed("message")
    let text = detail ?? (message.isEmpty ? "failed rule: \(shown)" : message)
    switch source["reason"]?.stringValue {
    case "FieldValueForbidden": return .forbidden(place, text)
    case "FieldValueRequired": return .required(place, text)
    case "FieldValueDuplicate": return .duplicate(place, JSONText(value))
    default:
      if type == "object" || type == "array" {
        return FieldError(type: .invalid, field: place.description, detail: text)
      }
      return .invalid(place, JSONText(value), text)
    }
  }
}
