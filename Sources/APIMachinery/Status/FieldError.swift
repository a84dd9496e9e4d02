/// What is wrong with one field: upstream's field.Error.
public struct FieldError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of fault.
  public enum Kind: String, Sendable {
    case required = "Required value"
    case invalid = "Invalid value"
    case duplicate = "Duplicate value"
    case notSupported = "Unsupported value"
    case forbidden = "Forbidden"
    case tooLong = "Too long"
    case tooMany = "Too many"
    case notFound = "Not found"
    case typeInvalid = "Invalid value "  // prints like invalid; a raw value must be unique
    case `internal` = "Internal error"

    /// How a Status cause names it.
    public var reason: String {
      switch self {
      case .required: "FieldValueRequired"
      case .invalid: "FieldValueInvalid"
      case .duplicate: "FieldValueDuplicate"
      case .notSupported: "FieldValueNotSupported"
      case .forbidden: "FieldValueForbidden"
      case .tooLong: "FieldValueTooLong"
      case .tooMany: "FieldValueTooMany"
      case .notFound: "FieldValueNotFound"
      case .typeInvalid: "FieldValueTypeInvalid"
      case .internal: "InternalError"
      }
    }
    var text: String { self == .typeInvalid ? "Invalid value" : rawValue }
  }

  public var type: Kind
  /// The field's path.
  public var field: String
  /// The offending value as it is printed: strings quoted, others as JSON; nil if it is left out.
  public var badValue: String?
  public var detail: String

  public init(type: Kind, field: String, badValue: String? = nil, detail: String = "") {
    self.type = type
    self.field = field
    self.badValue = badValue
    self.detail = detail
  }

  /// "Invalid value: "x": must be …", without the field.
  public var body: String {
    var text = type.text
    switch type {
    case .required, .forbidden, .tooLong, .internal: break
    default: if let badValue { text += ": " + badValue }
    }
    if !detail.isEmpty { text += ": " + detail }
    return text
  }

  /// "spec.replicas: Invalid value: -1: must be …".
  public var message: String { "\(field): \(body)" }
  public var description: String { message }
  /// "FieldValueInvalid" and the like.
  public var reason: String { type.reason }

  // MARK: Makers

  /// A value of the wrong form.
  public static func invalid(_ field: FieldPath, _ value: some FieldValue, _ detail: String) -> FieldError {
    FieldError(type: .invalid, field: field.description, badValue: value.fieldErrorText, detail: detail)
  }

  /// A value of the wrong type.
  public static func typeInvalid(_ field: FieldPath, _ value: some FieldValue, _ detail: String) -> FieldError {
    FieldError(type: .typeInvalid, field: field.description, badValue: value.fieldErrorText, detail: detail)
  }

  /// A field that must be set.
  public static func required(_ field: FieldPath, _ detail: String = "") -> FieldError {
    FieldError(type: .required, field: field.description, detail: detail)
  }

  /// A field that must not be set (so).
  public static func forbidden(_ field: FieldPath, _ detail: String) -> FieldError {
    FieldError(type: .forbidden, field: field.description, detail: detail)
  }

  /// A value that stands there twice.
  public static func duplicate(_ field: FieldPath, _ value: some FieldValue) -> FieldError {
    FieldError(type: .duplicate, field: field.description, badValue: value.fieldErrorText)
  }

  /// A value that names nothing.
  public static func notFound(_ field: FieldPath, _ value: some FieldValue) -> FieldError {
    FieldError(type: .notFound, field: field.description, badValue: value.fieldErrorText)
  }

  /// A value outside a closed list.
  public static func notSupported(_ field: FieldPath, _ value: some FieldValue, _ supported: [String]) -> FieldError {
    let list = supported.sortedByBytes().map(goQuoted).joined(separator: ", ")
    return FieldError(
      type: .notSupported, field: field.description, badValue: value.fieldErrorText,
      detail: supported.isEmpty ? "" : "supported values: " + list)
  }

  /// A text that is too long.
  public static func tooLong(_ field: FieldPath, max: Int) -> FieldError {
    FieldError(
      type: .tooLong, field: field.description,
      detail: max >= 0 ? "may not be more than \(max) byte\(max == 1 ? "" : "s")" : "value is too long")
  }

  /// A list that is too long.
  public static func tooMany(_ field: FieldPath, actual: Int, max: Int) -> FieldError {
    FieldError(
      type: .tooMany, field: field.description, badValue: actual >= 0 ? String(actual) : nil,
      detail: max >= 0 ? "must have at most \(max) item\(max == 1 ? "" : "s")" : "has too many items")
  }

  /// A fault of ours.
  public static func `internal`(_ field: FieldPath, _ detail: String) -> FieldError {
    FieldError(type: .internal, field: field.description, detail: detail)
  }
}

/// A value that an error can show.
public protocol FieldValue {
  /// Strings in Go's quotes, everything else as JSON.
  var fieldErrorText: String { get }
}

extension String: FieldValue { public var fieldErrorText: String { goQuoted(self) } }
extension Bool: FieldValue { public var fieldErrorText: String { String(self) } }
extension Int: FieldValue { public var fieldErrorText: String { String(self) } }
extension Int32: FieldValue { public var fieldErrorText: String { String(self) } }
extension Int64: FieldValue { public var fieldErrorText: String { String(self) } }
extension Double: FieldValue { public var fieldErrorText: String { goNumber(self) } }
extension JSONValue: FieldValue { public var fieldErrorText: String { jsonText(self) } }
extension Quantity: FieldValue { public var fieldErrorText: String { jsonText(self) } }
extension IntOrString: FieldValue { public var fieldErrorText: String { jsonText(self) } }
extension Time: FieldValue { public var fieldErrorText: String { jsonText(self) } }
extension Array: FieldValue where Element: JSONEncodable { public var fieldErrorText: String { jsonText(self) } }
extension Dictionary: FieldValue where Key == String, Value: JSONEncodable {
  public var fieldErrorText: String { jsonText(self) }
}
extension Optional: FieldValue where Wrapped: FieldValue {
  public var fieldErrorText: String { self?.fieldErrorText ?? "null" }
}

/// Any encodable value shown as JSON in a field error.
public struct FieldJSON: FieldValue {
  public var fieldErrorText: String
  public init(_ value: some JSONEncodable) { fieldErrorText = jsonText(value) }
}

private func jsonText(_ value: some JSONEncodable) -> String { String(decoding: value.encoded(), as: UTF8.self) }

/// Go's %q.
public func goQuoted(_ s: String) -> String {
  var out = "\""
  for scalar in s.unicodeScalars {
    switch scalar {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\r": out += "\\r"
    case "\t": out += "\\t"
    case "\u{07}": out += "\\a"
    case "\u{08}": out += "\\b"
    case "\u{0B}": out += "\\v"
    case "\u{0C}": out += "\\f"
    default:
      if scalar.value < 0x20 || scalar.value == 0x7F {
        let hex = String(scalar.value, radix: 16)
        out += "\\x" + (hex.count == 1 ? "0" : "") + hex
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
  }
  return out + "\""
}
