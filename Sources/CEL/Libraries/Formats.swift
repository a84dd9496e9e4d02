internal import APIMachinery

/// A named format that strings are validated against.
final class CELFormat: CELOpaque {
  let typeName = "kubernetes.NamedFormat"
  let name: String
  let validate: @Sendable (String) -> [String]
  init(_ name: String, _ validate: @escaping @Sendable (String) -> [String]) {
    self.name = name
    self.validate = validate
  }
  func isEqual(to other: any CELOpaque) -> Bool { (other as? CELFormat)?.name == name }

  static let all: [CELFormat] = [
    CELFormat("dns1123Label") { Names.isDNS1123Label($0) },
    CELFormat("dns1123Subdomain") { Names.isDNS1123Subdomain($0) },
    CELFormat("dns1035Label") { Names.isDNS1035Label($0) },
    CELFormat("qualifiedName") { Names.isQualifiedName($0) },
    CELFormat("dns1123LabelPrefix") { Names.isDNS1123Label(Names.maskTrailingDash($0)) },
    CELFormat("dns1123SubdomainPrefix") { Names.isDNS1123Subdomain(Names.maskTrailingDash($0)) },
    CELFormat("dns1035LabelPrefix") { Names.isDNS1035Label(Names.maskTrailingDash($0)) },
    CELFormat("labelValue") { Names.isLabelValue($0) },
    CELFormat("uri") { CELURL($0) == nil ? ["invalid URI"] : [] },
    CELFormat("uuid") { text in
      let groups = text.split(separator: "-", omittingEmptySubsequences: false)
      let hex = text.utf8.allSatisfy { $0 == 0x2D || $0.isDigit || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x66) }
      let shaped = groups.map(\.utf8.count) == [8, 4, 4, 4, 12] || (groups.count == 1 && text.utf8.count == 32)
      return hex && shaped ? [] : ["does not match the UUID format"]
    },
    CELFormat("byte") { Base64Bytes(base64: $0) == nil ? ["invalid base64"] : [] },
    CELFormat("date") { CELTimestamp($0 + "T00:00:00Z") == nil ? ["invalid date"] : [] },
    CELFormat("datetime") { CELTimestamp($0) == nil ? ["invalid datetime"] : [] },
  ]
}

extension CELLibrary {
  static let format: CELLibrary = {
    let type = "kubernetes.NamedFormat"
    var out = CELLibrary("kubernetes.format")
    out.types = [type: .opaque(type, [])]
    for format in CELFormat.all {
      out.add("format.\(format.name)", ["format_\(format.name) () -> \(type)"]) { (_) throws(CELError) in
        .opaque(format)
      }
    }
    out.add("format.named", ["format_named (string) -> optional(\(type))"]) { (args) throws(CELError) in
      let name = try args[0].string()
      return .optional(CELFormat.all.first { $0.name == name }.map { .opaque($0) })
    }
    out.add("validate", [".format_validate (\(type), string) -> optional(list(string))"]) { (args) throws(CELError) in
      guard case .opaque(let opaque) = args[0], let format = opaque as? CELFormat else { throw .noSuchOverload }
      let problems = format.validate(try args[1].string())
      return .optional(problems.isEmpty ? nil : .list(problems.map { .string($0) }))
    }
    return out
  }()

  /// JSON patches that expressions make: the type is `JSONPatch`, and keys can be escaped.
  static let jsonPatch: CELLibrary = {
    var out = CELLibrary("kubernetes.jsonpatch")
    out.add("jsonpatch.escapeKey", ["string_jsonpatch_escapeKey_string (string) -> string"]) {
      (args) throws(CELError) in
      var escaped = ""
      for c in try args[0].string().unicodeScalars {
        switch c {
        case "~": escaped += "~0"
        case "/": escaped += "~1"
        default: escaped.unicodeScalars.append(c)
        }
      }
      return .string(escaped)
    }
    return out
  }()
}

extension CELEnvironment {
  /// Lets expressions make JSON patch operations: `JSONPatch{op: "add", path: "/a", value: 1}`.
  public mutating func addJSONPatch() {
    add(
      .object(
        "JSONPatch",
        [
          ("op", .plain(.string)), ("path", .plain(.string)), ("from", .plain(.string)), ("value", .untyped),
        ]), constructible: true)
  }
}
