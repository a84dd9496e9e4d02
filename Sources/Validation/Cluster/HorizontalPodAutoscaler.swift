import API

private let metricTypes = ["ContainerResource", "External", "Object", "Pods", "Resource"]

extension HorizontalPodAutoscaler: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if let low = spec.minReplicas, low < 1 {
      errors.append(.invalid(path.child("minReplicas"), low, "must be greater than or equal to 1"))
    }
    if spec.maxReplicas < 1 {
      errors.append(.invalid(path.child("maxReplicas"), spec.maxReplicas, "must be greater than 0"))
    }
    if let low = spec.minReplicas, spec.maxReplicas < low {
      errors.append(
        .invalid(
          path.child("maxReplicas"), spec.maxReplicas, "must be greater than or equal to `minReplicas`"))
    }
    checkScaleTarget(spec.scaleTargetRef, path.child("scaleTargetRef"), &errors)
    for (i, metric) in spec.metrics.enumerated() {
      checkMetric(metric, path.child("metrics").index(i), &errors)
    }
    if let rules = spec.behavior?.scaleUp { checkRules(rules, path.child("behavior", "scaleUp"), &errors) }
    if let rules = spec.behavior?.scaleDown { checkRules(rules, path.child("behavior", "scaleDown"), &errors) }
  }

  private func checkScaleTarget(
    _ target: CrossVersionObjectReference, _ path: FieldPath, _ errors: inout [FieldError]
  ) {
    for (field, value) in [("kind", target.kind), ("name", target.name)] {
      if value.isEmpty {
        errors.append(.required(path.child(field)))
      } else {
        checkProblems(pathSegmentProblems(value), value, path.child(field), &errors)
      }
    }
  }

  private func checkMetric(_ metric: MetricSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
    if metric.type.isEmpty {
      errors.append(.required(path.child("type"), "must specify a metric source type"))
    } else if !metricTypes.contains(metric.type) {
      errors.append(.notSupported(path.child("type"), metric.type, metricTypes))
    }
    let sources = [
      ("containerResource", "ContainerResource", metric.containerResource != nil),
      ("external", "External", metric.external != nil), ("object", "Object", metric.object != nil),
      ("pods", "Pods", metric.pods != nil), ("resource", "Resource", metric.resource != nil),
    ]
    for (field, type, present) in sources {
      if present && metric.type != type {
        errors.append(
          .forbidden(path.child(field), "may not be specified when `type` is not '\(type)'"))
      } else if !present && metric.type == type {
        errors.append(.required(path.child(field), "must populate information for the given metric source"))
      }
    }
    if let resource = metric.resource {
      checkRequiredWithHint(resource.name, path.child("resource", "name"), "must specify a resource name", &errors)
      checkTarget(resource.target, path.child("resource", "target"), &errors, utilization: true)
    }
    if let resource = metric.containerResource {
      let path = path.child("containerResource")
      checkRequiredWithHint(resource.name, path.child("name"), "must specify a resource name", &errors)
      checkRequiredWithHint(resource.container, path.child("container"), "must specify a container", &errors)
      checkTarget(resource.target, path.child("target"), &errors, utilization: true)
    }
    if let pods = metric.pods {
      let path = path.child("pods")
      checkRequiredWithHint(pods.metric.name, path.child("metric", "name"), "must specify a metric name", &errors)
      checkTarget(pods.target, path.child("target"), &errors)
      if pods.target.averageValue == nil {
        errors.append(.required(path.child("target", "averageValue"), "must specify a positive target averageValue"))
      }
    }
    if let object = metric.object {
      let path = path.child("object")
      checkScaleTarget(object.describedObject, path.child("describedObject"), &errors)
      checkRequiredWithHint(object.metric.name, path.child("metric", "name"), "must specify a metric name", &errors)
      checkTarget(object.target, path.child("target"), &errors)
    }
    if let external = metric.external {
      let path = path.child("external")
      checkRequiredWithHint(external.metric.name, path.child("metric", "name"), "must specify a metric name", &errors)
      checkTarget(external.target, path.child("target"), &errors)
    }
  }

  private func checkRequiredWithHint(
    _ value: String, _ path: FieldPath, _ hint: String, _ errors: inout [FieldError]
  ) {
    if value.isEmpty { errors.append(.required(path, hint)) }
  }

  private func checkTarget(
    _ target: MetricTarget, _ path: FieldPath, _ errors: inout [FieldError], utilization: Bool = false
  ) {
    checkRequiredOneOf(
      target.type, ["AverageValue", "Utilization", "Value"], path.child("type"), &errors,
      hint: "must specify a metric target type")
    if let value = target.value, value.sign != 1 {
      errors.append(.invalid(path.child("value"), value, "must be positive"))
    }
    if let value = target.averageValue, value.sign != 1 {
      errors.append(.invalid(path.child("averageValue"), value, "must be positive"))
    }
    if let percent = target.averageUtilization, percent < 1 {
      errors.append(.invalid(path.child("averageUtilization"), percent, "must be greater than 0"))
    }
    guard utilization else { return }
    if target.averageUtilization == nil && target.averageValue == nil {
      errors.append(
        .required(
          path.child("averageUtilization"), "must set either a target raw value or a target utilization"))
    } else if target.averageUtilization != nil && target.averageValue != nil {
      errors.append(
        .forbidden(path.child("averageValue"), "may not set both a target raw value and a target utilization"))
    }
  }

  private func checkRules(_ rules: HPAScalingRules, _ path: FieldPath, _ errors: inout [FieldError]) {
    if let seconds = rules.stabilizationWindowSeconds {
      if seconds < 0 {
        errors.append(
          .invalid(path.child("stabilizationWindowSeconds"), seconds, "must be greater than or equal to zero"))
      } else if seconds > 3600 {
        errors.append(
          .invalid(path.child("stabilizationWindowSeconds"), seconds, "must be less than or equal to 3600"))
      }
    }
    if let select = rules.selectPolicy {
      checkOneOf(select, ["Disabled", "Max", "Min"], path.child("selectPolicy"), &errors)
    }
    if rules.policies.isEmpty { errors.append(.required(path.child("policies"), "must specify at least one Policy")) }
    for (i, policy) in rules.policies.enumerated() {
      let path = path.child("policies").index(i)
      checkOneOf(policy.type, ["Percent", "Pods"], path.child("type"), &errors)
      if policy.value <= 0 {
        errors.append(.invalid(path.child("value"), policy.value, "must be greater than zero"))
      }
      if policy.periodSeconds <= 0 {
        errors.append(.invalid(path.child("periodSeconds"), policy.periodSeconds, "must be greater than zero"))
      } else if policy.periodSeconds > 1800 {
        errors.append(
          .invalid(path.child("periodSeconds"), policy.periodSeconds, "must be less than or equal to 1800"))
      }
    }
  }
}

extension Scale: Validated {
  func validate(_ errors: inout [FieldError]) {
    if spec.replicas < 0 {
      errors.append(
        .invalid(FieldPath("spec").child("replicas"), spec.replicas, "must be greater than or equal to 0"))
    }
  }
}
