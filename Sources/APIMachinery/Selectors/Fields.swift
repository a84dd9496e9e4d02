/// Field selectors: "metadata.name=x,status.phase!=Running".
public enum Fields {
  /// How a requirement looks at a field.
  public enum Operator: String, Sendable {
    case equals = "="
    case notEquals = "!="
  }

  /// A condition on one field.
  public struct Requirement: Sendable, Hashable {
    public var path: String
    public var op: Operator
    public var value: String

    public init(path: String, op: Operator, value: String) {
      self.path = path
      self.op = op
      self.value = value
    }
  }

  /// Requirements that must all hold.
  public struct Selector: Sendable, Hashable, CustomStringConvertible {
    public var requirements: [Requirement]

    /// A selector of some requirements; none selects everything.
    public init(_ requirements: [Requirement] = []) { self.requirements = requirements }

    /// Selects everything.
    public static let everything = Selector()

    /// Whether it selects everything.
    public var isEmpty: Bool { requirements.isEmpty }

    /// Parses "a=b,c!=d"; a backslash protects `,`, `=` and itself in values.
    public static func parse(_ text: String) throws -> Selector {
      var terms: [[UInt8]] = [[]]
      var escaped = false
      for byte in text.utf8 {
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: ",") {
          terms.append([])
          continue
        }
        terms[terms.count - 1].append(byte)
      }
      var out: [Requirement] = []
      for term in terms where !term.isEmpty {
        guard let parsed = split(term) else {
          throw SelectorError(
            "invalid selector: '\(text)'; can't understand '\(String(decoding: term, as: UTF8.self))'")
        }
        let value = try unescape(parsed.value)
        out.append(
          Requirement(path: String(decoding: parsed.path, as: UTF8.self), op: parsed.op, value: value))
      }
      return Selector(out)
    }

    private static func split(_ term: [UInt8]) -> (path: ArraySlice<UInt8>, op: Operator, value: ArraySlice<UInt8>)? {
      guard let at = term.firstIndex(where: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "!") }) else { return nil }
      let next = at + 1 < term.count ? term[at + 1] : 0
      if term[at] == UInt8(ascii: "!") {
        guard next == UInt8(ascii: "=") else { return nil }
        return (term[..<at], .notEquals, term[(at + 2)...])
      }
      return (term[..<at], .equals, term[(next == UInt8(ascii: "=") ? at + 2 : at + 1)...])
    }

    private static func unescape(_ value: ArraySlice<UInt8>) throws -> String {
      var out: [UInt8] = []
      var escaped = false
      let text = String(decoding: value, as: UTF8.self)
      for byte in value {
        if escaped {
          guard byte == UInt8(ascii: "\\") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "=") else {
            throw SelectorError("invalid field selector: invalid escape sequence in value: \(text)")
          }
          out.append(byte)
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "=") || byte == UInt8(ascii: ",") {
          throw SelectorError("invalid field selector: unescaped character in value: \(text)")
        } else {
          out.append(byte)
        }
      }
      if escaped { throw SelectorError("invalid field selector: unescaped character in value: \(text)") }
      return String(decoding: out, as: UTF8.self)
    }

    /// Whether an object with these field values is selected; an absent field counts as "".
    public func matches(_ field: (String) -> String?) -> Bool {
      for r in requirements where ((field(r.path) ?? "") == r.value) != (r.op == .equals) { return false }
      return true
    }

    /// The value that this selector asks a field to have exactly, for indexes.
    public func exactValue(of path: String) -> String? {
      requirements.first { $0.path == path && $0.op == .equals }?.value
    }

    public var description: String {
      requirements.map { r in
        var value = ""
        for c in r.value {
          if c == "\\" || c == "," || c == "=" { value.append("\\") }
          value.append(c)
        }
        return r.path + r.op.rawValue + value
      }.joined(separator: ",")
    }
  }
}
