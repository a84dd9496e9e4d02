/// Upstream's rules for names; each check returns what is wrong, in upstream's words.
public enum Names {
  static let dns1123LabelFmt = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
  static let dns1123SubdomainFmt = dns1123LabelFmt + "(\\." + dns1123LabelFmt + ")*"
  static let dns1035LabelFmt = "[a-z]([-a-z0-9]*[a-z0-9])?"
  static let qualifiedNameFmt = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

  static let dns1123LabelMessage =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    + "with an alphanumeric character"
  static let dns1123SubdomainMessage =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    + "and end with an alphanumeric character"
  static let dns1035LabelMessage =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    + "and end with an alphanumeric character"
  static let qualifiedNameMessage =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
  static let labelValueMessage =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    + "end with an alphanumeric character"

  /// "may not be …" with the pattern and examples.
  static func regexError(_ message: String, _ pattern: String, _ examples: String...) -> String {
    if examples.isEmpty { return message + " (regex used for validation is '" + pattern + "')" }
    let list = examples.map { "'" + $0 + "', " }.joined(separator: " or ")
    return message + " (e.g. " + list + "regex used for validation is '" + pattern + "')"
  }

  /// "must be no more than 63 bytes".
  public static func maxLengthError(_ length: Int) -> String { "must be no more than \(length) bytes" }
  static let emptyError = "must be non-empty"

  /// A DNS label: "my-name", at most 63.
  public static func isDNS1123Label(_ value: String) -> [String] {
    var errors: [String] = []
    if value.utf8.count > 63 { errors.append(maxLengthError(63)) }
    if !matchesLabel(value.utf8[...]) {
      if matchesSubdomain(value) {
        errors.append("must not contain dots")
      } else {
        errors.append(regexError(dns1123LabelMessage, dns1123LabelFmt, "my-name", "123-abc"))
      }
    }
    return errors
  }

  /// A DNS name: labels and dots, at most 253.
  public static func isDNS1123Subdomain(_ value: String) -> [String] {
    var errors: [String] = []
    if value.utf8.count > 253 { errors.append(maxLengthError(253)) }
    if !matchesSubdomain(value) {
      errors.append(regexError(dns1123SubdomainMessage, dns1123SubdomainFmt, "example.com"))
    }
    return errors
  }

  /// A DNS label that begins with a letter: service names.
  public static func isDNS1035Label(_ value: String) -> [String] {
    var errors: [String] = []
    if value.utf8.count > 63 { errors.append(maxLengthError(63)) }
    if !matchesLabel(value.utf8[...]) || !(value.utf8.first.map(isLower) ?? false) {
      errors.append(regexError(dns1035LabelMessage, dns1035LabelFmt, "my-name", "abc-123"))
    }
    return errors
  }

  /// A DNS name whose first label may be "*".
  public static func isWildcardDNS1123Subdomain(_ value: String) -> [String] {
    let pattern = "\\*\\." + dns1123SubdomainFmt
    var errors: [String] = []
    if value.utf8.count > 253 { errors.append(maxLengthError(253)) }
    if !(value.hasPrefix("*.") && matchesSubdomain(String(value.dropFirst(2)))) {
      errors.append(
        regexError(
          "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
            + "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
          pattern, "*.example.com"))
    }
    return errors
  }

  /// A label or annotation key: "prefix/name" or "name".
  public static func isQualifiedName(_ value: String) -> [String] {
    var errors: [String] = []
    let parts = value.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    var name = value.utf8[...]
    switch parts.count {
    case 1: break
    case 2:
      name = parts[1]
      if parts[0].isEmpty {
        errors.append("prefix part " + emptyError)
      } else {
        errors += isDNS1123Subdomain(String(Substring(parts[0]))).map { "prefix part " + $0 }
      }
    default:
      return [
        "a valid label key "
          + regexError(qualifiedNameMessage, qualifiedNameFmt, "MyName", "my.name", "123-abc")
          + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
      ]
    }
    if name.isEmpty {
      errors.append("name part " + emptyError)
    } else if name.count > 63 {
      errors.append("name part " + maxLengthError(63))
    }
    if !matchesQualified(name) {
      errors.append(
        "name part " + regexError(qualifiedNameMessage, qualifiedNameFmt, "MyName", "my.name", "123-abc"))
    }
    return errors
  }

  /// A label's value: empty, or like a qualified name's last part.
  public static func isLabelValue(_ value: String) -> [String] {
    var errors: [String] = []
    if value.utf8.count > 63 { errors.append(maxLengthError(63)) }
    if !value.isEmpty, !matchesQualified(value.utf8[...]) {
      errors.append(
        regexError(labelValueMessage, "(" + qualifiedNameFmt + ")?", "MyValue", "my_value", "12345"))
    }
    return errors
  }

  // MARK: Patterns, by hand: these run for every label of every write

  static func isLower(_ b: UInt8) -> Bool { b >= 0x61 && b <= 0x7A }
  static func isUpper(_ b: UInt8) -> Bool { b >= 0x41 && b <= 0x5A }
  static func isDigit(_ b: UInt8) -> Bool { b >= 0x30 && b <= 0x39 }
  static func isAlphanumeric(_ b: UInt8) -> Bool { isLower(b) || isDigit(b) || isUpper(b) }

  static func matchesLabel(_ s: Substring.UTF8View) -> Bool {
    guard let first = s.first, let last = s.last else { return false }
    guard isLower(first) || isDigit(first), isLower(last) || isDigit(last) else { return false }
    return s.allSatisfy { isLower($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
  }

  static func matchesSubdomain(_ s: String) -> Bool {
    s.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { matchesLabel($0) }
  }

  static func matchesQualified(_ s: Substring.UTF8View) -> Bool {
    guard let first = s.first, let last = s.last, isAlphanumeric(first), isAlphanumeric(last) else { return false }
    return s.allSatisfy {
      isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
    }
  }
}
