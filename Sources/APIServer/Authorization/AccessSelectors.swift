import API
import APIMachinery
import APIMeta

/// The selectors of a question about many objects, as far as they can be understood (KEP-4601). They only narrow a
/// question: one that is not understood may be left out.
struct AccessSelectors: Sendable, Hashable {
  var fields: [APIMachinery.Fields.Requirement] = []
  var fieldProblem: String?
  var labels: [APIMachinery.Labels.Requirement] = []
  var labelProblem: String?

  /// Reads selectors as requests send them.
  init(fieldText: String = "", labelText: String = "") {
    if !fieldText.isEmpty {
      do { fields = try APIMachinery.Fields.Selector.parse(fieldText).requirements } catch {
        fieldProblem = "\(error)"
      }
    }
    if !labelText.isEmpty {
      do { labels = try APIMachinery.Labels.Selector.parse(labelText).requirements } catch {
        labelProblem = "\(error)"
      }
    }
  }

  /// Reads selectors as reviews have them. Nil where there are none.
  init?(_ attributes: ResourceAttributes) {
    if attributes.fieldSelector == nil, attributes.labelSelector == nil { return nil }
    self.init(
      fieldText: attributes.fieldSelector?.rawSelector ?? "", labelText: attributes.labelSelector?.rawSelector ?? "")
    if let given = attributes.fieldSelector?.requirements, !given.isEmpty { read(given) }
    if let given = attributes.labelSelector?.requirements, !given.isEmpty { read(given) }
  }

  private mutating func read(_ given: [FieldSelectorRequirement]) {
    var problems: [String] = []
    for requirement in given {
      switch requirement.operator {
      case "In", "NotIn":
        guard requirement.values.count == 1 else {
          problems.append("fieldSelectors do not yet support multiple values")
          continue
        }
        fields.append(
          .init(
            path: requirement.key, op: requirement.operator == "In" ? .equals : .notEquals,
            value: requirement.values[0]))
      case "Exists", "DoesNotExist":
        problems.append("fieldSelectors do not yet support \(requirement.operator)")
      default: problems.append("\(goQuoted(requirement.operator)) is not a valid field selector operator")
      }
    }
    fieldProblem = Self.joined(problems)
  }

  private mutating func read(_ given: [LabelSelectorRequirement]) {
    let operators: [String: APIMachinery.Labels.Operator] = [
      "In": .in, "NotIn": .notIn, "Exists": .exists, "DoesNotExist": .doesNotExist,
    ]
    var problems: [String] = []
    for requirement in given {
      guard let op = operators[requirement.operator] else {
        problems.append("\(goQuoted(requirement.operator)) is not a valid label selector operator")
        continue
      }
      do throws(SelectorError) {
        labels.append(try .init(key: requirement.key, op: op, values: requirement.values))
      } catch { problems.append("\(error)") }
    }
    labelProblem = Self.joined(problems)
  }

  private static func joined(_ problems: [String]) -> String? {
    problems.isEmpty ? nil : problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]"
  }

  /// The requirements on fields as a SubjectAccessReview has them; nil for none.
  var fieldsForReview: JSONValue? {
    if fields.isEmpty { return nil }
    return .array(
      fields.map { requirement in
        .object([
          "key": .string(requirement.path), "operator": .string(requirement.op == .equals ? "In" : "NotIn"),
          "values": .array([.string(requirement.value)]),
        ])
      })
  }

  /// The requirements on labels as a SubjectAccessReview has them; nil for none.
  var labelsForReview: JSONValue? {
    let requirements = labels.compactMap { requirement -> JSONValue? in
      let name: String
      switch requirement.op {
      case .equals, .doubleEquals, .in: name = "In"
      case .notEquals, .notIn: name = "NotIn"
      case .exists: name = "Exists"
      case .doesNotExist: name = "DoesNotExist"
      // Reviews have no words for these.
      case .greaterThan, .lessThan: return nil
      }
      var fields: [String: JSONValue] = ["key": .string(requirement.key), "operator": .string(name)]
      if !requirement.values.isEmpty { fields["values"] = .array(requirement.values.map { .string($0) }) }
      return .object(fields)
    }
    return requirements.isEmpty ? nil : .array(requirements)
  }

  /// What a review's answer says of selectors that were not understood.
  var problems: [String] {
    var result: [String] = []
    if fieldProblem != nil {
      result.append(
        "spec.resourceAttributes.fieldSelector \(fields.isEmpty ? "" : "partially ")ignored due to parse error")
    }
    if labelProblem != nil {
      result.append(
        "spec.resourceAttributes.labelSelector \(labels.isEmpty ? "" : "partially ")ignored due to parse error")
    }
    return result
  }
}

extension AuthorizationAttributes {
  /// The selectors, parsed when somebody asks for them.
  var selectors: AccessSelectors {
    givenSelectors ?? AccessSelectors(fieldText: fieldSelector, labelText: labelSelector)
  }
}

/// What upstream finds wrong with the selectors of a review. Operators that are not known are let through: a newer
/// client may use them.
enum SelectorValidation {
  static func errors(_ attributes: ResourceAttributes?) -> [FieldError] {
    guard let attributes else { return [] }
    let path = FieldPath("spec.resourceAttributes")
    var errors: [FieldError] = []
    if let selector = attributes.fieldSelector {
      let place = path.child("fieldSelector")
      errors += form(place, selector.rawSelector, isEmpty: selector.requirements.isEmpty)
      for (index, requirement) in selector.requirements.enumerated() {
        let own = place.child("requirements").index(index)
        if requirement.key.isEmpty { errors.append(.required(own.child("key"), "must be specified")) }
        errors += values(own, requirement.operator, requirement.values)
      }
    }
    if let selector = attributes.labelSelector {
      let place = path.child("labelSelector")
      errors += form(place, selector.rawSelector, isEmpty: selector.requirements.isEmpty)
      for (index, requirement) in selector.requirements.enumerated() {
        let own = place.child("requirements").index(index)
        errors += values(own, requirement.operator, requirement.values)
        for fault in Names.isQualifiedName(requirement.key) {
          errors.append(.invalid(own.child("key"), requirement.key, fault))
        }
        for (at, value) in requirement.values.enumerated() {
          for fault in Names.isLabelValue(value) {
            errors.append(.invalid(own.child("values").index(at), value, fault))
          }
        }
      }
    }
    return errors
  }

  private static func form(_ path: FieldPath, _ raw: String, isEmpty: Bool) -> [FieldError] {
    if !raw.isEmpty, !isEmpty {
      return [.invalid(path.child("rawSelector"), raw, "may not specified at the same time as requirements")]
    }
    if raw.isEmpty, isEmpty {
      return [
        .required(
          path.child("requirements"), "when \(path) is specified, requirements or rawSelector is required")
      ]
    }
    return []
  }

  private static func values(_ path: FieldPath, _ op: String, _ values: [String]) -> [FieldError] {
    switch op {
    case "In", "NotIn":
      return values.isEmpty
        ? [.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")] : []
    case "Exists", "DoesNotExist":
      return values.isEmpty
        ? [] : [.forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
    default: return []
    }
  }
}
