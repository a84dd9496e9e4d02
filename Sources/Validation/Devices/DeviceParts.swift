import API

// What the kinds of dynamic resource allocation share.

let requestReferenceMessage =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

/// Checks every element of a list that must not grow without bound; one too long is looked at no further.
func checkList<T>(
  _ list: [T], max: Int?, _ path: FieldPath, _ errors: inout [FieldError],
  _ check: (T, FieldPath, inout [FieldError]) -> Void
) {
  if let max, list.count > max {
    errors.append(.tooMany(path, actual: list.count, max: max))
    return
  }
  for (i, element) in list.enumerated() { check(element, path.index(i), &errors) }
}

/// The same for a list in which nothing may stand twice.
func checkSet<T>(
  _ list: [T], max: Int?, key: (T) -> String, _ path: FieldPath, _ errors: inout [FieldError],
  _ check: (T, FieldPath, inout [FieldError]) -> Void
) {
  checkList(list, max: max, path, &errors, check)
  if let max, list.count > max { return }
  var seen: Set<String> = []
  for (i, element) in list.enumerated() where !seen.insert(key(element)).inserted {
    errors.append(.duplicate(path.index(i), key(element)))
  }
}

/// Checks the name of a pool: labels of domains separated by slashes.
func checkPoolName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if name.isEmpty {
    errors.append(.required(path))
    return
  }
  if name.utf8.count > 253 { errors.append(.tooLong(path, max: 253)) }
  for part in name.split(separator: "/", omittingEmptySubsequences: false) {
    checkDNS1123Subdomain(String(part), path, &errors)
  }
}

/// Checks the name of an attribute or a capacity: an identifier, behind a domain or without one.
func checkQualified(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
  switch parts.count {
  case 1: checkIdentifier(parts[0], path, &errors)
  case 2:
    if parts[0].isEmpty {
      errors.append(.invalid(path, "", "the domain must not be empty"))
    } else {
      checkCSIDriverName(parts[0], path, &errors)
    }
    if parts[1].isEmpty {
      errors.append(.invalid(path, "", "the name must not be empty"))
    } else {
      checkIdentifier(parts[1], path, &errors)
    }
  default: errors.append(.invalid(path, name, "must not contain more than one slash"))
  }
}

/// Checks a name that must have its domain.
func checkFullyQualified(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkQualified(name, path, &errors)
  if !name.contains("/") {
    errors.append(
      .invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash"))
  }
}

private func checkIdentifier(_ id: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if id.utf8.count > 32 { errors.append(.tooLong(path, max: 32)) }
  checkProblems(Names.isCIdentifier(id), id, path, &errors)
}

/// Checks a UUID in its usual form.
func checkUUID(_ uid: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  let bytes = Array(uid.utf8)
  let dashes = [8, 13, 18, 23]
  if bytes.count != 36 {
    errors.append(.invalid(path, uid, "error validating uid: invalid UUID length: \(bytes.count)"))
    return
  }
  let wellFormed = bytes.enumerated().allSatisfy { i, b in
    dashes.contains(i)
      ? b == UInt8(ascii: "-")
      : (b >= 0x30 && b <= 0x39) || (b >= 0x41 && b <= 0x46) || (b >= 0x61 && b <= 0x66)
  }
  if !wellFormed {
    errors.append(.invalid(path, uid, "error validating uid: invalid UUID format"))
  } else if uid != uid.lowercased() {
    errors.append(
      .invalid(
        path, uid,
        "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal "
          + "characters"))
  }
}

/// Checks selectors; expressions themselves are checked where they can be compiled.
func checkSelectors(_ selectors: [DeviceSelector], _ path: FieldPath, _ errors: inout [FieldError]) {
  checkList(selectors, max: 32, path, &errors) { selector, path, errors in
    guard let cel = selector.cel else {
      errors.append(.required(path.child("cel")))
      return
    }
    if cel.expression.utf8.count > 10 * 1024 {
      errors.append(.tooLong(path.child("cel", "expression"), max: 10 * 1024))
    }
  }
}

/// Checks what a driver is told.
func checkDeviceConfiguration(
  _ opaque: OpaqueDeviceConfiguration?, _ path: FieldPath, stored: Bool = false, _ errors: inout [FieldError]
) {
  guard let opaque else {
    errors.append(.required(path.child("opaque")))
    return
  }
  let path = path.child("opaque")
  checkCSIDriverName(opaque.driver, path.child("driver"), &errors)
  checkRawObject(opaque.parameters, path.child("parameters"), max: stored ? nil : 10 * 1024, &errors)
}

/// Checks a value that only has to be an object of limited size.
func checkRawObject(_ value: JSONValue, _ path: FieldPath, max: Int?, _ errors: inout [FieldError]) {
  if case .null = value {
    errors.append(.required(path))
  } else if let max, value.encoded().count > max {
    errors.append(.tooLong(path, max: max))
  } else if value.objectValue == nil {
    errors.append(.invalid(path, "<value omitted>", "must be a valid JSON object"))
  }
}

private let taintEffects = ["NoExecute", "NoSchedule", "None"]

/// Checks the parts of a taint; an effect that stands already is let be.
func checkDeviceTaint(
  key: String, value: String, effect: String, oldEffect: String? = nil, _ path: FieldPath,
  _ errors: inout [FieldError]
) {
  checkLabelName(key, path.child("key"), &errors)
  checkProblems(Names.isLabelValue(value), value, path.child("value"), &errors)
  if oldEffect != effect { checkRequiredOneOf(effect, taintEffects, path.child("effect"), &errors) }
}

/// Checks what a request bears.
func checkDeviceToleration(_ toleration: DeviceToleration, _ path: FieldPath, _ errors: inout [FieldError]) {
  if !toleration.key.isEmpty { checkLabelName(toleration.key, path.child("key"), &errors) }
  switch toleration.`operator` {
  case "Exists":
    if !toleration.value.isEmpty {
      errors.append(.invalid(path.child("value"), toleration.value, "must be empty for operator `Exists`"))
    }
  case "Equal": checkProblems(Names.isLabelValue(toleration.value), toleration.value, path.child("value"), &errors)
  default: checkRequiredOneOf(toleration.`operator`, ["Equal", "Exists"], path.child("operator"), &errors)
  }
  if !toleration.effect.isEmpty { checkOneOf(toleration.effect, taintEffects, path.child("effect"), &errors) }
}

/// Checks the conditions for which a pod waits before it is bound.
func checkBindingConditions(
  _ conditions: [String], failures: [String], _ path: FieldPath, _ errors: inout [FieldError]
) {
  let (place, failurePlace) = (path.child("bindingConditions"), path.child("bindingFailureConditions"))
  checkSet(conditions, max: 4, key: { $0 }, place, &errors) { checkLabelName($0, $1, &$2) }
  checkSet(failures, max: 4, key: { $0 }, failurePlace, &errors) { checkLabelName($0, $1, &$2) }
  for (i, failure) in failures.enumerated() where conditions.contains(failure) {
    errors.append(
      .invalid(
        failurePlace.index(i), failure, "bindingFailureConditions must not overlap with bindingConditions"))
  }
  if conditions.isEmpty && !failures.isEmpty {
    errors.append(.invalid(place, conditions, "bindingConditions are required to use bindingFailureConditions"))
  }
  if failures.isEmpty && !conditions.isEmpty {
    errors.append(
      .invalid(failurePlace, failures, "bindingFailureConditions are required to use bindingConditions"))
  }
}
