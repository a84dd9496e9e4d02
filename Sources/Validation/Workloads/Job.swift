import API

private let maxParallelismIndexed: Int32 = 100_000

extension Job: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkJobSpec(spec, FieldPath("spec"), isTemplate: false, &errors)
  }

  func validateChange(of old: Job, _ errors: inout [FieldError]) {
    checkJobSpec(spec, FieldPath("spec"), isTemplate: false, &errors)
    let path = FieldPath("spec")
    checkCompletions(old, path.child("completions"), &errors)
    checkImmutableJSON(spec.selector, old.spec.selector, path.child("selector"), &errors)
    checkTemplateChange(old, path.child("template"), &errors)
    checkImmutable(spec.completionMode, old.spec.completionMode, path.child("completionMode"), &errors)
    checkImmutableJSON(spec.podFailurePolicy, old.spec.podFailurePolicy, path.child("podFailurePolicy"), &errors)
    checkImmutable(
      spec.backoffLimitPerIndex, old.spec.backoffLimitPerIndex, path.child("backoffLimitPerIndex"), &errors)
    checkImmutable(spec.managedBy, old.spec.managedBy, path.child("managedBy"), &errors)
    checkImmutableJSON(spec.successPolicy, old.spec.successPolicy, path.child("successPolicy"), &errors)
  }

  /// The number of completions only changes together with the parallelism of an indexed job.
  private func checkCompletions(_ old: Job, _ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.completions == old.spec.completions { return }
    let elastic = spec.completionMode == "Indexed" && spec.completions != nil && old.spec.completions != nil
    if !elastic {
      errors.append(.invalid(path, spec.completions, "field is immutable"))
    } else if spec.completions != spec.parallelism || old.spec.completions != old.spec.parallelism {
      errors.append(
        .invalid(
          path, spec.completions,
          "can only be modified in tandem with spec.parallelism"))
    }
  }

  /// Before a suspended job has ever started, where its pods go may still change.
  private func checkTemplateChange(_ old: Job, _ path: FieldPath, _ errors: inout [FieldError]) {
    var before = old.spec.template
    if old.spec.suspend == true && old.status.startTime == nil {
      before.spec.nodeSelector = spec.template.spec.nodeSelector
      before.spec.tolerations = spec.template.spec.tolerations
      before.spec.schedulingGates = spec.template.spec.schedulingGates
      before.spec.affinity = spec.template.spec.affinity
      before.metadata.labels = spec.template.metadata.labels
      before.metadata.annotations = spec.template.metadata.annotations
    }
    checkImmutableJSON(spec.template, before, path, &errors)
  }

  func validateStatusChange(of old: Job, _ errors: inout [FieldError]) {
    let path = FieldPath("status")
    checkNonnegative(status.active, path.child("active"), &errors)
    checkNonnegative(status.succeeded, path.child("succeeded"), &errors)
    checkNonnegative(status.failed, path.child("failed"), &errors)
    checkNonnegative(status.ready, path.child("ready"), &errors)
    checkNonnegative(status.terminating, path.child("terminating"), &errors)
    if status.conditions.isTrue("Complete") && status.conditions.isTrue("Failed") {
      errors.append(
        .invalid(
          path.child("conditions"), FieldJSON(status.conditions),
          "Complete=True and Failed=True conditions are mutually exclusive"))
    }
    if old.status.startTime != nil && status.startTime != nil && status.startTime != old.status.startTime
      && spec.suspend != true && old.spec.suspend != true && !status.conditions.isTrue("Suspended")
      && !old.status.conditions.isTrue("Suspended")
    {
      errors.append(.required(path.child("startTime"), "startTime cannot be modified for unsuspended job"))
    }
  }
}

/// Checks the specification of a job or of a cron job's jobs.
func checkJobSpec(_ spec: JobSpec, _ path: FieldPath, isTemplate: Bool, _ errors: inout [FieldError]) {
  checkJobNumbers(spec, path, &errors)
  if let policy = spec.podFailurePolicy {
    checkFailurePolicy(policy, spec, path.child("podFailurePolicy"), &errors)
  }
  if let policy = spec.podReplacementPolicy {
    checkOneOf(policy, ["Failed", "TerminatingOrFailed"], path.child("podReplacementPolicy"), &errors)
    if spec.podFailurePolicy != nil && policy == "TerminatingOrFailed" {
      errors.append(.notSupported(path.child("podReplacementPolicy"), policy, ["Failed"]))
    }
  }
  let templatePath = path.child("template")
  checkPodTemplate(spec.template, templatePath, &errors)
  switch spec.template.spec.restartPolicy {
  case "OnFailure", "Never": break
  case "Always", "":
    errors.append(
      .required(templatePath.child("spec", "restartPolicy"), "valid values: \"OnFailure\", \"Never\""))
  default:
    errors.append(
      .notSupported(
        templatePath.child("spec", "restartPolicy"), spec.template.spec.restartPolicy, ["OnFailure", "Never"]))
  }
  if isTemplate {
    if spec.manualSelector == true {
      errors.append(.notSupported(path.child("manualSelector"), true, ["nil", "false"]))
    }
    return
  }
  guard let selector = spec.selector else {
    errors.append(.required(path.child("selector")))
    return
  }
  checkLabelSelector(selector, path.child("selector"), &errors)
  if let matcher = try? selector.selector(), !matcher.matches(spec.template.metadata.labels) {
    errors.append(
      .invalid(
        templatePath.child("metadata", "labels"), spec.template.metadata.labels,
        "`selector` does not match template `labels`"))
  }
}

