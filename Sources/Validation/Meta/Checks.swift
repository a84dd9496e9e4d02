import API

// Small checks that many kinds share, each with upstream's message.

func checkNonnegative(_ value: Int64, _ path: FieldPath, _ errors: inout [FieldError]) {
  if value < 0 { errors.append(.invalid(path, value, "must be greater than or equal to 0")) }
}

func checkNonnegative(_ value: Int32?, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let value { checkNonnegative(Int64(value), path, &errors) }
}

func checkPositive(_ value: Int64, _ path: FieldPath, _ errors: inout [FieldError]) {
  if value <= 0 { errors.append(.invalid(path, value, "must be greater than 0")) }
}

func checkImmutable<T: FieldValue & Equatable>(_ new: T, _ old: T, _ path: FieldPath, _ errors: inout [FieldError]) {
  if new != old { errors.append(.invalid(path, new, "field is immutable")) }
}

/// For values that are printed as JSON.
func checkImmutableJSON<T: JSONEncodable & Equatable>(
  _ new: T, _ old: T, _ path: FieldPath, _ errors: inout [FieldError], message: String = "field is immutable"
) {
  if new != old { errors.append(.invalid(path, FieldJSON(new), message)) }
}

/// One of a closed list.
func checkOneOf(_ value: String, _ supported: [String], _ path: FieldPath, _ errors: inout [FieldError]) {
  if !supported.contains(value) { errors.append(.notSupported(path, value, supported)) }
}

/// One of a closed list, and not empty.
func checkRequiredOneOf(
  _ value: String, _ supported: [String], _ path: FieldPath, _ errors: inout [FieldError], hint: String = ""
) {
  if value.isEmpty {
    errors.append(.required(path, hint))
  } else if !supported.contains(value) {
    errors.append(.notSupported(path, value, supported))
  }
}

func checkRequired(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if value.isEmpty { errors.append(.required(path)) }
}

func checkProblems(_ problems: [String], _ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  for problem in problems { errors.append(.invalid(path, value, problem)) }
}

func checkDNS1123Label(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkProblems(Names.isDNS1123Label(value), value, path, &errors)
}

func checkDNS1123Subdomain(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkProblems(Names.isDNS1123Subdomain(value), value, path, &errors)
}

/// `msg (e.g. 'a',  or 'b', regex used for validation is '…')`.
func regexProblem(_ message: String, _ pattern: String, _ examples: String...) -> String {
  if examples.isEmpty { return message + " (regex used for validation is '" + pattern + "')" }
  let list = examples.map { "'" + $0 + "', " }.joined(separator: " or ")
  return message + " (e.g. " + list + "regex used for validation is '" + pattern + "')"
}

let portRangeMessage = "must be between 1 and 65535, inclusive"

func checkPort(_ port: Int32, _ path: FieldPath, _ errors: inout [FieldError]) {
  if port < 1 || port > 65535 { errors.append(.invalid(path, port, portRangeMessage)) }
}

/// A port by number or name.
func checkPort(_ port: IntOrString, _ path: FieldPath, _ errors: inout [FieldError]) {
  switch port {
  case .int(let number): checkPort(number, path, &errors)
  case .string(let name): checkProblems(portNameProblems(name), name, path, &errors)
  }
}

/// What is wrong with the name of a port (an IANA service name).
func portNameProblems(_ name: String) -> [String] {
  var problems: [String] = []
  let bytes = Array(name.utf8)
  if bytes.count > 15 { problems.append("must be no more than 15 bytes") }
  func isLetter(_ b: UInt8) -> Bool { b >= UInt8(ascii: "a") && b <= UInt8(ascii: "z") }
  let dash = UInt8(ascii: "-")
  let wellFormed = bytes.allSatisfy {
    isLetter($0) || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || $0 == dash
  }
  if bytes.isEmpty || !wellFormed {
    problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
  }
  if !bytes.contains(where: isLetter) { problems.append("must contain at least one letter (a-z)") }
  if name.contains("--") { problems.append("must not contain consecutive hyphens") }
  if let first = bytes.first, let last = bytes.last, first == dash || last == dash {
    problems.append("must not begin or end with a hyphen")
  }
  return problems
}

/// What is wrong with a key of a config map or secret.
func configKeyProblems(_ key: String) -> [String] {
  var problems: [String] = []
  if key.utf8.count > 253 { problems.append(Names.maxLengthError(253)) }
  let wellFormed = key.utf8.allSatisfy {
    ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5A) || ($0 >= 0x61 && $0 <= 0x7A)
      || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
  }
  if key.isEmpty || !wellFormed {
    problems.append(
      regexProblem(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+", "key.name",
        "KEY_NAME", "key-name"))
  }
  if key == "." {
    problems.append("must not be '.'")
  } else if key == ".." {
    problems.append("must not be '..'")
  } else if key.hasPrefix("..") {
    problems.append("must not start with '..'")
  }
  return problems
}

/// A path that stays below where it starts.
func checkDescendingPath(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if value.hasPrefix("/") { errors.append(.invalid(path, value, "must be a relative path")) }
  checkNoBacksteps(value, path, &errors)
}

func checkNoBacksteps(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if value.split(separator: "/", omittingEmptySubsequences: false).contains("..") {
    errors.append(.invalid(path, value, "must not contain '..'"))
  }
}

let fileModeMessage = "must be a number between 0 and 0777 (octal), both inclusive"

func checkFileMode(_ mode: Int32?, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let mode, mode < 0 || mode > 0o777 { errors.append(.invalid(path, mode, fileModeMessage)) }
}

/// Go's `strings.TrimSpace` changes nothing.
func isTrimmed(_ text: String) -> Bool {
  guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return true }
  return !first.properties.isWhitespace && !last.properties.isWhitespace
}
