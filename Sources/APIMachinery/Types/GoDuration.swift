/// A duration in Go's notation, "1h2m3.5s": metav1.Duration.
public struct GoDuration: Sendable, Hashable, Comparable, JSONCodable, CustomStringConvertible {
  /// The whole length.
  public var nanoseconds: Int64

  /// A duration of some nanoseconds.
  public init(nanoseconds: Int64 = 0) { self.nanoseconds = nanoseconds }

  /// A duration of whole seconds.
  public init(seconds: Int64) { nanoseconds = seconds * 1_000_000_000 }

  /// The length in seconds.
  public var seconds: Double { Double(nanoseconds) / 1e9 }

  public static func < (a: GoDuration, b: GoDuration) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Parses "300ms", "-1.5h", "2h45m"; "0" needs no unit.
  public init?(parsing text: String) {
    var rest = text.utf8[...]
    var negative = false
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      negative = sign == UInt8(ascii: "-")
      rest.removeFirst()
    }
    nanoseconds = 0
    if rest.elementsEqual("0".utf8) { return }
    if rest.isEmpty { return nil }
    var total: UInt64 = 0
    while !rest.isEmpty {
      var whole: UInt64 = 0
      var fraction: UInt64 = 0
      var scale: Double = 1
      var digits = 0
      while let byte = rest.first, byte &- 0x30 < 10 {
        let (product, overflow) = whole.multipliedReportingOverflow(by: 10)
        if overflow || product > 1 << 63 { return nil }
        whole = product + UInt64(byte - 0x30)
        digits += 1
        rest.removeFirst()
      }
      if rest.first == UInt8(ascii: ".") {
        rest.removeFirst()
        while let byte = rest.first, byte &- 0x30 < 10 {
          if fraction < 100_000_000_000_000_000 {
            fraction = fraction * 10 + UInt64(byte - 0x30)
            scale *= 10
          }
          digits += 1
          rest.removeFirst()
        }
      }
      if digits == 0 { return nil }
      let unitBytes = rest.prefix { $0 != UInt8(ascii: ".") && !($0 &- 0x30 < 10) }
      rest = rest[unitBytes.endIndex...]
      let unit: UInt64
      switch String(Substring(unitBytes)) {
      case "ns": unit = 1
      case "us", "µs", "μs": unit = 1000
      case "ms": unit = 1_000_000
      case "s": unit = 1_000_000_000
      case "m": unit = 60_000_000_000
      case "h": unit = 3_600_000_000_000
      default: return nil
      }
      let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
      if overflow || product > 1 << 63 { return nil }
      total += product + (fraction > 0 ? UInt64(Double(fraction) * (Double(unit) / scale)) : 0)
      if total > 1 << 63 { return nil }
    }
    if negative {
      nanoseconds = Int64(truncatingIfNeeded: 0 &- total)
    } else {
      guard total <= Int64.max else { return nil }
      nanoseconds = Int64(total)
    }
  }

  /// As Go prints it: "1h2m3s", "1.5s", "300ms", "0s".
  public var description: String {
    if nanoseconds == 0 { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let total = nanoseconds.magnitude
    func decimal(_ value: UInt64, _ unit: UInt64) -> String {
      let rest = value % unit
      if rest == 0 { return String(value / unit) }
      var digits = String(unit + rest).dropFirst()
      while digits.last == "0" { digits.removeLast() }
      return "\(value / unit).\(digits)"
    }
    if total < 1000 { return "\(sign)\(total)ns" }
    if total < 1_000_000 { return sign + decimal(total, 1000) + "µs" }
    if total < 1_000_000_000 { return sign + decimal(total, 1_000_000) + "ms" }
    let minutes = total / 60_000_000_000
    var out = decimal(total % 60_000_000_000, 1_000_000_000) + "s"
    if minutes > 0 {
      out = "\(minutes % 60)m" + out
      if minutes >= 60 { out = "\(minutes / 60)h" + out }
    }
    return sign + out
  }

  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    let offset = reader.offset
    let text = try reader.string()
    guard let value = GoDuration(parsing: text) else {
      throw JSONError(message: "time: invalid duration \"\(text)\"", offset: offset)
    }
    self = value
  }

  public func encode(to writer: inout JSONWriter) { writer.string(description) }
}