private func checkJobNumbers(_ spec: JobSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkNonnegative(spec.parallelism, path.child("parallelism"), &errors)
  checkNonnegative(spec.completions, path.child("completions"), &errors)
  checkNonnegative(spec.activeDeadlineSeconds ?? 0, path.child("activeDeadlineSeconds"), &errors)
  checkNonnegative(spec.backoffLimit, path.child("backoffLimit"), &errors)
  checkNonnegative(spec.ttlSecondsAfterFinished, path.child("ttlSecondsAfterFinished"), &errors)
  checkNonnegative(spec.backoffLimitPerIndex, path.child("backoffLimitPerIndex"), &errors)
  checkNonnegative(spec.maxFailedIndexes, path.child("maxFailedIndexes"), &errors)
  guard let mode = spec.completionMode else { return }
  checkOneOf(mode, ["NonIndexed", "Indexed"], path.child("completionMode"), &errors)
  if mode == "Indexed" {
    if spec.completions == nil {
      errors.append(.required(path.child("completions"), "when completion mode is Indexed"))
    }
    if let parallelism = spec.parallelism, parallelism > maxParallelismIndexed {
      errors.append(
        .invalid(
          path.child("parallelism"), parallelism,
          "must be less than or equal to \(maxParallelismIndexed) when completion mode is Indexed"))
    }
  } else {
    if let limit = spec.backoffLimitPerIndex {
      errors.append(
        .invalid(path.child("backoffLimitPerIndex"), limit, "requires indexed completion mode"))
    }
    if spec.successPolicy != nil {
      errors.append(
        .invalid(path.child("successPolicy"), FieldJSON(spec.successPolicy), "requires indexed completion mode"))
    }
  }
  if let most = spec.maxFailedIndexes {
    if spec.backoffLimitPerIndex == nil {
      errors.append(
        .required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
    }
    if let completions = spec.completions, most > completions {
      errors.append(
        .invalid(path.child("maxFailedIndexes"), most, "must be less than or equal to completions"))
    }
  }
  if let manager = spec.managedBy {
    if manager.split(separator: "/", omittingEmptySubsequences: false).count != 2 {
      errors.append(
        .invalid(
          path.child("managedBy"), manager,
          "must be a domain-prefixed path (such as \"acme.io/foo\")"))
    }
    if manager.utf8.count > 63 { errors.append(.tooLong(path.child("managedBy"), max: 63)) }
  }
}

private func checkFailurePolicy(
  _ policy: PodFailurePolicy, _ spec: JobSpec, _ path: FieldPath, _ errors: inout [FieldError]
) {
  if spec.template.spec.restartPolicy != "Never" {
    errors.append(
      .invalid(
        path, FieldJSON(policy), "only supported when restartPolicy is Never"))
  }
  if policy.rules.count > 20 { errors.append(.tooMany(path.child("rules"), actual: policy.rules.count, max: 20)) }
  for (i, rule) in policy.rules.enumerated() {
    let path = path.child("rules").index(i)
    checkRequiredOneOf(
      rule.action, ["Count", "FailIndex", "FailJob", "Ignore"], path.child("action"), &errors,
      hint: "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"")
    if rule.action == "FailIndex" && spec.backoffLimitPerIndex == nil {
      errors.append(.invalid(path.child("action"), rule.action, "requires the backoffLimitPerIndex to be set"))
    }
    if let codes = rule.onExitCodes {
      let path = path.child("onExitCodes")
      checkRequiredOneOf(
        codes.`operator`, ["In", "NotIn"], path.child("operator"), &errors, hint: "valid values: \"In\", \"NotIn\"")
      if codes.values.isEmpty {
        errors.append(.invalid(path.child("values"), codes.values, "at least one value is required"))
      } else if codes.values.count > 255 {
        errors.append(.tooMany(path.child("values"), actual: codes.values.count, max: 255))
      }
      for (j, code) in codes.values.enumerated() where codes.`operator` == "In" && code == 0 {
        errors.append(
          .invalid(path.child("values").index(j), code, "must not be 0 for the In operator"))
      }
      if !rule.onPodConditions.isEmpty {
        errors.append(
          .invalid(path, FieldJSON(rule), "specifying both OnExitCodes and OnPodConditions is not supported"))
      }
    } else if rule.onPodConditions.isEmpty {
      errors.append(.invalid(path, FieldJSON(rule), "specifying one of OnExitCodes and OnPodConditions is required"))
    }
  }
}
