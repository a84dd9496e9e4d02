import NIOHPACK

/// The key-value pairs that go before or after the messages of a call. Keys are lower case and may repeat;
/// values of `-bin` keys are base64 text, as on the wire.
public struct GRPCMetadata: Sendable, Hashable, ExpressibleByDictionaryLiteral {
  struct Entry: Sendable, Hashable {
    var key: String
    var value: String
  }
  private(set) var entries: [Entry] = []

  /// Metadata with nothing in it.
  public init() {}

  public init(dictionaryLiteral elements: (String, String)...) {
    entries = elements.map { Entry(key: $0.0.lowercased(), value: $0.1) }
  }

  /// The first value of a key.
  public subscript(key: String) -> String? {
    let key = key.lowercased()
    return entries.first { $0.key == key }?.value
  }

  /// Every value of a key, in order.
  public func values(for key: String) -> [String] {
    let key = key.lowercased()
    return entries.filter { $0.key == key }.map(\.value)
  }

  /// Adds a pair; pairs already there with the same key stay.
  public mutating func add(_ key: String, _ value: String) {
    entries.append(Entry(key: key.lowercased(), value: value))
  }

  /// All pairs, in order.
  public var pairs: [(key: String, value: String)] { entries.map { ($0.key, $0.value) } }

  /// What remains of a header block when the transport's own fields are taken away.
  init(_ headers: HPACKHeaders) {
    for (name, value, _) in headers where !GRPCMetadata.isReserved(name) {
      entries.append(Entry(key: name, value: value))
    }
  }

  func add(to headers: inout HPACKHeaders) {
    for entry in entries where !GRPCMetadata.isReserved(entry.key) {
      headers.add(name: entry.key, value: entry.value)
    }
  }

  private static func isReserved(_ name: String) -> Bool {
    if name.hasPrefix(":") { return true }
    switch name {
    case "content-type", "te", "user-agent", "grpc-status", "grpc-message", "grpc-timeout", "grpc-encoding",
      "grpc-accept-encoding", "connection", "content-length":
      return true
    default: return false
    }
  }
}

/// The grpc-timeout header: at most eight digits and a unit.
enum TimeoutHeader {
  private static let units: [(suffix: Character, nanoseconds: Int64)] = [
    ("n", 1), ("u", 1000), ("m", 1_000_000), ("S", 1_000_000_000), ("M", 60_000_000_000), ("H", 3_600_000_000_000),
  ]

  static func encode(nanoseconds: Int64) -> String {
    let nanoseconds = max(nanoseconds, 0)
    for unit in units {
      // Rounded up, so that the server never gives up before the client does.
      let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: unit.nanoseconds)
      let count = quotient + (remainder > 0 ? 1 : 0)
      if count < 100_000_000 { return "\(count)\(unit.suffix)" }
    }
    return "99999999H"
  }

  static func decode(_ text: String) -> Int64? {
    guard let suffix = text.last, let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
    let digits = text.dropLast()
    guard (1...8).contains(digits.count), let count = Int64(digits), count >= 0 else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: unit.nanoseconds)
    return overflow ? Int64.max : product
  }
}

extension Duration {
  /// Whole nanoseconds, clamped to what Int64 holds.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds > 0 ? .max : .min }
    return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
  }
}
