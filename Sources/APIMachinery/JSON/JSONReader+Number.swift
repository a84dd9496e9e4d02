extension JSONReader {
  /// The next value as a 64-bit integer; fractions, exponents and overflow are errors, as in Go.
  public mutating func int64() throws -> Int64 { try integer("int64") }

  /// The next value as a 32-bit integer.
  public mutating func int32() throws -> Int32 { try integer("int32") }

  /// The next value as a floating-point number.
  public mutating func double() throws -> Double {
    guard try peek() == .number else { throw try mismatch("float64") }
    let start = position
    let (range, _) = try numberRange()
    guard let value = double(in: range), value.isFinite else { throw numberMismatch(range, "float64", start) }
    return value
  }

  private mutating func integer<T: FixedWidthInteger>(_ name: String) throws -> T {
    guard try peek() == .number else { throw try mismatch(name) }
    let start = position
    let (range, whole) = try numberRange()
    guard whole, let wide = int64(in: range), let value = T(exactly: wide) else {
      throw numberMismatch(range, name, start)
    }
    return value
  }

  private func numberMismatch(_ range: Range<Int>, _ wanted: String, _ offset: Int) -> JSONError {
    let text = String(decoding: bytes(in: range), as: UTF8.self)
    return JSONError(found: "number \(text)", wanted: wanted, offset: offset)
  }

  /// The integer in a checked number without fraction or exponent; nil if it does not fit.
  func int64(in range: Range<Int>) -> Int64? {
    var i = range.lowerBound
    let negative = base[i] == UInt8(ascii: "-")
    if negative { i += 1 }
    var value: Int64 = 0
    while i < range.upperBound {
      let digit = Int64(base[i] &- 0x30)
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      // Counted downwards when negative, so that the smallest integer fits.
      let (sum, carry) =
        negative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      if overflow || carry { return nil }
      value = sum
      i += 1
    }
    return value
  }

  func double(in range: Range<Int>) -> Double? {
    Double(String(decoding: bytes(in: range), as: UTF8.self))
  }

  /// Consumes a number; `whole` if it has neither fraction nor exponent.
  mutating func numberRange() throws -> (Range<Int>, whole: Bool) {
    let start = position
    var whole = true
    if base[position] == UInt8(ascii: "-") {
      position += 1
      guard position < count else { throw endOfInput() }
    }
    switch base[position] {
    case UInt8(ascii: "0"): position += 1
    case UInt8(ascii: "1")...UInt8(ascii: "9"): skipDigits()
    default: throw unexpected("in numeric literal")
    }
    if position < count, base[position] == UInt8(ascii: ".") {
      whole = false
      position += 1
      try digits("after decimal point in numeric literal")
    }
    if position < count, base[position] | 0x20 == UInt8(ascii: "e") {
      whole = false
      position += 1
      if position < count, base[position] == UInt8(ascii: "+") || base[position] == UInt8(ascii: "-") {
        position += 1
      }
      try digits("in exponent of numeric literal")
    }
    return (start..<position, whole)
  }

  private mutating func skipDigits() {
    while position < count, base[position] &- 0x30 < 10 { position += 1 }
  }

  private mutating func digits(_ context: String) throws {
    guard position < count else { throw endOfInput() }
    guard base[position] &- 0x30 < 10 else { throw unexpected(context) }
    skipDigits()
  }
}
