import API

/// Checks a label selector; none is fine.
func checkLabelSelector(_ selector: LabelSelector?, _ path: FieldPath, _ errors: inout [FieldError]) {
  guard let selector else { return }
  checkLabels(selector.matchLabels, path.child("matchLabels"), &errors)
  for (i, expression) in selector.matchExpressions.enumerated() {
    let path = path.child("matchExpressions").index(i)
    checkOperator(expression.`operator`, expression.values, path, &errors)
    checkLabelName(expression.key, path.child("key"), &errors)
    for (j, value) in expression.values.enumerated() {
      for problem in Names.isLabelValue(value) {
        errors.append(.invalid(path.child("values").index(j), value, problem))
      }
    }
  }
}

private func checkOperator(_ op: String, _ values: [String], _ path: FieldPath, _ errors: inout [FieldError]) {
  switch op {
  case "In", "NotIn":
    if values.isEmpty {
      errors.append(.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
    }
  case "Exists", "DoesNotExist":
    if !values.isEmpty {
      errors.append(
        .forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    }
  default: errors.append(.invalid(path.child("operator"), op, "not a valid selector operator"))
  }
}

/// Checks the selector of a workload and that it fits the labels of its pods.
func checkWorkloadSelector(
  _ selector: LabelSelector?, template: [String: String], emptyMessage: String, _ path: FieldPath,
  _ errors: inout [FieldError]
) {
  let selectorPath = path.child("selector")
  if let selector {
    checkLabelSelector(selector, selectorPath, &errors)
    if selector.matchLabels.isEmpty && selector.matchExpressions.isEmpty {
      errors.append(.invalid(selectorPath, FieldJSON(selector), emptyMessage))
    }
  } else {
    errors.append(.required(selectorPath))
  }
  guard let matcher = try? selector.selector() else {
    errors.append(.invalid(selectorPath, FieldJSON(selector), "invalid label selector"))
    return
  }
  checkTemplateLabels(template, matcher, path, &errors)
}

/// Pods that a workload makes must be pods that it finds.
func checkTemplateLabels(
  _ labels: [String: String], _ selector: Labels.Selector, _ path: FieldPath, _ errors: inout [FieldError]
) {
  if !selector.isEmpty && !selector.matches(labels) {
    errors.append(
      .invalid(path.child("template", "metadata", "labels"), labels, "`selector` does not match template `labels`"))
  }
}
