/// A number with a suffix, "100m", "1Gi", "5e3": resource.Quantity.
///
/// Kept as a count of 10⁻⁹, upstream's finest step. Equality and order look at the amount only.
public struct Quantity: Sendable, Hashable, Comparable, JSONCodable, CustomStringConvertible {
  /// How the amount is written.
  public enum Format: UInt8, Sendable {
    /// k, M, G …
    case decimalSI
    /// Ki, Mi, Gi …
    case binarySI
    /// e3, e6 …
    case decimalExponent
  }

  /// Why a string is no quantity, in upstream's words.
  public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    public var description: String { message }
    static let format = ParseError(
      message: "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    static let suffix = ParseError(message: "unable to parse quantity's suffix")
    static let numeric = ParseError(message: "unable to parse numeric part of quantity")
  }

  var nanos: Int128
  /// How the amount is written.
  public var format: Format

  static let one: Int128 = 1_000_000_000
  /// Upstream caps what it cannot hold at the largest 64-bit integer.
  private static let cap = Int128(Int64.max) * one

  init(nanos: Int128, format: Format) {
    self.nanos = nanos
    self.format = format
  }

  /// Zero.
  public init() { self.init(nanos: 0, format: .decimalSI) }

  /// A whole number.
  public init(_ value: Int64, format: Format = .decimalSI) {
    self.init(nanos: Int128(value) * Self.one, format: format)
  }

  /// A number of thousandths.
  public init(milli value: Int64, format: Format = .decimalSI) {
    self.init(nanos: Int128(value) * 1_000_000, format: format)
  }

  /// Parses a quantity.
  public init(parsing text: String) throws {
    var text = text
    self = try text.withUTF8 { try Self.parse($0) }
  }

  // MARK: Amounts

  /// The amount rounded up to whole numbers (away from zero), within 64 bits.
  public var value: Int64 { scaled(Self.one) }

  /// The amount in thousandths, rounded up.
  public var milliValue: Int64 { scaled(1_000_000) }

  /// The amount as a floating-point number.
  public var approximate: Double { Double(nanos) / 1e9 }

  /// Whether the amount is zero.
  public var isZero: Bool { nanos == 0 }

  /// -1, 0 or 1.
  public var sign: Int { nanos.signum() == 0 ? 0 : nanos > 0 ? 1 : -1 }

  private func scaled(_ unit: Int128) -> Int64 {
    let (quotient, rest) = nanos.quotientAndRemainder(dividingBy: unit)
    return Int64(clamping: rest == 0 ? quotient : quotient + (nanos > 0 ? 1 : -1))
  }

  public static func == (a: Quantity, b: Quantity) -> Bool { a.nanos == b.nanos }
  public static func < (a: Quantity, b: Quantity) -> Bool { a.nanos < b.nanos }
  public func hash(into hasher: inout Hasher) { hasher.combine(nanos) }

  /// The sum; zero takes the other's format, as upstream's Add does.
  public static func + (a: Quantity, b: Quantity) -> Quantity {
    Quantity(nanos: a.nanos + b.nanos, format: a.isZero ? b.format : a.format)
  }

  /// The difference.
  public static func - (a: Quantity, b: Quantity) -> Quantity {
    Quantity(nanos: a.nanos - b.nanos, format: a.isZero ? b.format : a.format)
  }

  /// A multiple.
  public static func * (a: Quantity, b: Int64) -> Quantity { Quantity(nanos: a.nanos * Int128(b), format: a.format) }

  /// The negative.
  public static prefix func - (a: Quantity) -> Quantity { Quantity(nanos: -a.nanos, format: a.format) }

  public static func += (a: inout Quantity, b: Quantity) { a = a + b }
  public static func -= (a: inout Quantity, b: Quantity) { a = a - b }

  // MARK: Text

  /// The canonical form: no precision lost, no fraction, the largest suffix.
  public var description: String {
    if nanos == 0 { return "0" }
    if format == .binarySI, !(nanos > -1024 * Self.one && nanos < 1024 * Self.one), nanos % Self.one == 0 {
      var amount = nanos / Self.one
      var power = 0
      while power < 6, amount % 1024 == 0 {
        amount /= 1024
        power += 1
      }
      return "\(amount)\(binarySuffixes[power])"
    }
    var amount = nanos
    var power = -3
    while amount % 1000 == 0, format == .decimalExponent || power < 6 {
      amount /= 1000
      power += 1
    }
    if format == .decimalExponent { return power == 0 ? "\(amount)" : "\(amount)e\(power * 3)" }
    return "\(amount)\(decimalSuffixes[power + 3])"
  }

