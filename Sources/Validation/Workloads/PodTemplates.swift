import API

/// Checks the template of pods that are to run forever.
func checkLastingTemplate(
  _ template: PodTemplateSpec, owner: String, _ path: FieldPath, _ errors: inout [FieldError]
) {
  checkPodTemplate(template, path, &errors)
  if template.spec.restartPolicy != "Always" && !template.spec.restartPolicy.isEmpty {
    errors.append(.notSupported(path.child("spec", "restartPolicy"), template.spec.restartPolicy, ["Always"]))
  }
  if template.spec.activeDeadlineSeconds != nil {
    errors.append(
      .forbidden(
        path.child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in \(owner) is not Supported"))
  }
}

/// Checks a number that must not be negative, or a percentage.
func checkIntOrPercent(_ value: IntOrString?, _ path: FieldPath, _ errors: inout [FieldError]) {
  switch value {
  case .int(let number): checkNonnegative(number, path, &errors)
  case .string(let text):
    if percent(text) == nil {
      errors.append(
        .invalid(
          path, FieldJSON(IntOrString.string(text)),
          regexProblem(
            "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%")))
    }
  case nil: break
  }
}

/// The number before a percent sign.
func percent(_ text: String) -> Int? {
  guard text.hasSuffix("%"), text.utf8.count > 1 else { return nil }
  let digits = text.dropLast()
  guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
  return Int(digits)
}

/// Checks that a percentage is at most all.
func checkAtMostAll(_ value: IntOrString?, _ path: FieldPath, _ errors: inout [FieldError]) {
  if case .string(let text)? = value, let percent = percent(text), percent > 100 {
    errors.append(.invalid(path, FieldJSON(IntOrString.string(text)), "must not be greater than 100%"))
  }
}

/// Zero, or zero percent.
func isZero(_ value: IntOrString?) -> Bool {
  switch value {
  case .int(let number): number == 0
  case .string(let text): percent(text) == 0
  case nil: true
  }
}
