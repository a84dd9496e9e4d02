/// How names that are no identifiers are written in Kubernetes' expressions.
public enum CELIdentifier {
  /// Words that can be no identifier and so are escaped as field names.
  static let reserved: Set<String> = [
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
  ]

  /// The name under which an expression reaches a JSON field; nil if it cannot be written at all.
  public static func escape(_ name: String) -> String? {
    if reserved.contains(name) { return "__\(name)__" }
    var out = ""
    var rest = name.unicodeScalars[...]
    guard let first = rest.first else { return nil }
    if first.value < 128, first.value >= 0x30, first.value <= 0x39 { return nil }
    while let scalar = rest.popFirst() {
      switch scalar {
      case ".": out += "__dot__"
      case "-": out += "__dash__"
      case "/": out += "__slash__"
      case "_" where rest.first == "_":
        rest.removeFirst()
        out += "__underscores__"
      case "_", "a"..."z", "A"..."Z", "0"..."9": out.unicodeScalars.append(scalar)
      default: return nil
      }
    }
    return out
  }

  static func isIdentifier(_ name: String) -> Bool {
    guard let first = name.utf8.first, first == 0x5F || first.isLetter else { return false }
    return name.utf8.allSatisfy { $0 == 0x5F || $0.isLetter || $0.isDigit }
  }
}

extension UInt8 {
  var isDigit: Bool { self >= 0x30 && self <= 0x39 }
  var isLetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7A }
}