  private static func parse(_ b: UnsafeBufferPointer<UInt8>) throws(ParseError) -> Quantity {
    var i = 0
    var negative = false
    if i < b.count, b[i] == UInt8(ascii: "-") || b[i] == UInt8(ascii: "+") {
      negative = b[i] == UInt8(ascii: "-")
      i += 1
    }
    var digits: Int128 = 0
    var places = 0
    var seen = 0
    var huge = false
    var lost = false
    func push(_ byte: UInt8, fraction: Bool) {
      // 21 significant digits are more than any step that survives rounding; whole ones count to the billionth.
      if digits < (fraction ? 100_000_000_000_000_000_000 : 10_000_000_000_000_000_000_000_000_000_000_000_000) {
        digits = digits * 10 + Int128(byte - 0x30)
        if fraction { places += 1 }
      } else if fraction {
        if byte != 0x30 { lost = true }
      } else {
        huge = true
      }
    }
    while i < b.count, b[i] &- 0x30 < 10 {
      push(b[i], fraction: false)
      seen += 1
      i += 1
    }
    if i < b.count, b[i] == UInt8(ascii: ".") {
      i += 1
      while i < b.count, b[i] &- 0x30 < 10 {
        push(b[i], fraction: true)
        seen += 1
        i += 1
      }
    }
    guard seen > 0 else { throw .format }
    var format = Format.decimalSI
    var decimal = 0
    var binary: Int128 = 1
    let suffix = String(decoding: b[i...], as: UTF8.self)
    if let power = decimalSuffixes.firstIndex(of: suffix) {
      decimal = (power - 3) * 3
    } else if !suffix.isEmpty, let power = binarySuffixes.firstIndex(of: suffix) {
      format = .binarySI
      binary = Int128(1) << (10 * power)
    } else if suffix.hasPrefix("e") || suffix.hasPrefix("E"), let exponent = Int(suffix.dropFirst()) {
      format = .decimalExponent
      decimal = exponent
    } else {
      for byte in b[i...] where !"eEinumkKMGTP+-0123456789".utf8.contains(byte) { throw .format }
      throw .suffix
    }
    if digits == 0 { return Quantity(nanos: 0, format: format) }
    // amount = digits × binary × 10^(decimal - places), wanted in 10^-9.
    var shift = decimal - places + 9
    var (amount, overflow) = digits.multipliedReportingOverflow(by: binary)
    while shift > 0, !overflow {
      (amount, overflow) = amount.multipliedReportingOverflow(by: 10)
      shift -= 1
    }
    while shift < 0 {
      let (quotient, rest) = amount.quotientAndRemainder(dividingBy: 10)
      if rest != 0 { lost = true }
      amount = quotient
      shift += 1
      if amount == 0 { break }
    }
    if lost { amount += 1 }  // what is left of a step rounds up, so that a little is never nothing
    if overflow || huge { amount = cap }
    if format == .binarySI {
      if amount > cap { amount = cap }
      if amount < one { format = .decimalSI }
    }
    return Quantity(nanos: negative ? -amount : amount, format: format)
  }

  public init(from reader: inout JSONReader) throws {
    self.init()
    switch try reader.peek() {
    case .null: _ = try reader.readNull()
    case .string:
      let offset = reader.offset
      let text = try reader.string()
      do { try self.init(parsing: text) } catch let error as ParseError {
        throw JSONError(message: error.message, offset: offset)
      }
    case .number:
      let range = try reader.skipValue()
      do {
        self = try Self.parse(reader.bytes(in: range))
      } catch { throw JSONError(message: error.message, offset: range.lowerBound) }
    default: throw try reader.mismatch("string")
    }
  }

  public func encode(to writer: inout JSONWriter) { writer.string(description) }
}

extension Quantity: ExpressibleByIntegerLiteral {
  public init(integerLiteral value: Int64) { self.init(value) }
}

private let decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
private let binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
