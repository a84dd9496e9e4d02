import API

/// What conditions of every kind have in common when they are checked.
struct ConditionForm {
  var type: String
  var status: String
  var reason: String
  var message: String
  var hasTransition: Bool
  var observedGeneration: Int64 = 0
}

/// Checks conditions of the common form: each type once, every part filled in.
func checkConditions(_ conditions: [Condition], _ path: FieldPath, _ errors: inout [FieldError]) {
  checkConditions(
    conditions.map {
      ConditionForm(
        type: $0.type, status: $0.status, reason: $0.reason, message: $0.message,
        hasTransition: !$0.lastTransitionTime.isZero, observedGeneration: $0.observedGeneration)
    }, path, &errors)
}

/// Checks conditions of any kind that are bound by the rules of the common form.
func checkConditions(_ conditions: [ConditionForm], _ path: FieldPath, _ errors: inout [FieldError]) {
  var seen: Set<String> = []
  for (i, condition) in conditions.enumerated() {
    let path = path.index(i)
    if !seen.insert(condition.type).inserted { errors.append(.duplicate(path.child("type"), condition.type)) }
    checkLabelName(condition.type, path.child("type"), &errors)
    checkOneOf(condition.status, ["False", "True", "Unknown"], path.child("status"), &errors)
    if condition.observedGeneration < 0 {
      errors.append(
        .invalid(
          path.child("observedGeneration"), condition.observedGeneration, "must be greater than or equal to zero"))
    }
    if !condition.hasTransition { errors.append(.required(path.child("lastTransitionTime"))) }
    checkReason(condition.reason, path.child("reason"), &errors)
    if condition.message.utf8.count > 32 * 1024 { errors.append(.tooLong(path.child("message"), max: 32 * 1024)) }
  }
}

private func checkReason(_ reason: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if reason.isEmpty {
    errors.append(.required(path))
    return
  }
  if !isReason(Array(reason.utf8)) {
    errors.append(
      .invalid(
        path, reason,
        regexProblem(
          "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
            + "characters or '_,:', and must end with an alphanumeric character or '_'",
          "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB",
          "ReasonA:ReasonB")))
  }
  if reason.utf8.count > 1024 { errors.append(.tooLong(path, max: 1024)) }
}

private func isReason(_ bytes: [UInt8]) -> Bool {
  func isLetter(_ b: UInt8) -> Bool { (b >= 0x41 && b <= 0x5A) || (b >= 0x61 && b <= 0x7A) }
  func isWord(_ b: UInt8) -> Bool { isLetter(b) || (b >= 0x30 && b <= 0x39) || b == UInt8(ascii: "_") }
  guard let first = bytes.first, let last = bytes.last, isLetter(first), isWord(last) else { return false }
  return bytes.allSatisfy { isWord($0) || $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: ":") }
}
