import APIMachinery
import CEL

/// The formats that `format` may name, as kube-openapi checks them.
enum StringFormat {
  /// Whether a string has a format; nil for formats that are not checked.
  static func check(_ text: String, _ format: String) -> Bool? {
    switch format {
    case "date-time", "datetime": return CELTimestamp(text) != nil
    case "date": return text.utf8.count == 10 && CELTimestamp(text + "T00:00:00Z") != nil
    case "duration": return GoDuration(parsing: text) != nil || isLongDuration(text)
    case "byte": return !text.isEmpty && Base64Bytes(base64: text) != nil
    case "uuid": return uuid.matches(text)
    case "uuid3": return uuid3.matches(text)
    case "uuid4": return uuid4.matches(text)
    case "uuid5": return uuid5.matches(text)
    case "ipv4": return isIPv4(text)
    case "ipv6": return isIPv6(text)
    case "cidr": return isCIDR(text)
    case "mac": return mac.matches(text)
    case "email": return email.matches(text)
    case "hostname": return hostname.matches(text) && text.utf8.count <= 255
    case "uri": return uri.matches(text)
    case "bsonobjectid": return objectID.matches(text)
    case "creditcard", "isbn", "isbn10", "isbn13", "ssn", "hexcolor", "rgbcolor":
      return others[format]?.matches(text)
    case "k8s-short-name": return Names.isDNS1123Label(text).isEmpty
    case "k8s-long-name": return Names.isDNS1123Subdomain(text).isEmpty
    default: return nil
    }
  }

  /// Formats that are known, so that a schema may name them without doubt.
  static func expression(_ pattern: String) -> RE2 {
    // The patterns below are constants that the tests compile.
    guard let expression = try? RE2(pattern) else { preconditionFailure("not an expression: \(pattern)") }
    return expression
  }

  private static let hex = "[0-9a-fA-F]"
  private static let uuid = expression("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
  private static let uuid3 = expression("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
  private static let uuid4 = expression("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$")
  private static let uuid5 = expression("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$")
  private static let mac = expression("^(\(hex){2}[:-]){5}\(hex){2}$|^(\(hex){4}\\.){2}\(hex){4}$")
  private static let email = expression("^[^@\\s]+@[^@\\s]+$")
  private static let hostname = expression(
    "^([a-zA-Z0-9\\p{L}]([a-zA-Z0-9\\p{L}-]{0,61}[a-zA-Z0-9\\p{L}])?)"
      + "(\\.[a-zA-Z0-9\\p{L}]([a-zA-Z0-9\\p{L}-]{0,61}[a-zA-Z0-9\\p{L}])?)*\\.?$")
  private static let uri = expression("^([a-zA-Z][a-zA-Z0-9+.-]*:[^\\s]+|/[^\\s]*)$")
  private static let objectID = expression("^\(hex){24}$")
  private static let others = [
    "creditcard": expression(
      "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|"
        + "3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$"),
    "isbn": expression("^(?:[0-9]-?){9}[0-9X]$|^(?:[0-9]-?){12}[0-9]$"),
    "isbn10": expression("^(?:[0-9]-?){9}[0-9X]$"), "isbn13": expression("^(?:[0-9]-?){12}[0-9]$"),
    "ssn": expression("^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"),
    "hexcolor": expression("^#?(\(hex){3}|\(hex){6})$"),
    "rgbcolor": expression("^rgb\\(\\s*[0-9]{1,3}\\s*,\\s*[0-9]{1,3}\\s*,\\s*[0-9]{1,3}\\s*\\)$"),
  ]

  /// `3 days`, `2 weeks`: what Go's durations do not know.
  private static func isLongDuration(_ text: String) -> Bool { longDuration.matches(text) }
  private static let longDuration = expression(
    "^[0-9]+(\\.[0-9]+)?\\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|"
      + "seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)$")

  private static func isIPv4(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        !part.isEmpty && part.utf8.count <= 3 && part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
          && (Int(part) ?? 256) < 256 && (part.utf8.count == 1 || part.utf8.first != 0x30)
      }
  }

  private static func isIPv6(_ text: String) -> Bool {
    guard text.contains(":") else { return false }
    var groups = text.components(separatedBy: "::")
    guard groups.count <= 2 else { return false }
    if groups.count == 1 { groups = [text] }
    var count = 0
    for side in groups where !side.isEmpty {
      let parts = side.split(separator: ":", omittingEmptySubsequences: false)
      for (at, part) in parts.enumerated() {
        if at == parts.count - 1, part.contains(".") {
          guard isIPv4(String(part)) else { return false }
          count += 2
        } else {
          guard !part.isEmpty, part.utf8.count <= 4, part.allSatisfy(\.isHexDigit) else { return false }
          count += 1
        }
      }
    }
    return groups.count == 2 ? count < 8 : count == 8
  }

  private static func isCIDR(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let bits = Int(parts[1]), bits >= 0 else { return false }
    let address = String(parts[0])
    return isIPv4(address) ? bits <= 32 : isIPv6(address) && bits <= 128
  }
}

extension String {
  /// The pieces between a separator.
  fileprivate func components(separatedBy separator: String) -> [String] {
    var pieces: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      pieces.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return pieces + [String(rest)]
  }
}
