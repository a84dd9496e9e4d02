extension Names {
  private static func maxCharacters(_ length: Int) -> String { "must be no more than \(length) characters" }

  /// An identifier as in C.
  public static func isCIdentifier(_ value: String) -> [String] {
    let fine =
      !value.isEmpty && !isDigit(value.utf8.first ?? 0x30)
      && value.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
    return fine
      ? []
      : [
        regexError(
          "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
            + "characters or '_'", "[A-Za-z_][A-Za-z0-9_]*", "my_name", "MY_NAME", "MyName")
      ]
  }

  /// "must be between 1 and 65535, inclusive".
  public static func inclusiveRangeError(_ low: Int, _ high: Int) -> String {
    "must be between \(low) and \(high), inclusive"
  }

  /// A port that one can listen on.
  public static func isValidPortNum(_ port: Int) -> [String] {
    (1...65535).contains(port) ? [] : [inclusiveRangeError(1, 65535)]
  }

  /// A number within bounds.
  public static func isInRange(_ value: Int, _ low: Int, _ high: Int) -> [String] {
    value >= low && value <= high ? [] : [inclusiveRangeError(low, high)]
  }

  /// A unix user.
  public static func isValidUserID(_ id: Int64) -> [String] {
    id >= 0 && id <= 0xFFFF_FFFF ? [] : [inclusiveRangeError(0, 0xFFFF_FFFF)]
  }

  /// A unix group.
  public static func isValidGroupID(_ id: Int64) -> [String] { isValidUserID(id) }

  /// A port's name: lower case, at least one letter, at most 15.
  public static func isValidPortName(_ value: String) -> [String] {
    let bytes = value.utf8
    var errors: [String] = []
    if bytes.count > 15 { errors.append(maxCharacters(15)) }
    if bytes.isEmpty || !bytes.allSatisfy({ isLower($0) || isDigit($0) || $0 == UInt8(ascii: "-") }) {
      errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    }
    if !bytes.contains(where: isLower) { errors.append("must contain at least one letter (a-z)") }
    if zip(bytes, bytes.dropFirst()).contains(where: { $0 == 0x2D && $1 == 0x2D }) {
      errors.append("must not contain consecutive hyphens")
    }
    if bytes.first == 0x2D || bytes.last == 0x2D { errors.append("must not begin or end with a hyphen") }
    return errors
  }

  /// "25%".
  public static func isValidPercent(_ value: String) -> [String] {
    let fine = value.utf8.count > 1 && value.utf8.last == UInt8(ascii: "%") && value.utf8.dropLast().allSatisfy(isDigit)
    return fine
      ? []
      : [
        regexError(
          "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%")
      ]
  }

  /// An HTTP header's name.
  public static func isHTTPHeaderName(_ value: String) -> [String] {
    let fine = !value.isEmpty && value.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
    return fine
      ? []
      : [
        regexError(
          "a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name")
      ]
  }

  /// An environment variable's name: any printable ASCII but '='.
  public static func isEnvVarName(_ value: String) -> [String] {
    if value.isEmpty { return ["environment variable name " + emptyError] }
    let fine = value.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "=") }
    return fine
      ? [] : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
  }

  /// A key of a ConfigMap or Secret: also a file name.
  public static func isConfigMapKey(_ value: String) -> [String] {
    var errors: [String] = []
    if value.utf8.count > 253 { errors.append(maxCharacters(253)) }
    let fine =
      !value.isEmpty
      && value.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D || $0 == UInt8(ascii: "_") || $0 == 0x2E }
    if !fine {
      errors.append(
        regexError(
          "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+", "key.name",
          "KEY_NAME", "key-name"))
    }
    if value == "." {
      errors.append("must not be '.'")
    } else if value == ".." {
      errors.append("must not be '..'")
    } else if value.hasPrefix("..") {
      errors.append("must not start with '..'")
    }
    return errors
  }

  /// A name that can be one segment of a path: RBAC objects, nodes' addresses and the like.
  public static func isPathSegmentName(_ value: String, prefix: Bool = false) -> [String] {
    if !prefix {
      for whole in [".", ".."] where value == whole { return ["may not be '\(whole)'"] }
    }
    return ["/", "%"].filter { value.contains($0) }.map { "may not contain '\($0)'" }
  }

  /// For checking a `generateName`: what follows it is alphanumeric, so one dash at its end does no harm.
  public static func maskTrailingDash(_ value: String) -> String {
    value.utf8.count > 1 && value.utf8.last == 0x2D ? value.dropLast(2) + "a" : value
  }

  // MARK: Generated names

  /// Neither vowels nor what looks like one: no words come out.
  static let safeLetters = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

  /// `base` with five random letters, at most 63 long in all.
  public static func generate(base: String, using random: inout some RandomNumberGenerator) -> String {
    var bytes = Array(base.utf8.prefix(58))
    for _ in 0..<5 { bytes.append(safeLetters.randomElement(using: &random) ?? 0x62) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Random letters that form no words.
  public static func randomString(_ length: Int, using random: inout some RandomNumberGenerator) -> String {
    String(decoding: (0..<length).map { _ in safeLetters.randomElement(using: &random) ?? 0x62 }, as: UTF8.self)
  }

  /// A hash's digits in safe letters, as pod-template-hash shows them.
  public static func safeEncode(_ value: String) -> String {
    String(decoding: value.utf8.map { safeLetters[Int($0) % safeLetters.count] }, as: UTF8.self)
  }
}
