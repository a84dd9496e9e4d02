private import APIMachinery

extension CELValue {
  func string() throws(CELError) -> String {
    guard case .string(let value) = self else { throw .noSuchOverload }
    return value
  }

  func int() throws(CELError) -> Int64 {
    guard case .int(let value) = self else { throw .noSuchOverload }
    return value
  }

  func list() throws(CELError) -> CELList {
    guard case .list(let value) = self else { throw .noSuchOverload }
    return value
  }

  /// As messages and `string()` show the value.
  public var plainText: String {
    switch self {
    case .null: "null"
    case .bool(let v): v ? "true" : "false"
    case .int(let v): String(v)
    case .uint(let v): String(v)
    case .double(let v): Self.text(v)
    case .string(let v): v
    case .bytes(let v): String(decoding: v, as: UTF8.self)
    case .timestamp(let v): v.text
    case .duration(let v): Self.seconds(v)
    case .type(let v): v.runtimeName
    case .list(let v):
      "[" + ((try? v.elements()) ?? []).map(\.plainText).joined(separator: ", ") + "]"
    case .map(let v):
      "{" + v.keys.map { "\($0.plainText): \(((try? v.value($0)) ?? nil)?.plainText ?? "")" }.joined(separator: ", ")
        + "}"
    case .object(let v): v.typeName + "{}"
    case .optional(let v): v.map { "optional(\($0.plainText))" } ?? "optional.none()"
    case .opaque(let v): (v as? any CustomStringConvertible)?.description ?? v.typeName
    }
  }

  /// "1.5s", as durations become strings.
  static func seconds(_ nanoseconds: Int64) -> String {
    let sign = nanoseconds < 0 ? "-" : ""
    let (whole, rest) = nanoseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
    if rest == 0 { return "\(sign)\(whole)s" }
    var digits = pad(Int(rest), 9)
    while digits.last == "0" { digits.removeLast() }
    return "\(sign)\(whole).\(digits)s"
  }

  /// The shortest form that reads back the same, as Go's %g writes it.
  /// `string()` goes over to exponents earlier than the rest.
  static func text(_ value: Double, exponentFrom: Int = 21) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if value == 0 { return value.sign == .minus ? "-0" : "0" }
    let (digits, exponent) = decimal(value.magnitude)
    let sign = value < 0 ? "-" : ""
    if exponent < -4 || exponent >= exponentFrom {
      let tail = digits.count > 1 ? "." + digits.dropFirst() : ""
      return "\(sign)\(digits.prefix(1))\(tail)e\(exponent < 0 ? "-" : "+")\(pad(abs(exponent), 2))"
    }
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    if digits.count <= exponent + 1 {
      return sign + digits + String(repeating: "0", count: exponent + 1 - digits.count)
    }
    return sign + digits.prefix(exponent + 1) + "." + digits.dropFirst(exponent + 1)
  }

  /// The shortest digits and the power of ten of the first.
  private static func decimal(_ value: Double) -> (String, Int) {
    var mantissa = value.description
    var exponent = 0
    if let e = mantissa.firstIndex(where: { $0 == "e" || $0 == "E" }) {
      exponent = Int(mantissa[mantissa.index(after: e)...]) ?? 0
      mantissa = String(mantissa[..<e])
    }
    let parts = mantissa.split(separator: ".", omittingEmptySubsequences: false)
    var digits = String(parts[0]) + (parts.count > 1 ? String(parts[1]) : "")
    exponent += parts[0].count - 1
    while digits.hasPrefix("0"), digits.count > 1 {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.hasSuffix("0"), digits.count > 1 { digits.removeLast() }
    return (digits, exponent)
  }
}

extension String {
  /// Where a text is found byte by byte, as Go finds it.
  func firstRange(ofBytes part: String, from start: Int = 0) -> Range<Int>? {
    let (text, wanted) = (Array(utf8), Array(part.utf8))
    return text.firstRange(of: wanted, from: start)
  }
}

extension Array<UInt8> {
  func firstRange(of wanted: [UInt8], from start: Int = 0) -> Range<Int>? {
    if wanted.isEmpty { return start..<start }
    guard count >= wanted.count, start <= count - wanted.count else { return nil }
    for i in start...count - wanted.count
    where self[i] == wanted[0] && self[i..<i + wanted.count].elementsEqual(wanted) { return i..<i + wanted.count }
    return nil
  }
}

extension Array where Element == Unicode.Scalar {
  var text: String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: self)
    return String(view)
  }
}
