/// A number or a string, often a percentage: intstr.IntOrString.
public enum IntOrString: Sendable, Hashable, JSONCodable, CustomStringConvertible {
  /// A number.
  case int(Int32)
  /// A name or a percentage.
  case string(String)

  /// Zero.
  public init() { self = .int(0) }

  /// The number itself, or the percentage of `total`; nil for a string that is no percentage.
  public func scaled(total: Int, roundUp: Bool) -> Int? {
    switch self {
    case .int(let value): return Int(value)
    case .string(let text):
      guard text.utf8.last == UInt8(ascii: "%"), let percent = Int(text.dropLast()) else { return nil }
      let product = Double(percent) * Double(total) / 100
      return Int(roundUp ? product.rounded(.up) : product.rounded(.down))
    }
  }

  /// The number; a string is parsed, 0 if it is none (Go's IntValue).
  public var intValue: Int {
    switch self {
    case .int(let value): Int(value)
    case .string(let text): Int(text) ?? 0
    }
  }

  public var description: String {
    switch self {
    case .int(let value): String(value)
    case .string(let text): text
    }
  }

  public init(from reader: inout JSONReader) throws {
    switch try reader.peek() {
    case .null:
      _ = try reader.readNull()
      self = .int(0)
    case .string: self = .string(try reader.string())
    default: self = .int(try reader.int32())
    }
  }

  public func encode(to writer: inout JSONWriter) {
    switch self {
    case .int(let value): writer.int(Int64(value))
    case .string(let text): writer.string(text)
    }
  }
}

extension IntOrString: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
  public init(integerLiteral value: Int32) { self = .int(value) }
  public init(stringLiteral value: String) { self = .string(value) }
}
