/// A time to the second: metav1.Time. The zero time is null in JSON.
public struct Time: Sendable, Hashable, Comparable, JSONCodable, CustomStringConvertible {
  /// Seconds since 1970-01-01T00:00:00Z.
  public var seconds: Int64

  /// The zero time.
  public init() { seconds = zeroTimeSeconds }

  /// A time by its unix seconds.
  public init(seconds: Int64) { self.seconds = seconds }

  /// Parses RFC 3339; a fraction is dropped.
  public init?(rfc3339: String) {
    guard let parsed = CivilTime.parse(rfc3339) else { return nil }
    seconds = parsed.seconds
  }

  /// The system's clock; deciders take their time as an argument instead.
  public static var now: Time { Time(seconds: CivilTime.now().seconds) }

  /// Whether this is the zero time.
  public var isZero: Bool { seconds == zeroTimeSeconds }

  /// A later (or earlier) time.
  public func adding(seconds delta: Int64) -> Time { Time(seconds: seconds + delta) }

  /// Seconds from `earlier` to this.
  public func seconds(since earlier: Time) -> Int64 { seconds - earlier.seconds }

  /// The date in UTC.
  public var civilDate: (year: Int, month: Int, day: Int) {
    let civil = CivilTime(unix: seconds)
    return (civil.year, civil.month, civil.day)
  }

  /// Midnight in UTC of a date.
  public static func civil(year: Int, month: Int, day: Int) -> Time {
    Time(seconds: CivilTime.unix(year: year, month: month, day: day, hour: 0, minute: 0, second: 0))
  }

  public static func < (a: Time, b: Time) -> Bool { a.seconds < b.seconds }

  /// RFC 3339 in UTC.
  public var description: String {
    var bytes = CivilTime(unix: seconds).bytes()
    bytes.append(UInt8(ascii: "Z"))
    return String(decoding: bytes, as: UTF8.self)
  }

  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    let offset = reader.offset
    let text = try reader.string()
    guard let time = Time(rfc3339: text) else { throw timeError(text, "2006-01-02T15:04:05Z07:00", offset) }
    self = time
  }

  public func encode(to writer: inout JSONWriter) {
    if isZero { return writer.null() }
    var quoted: [UInt8] = [0x22]
    quoted += CivilTime(unix: seconds).bytes()
    quoted += [UInt8(ascii: "Z"), 0x22]
    writer.raw(quoted)
  }
}

/// A time to the microsecond: metav1.MicroTime. The zero time is null in JSON.
public struct MicroTime: Sendable, Hashable, Comparable, JSONCodable, CustomStringConvertible {
  /// Seconds since 1970-01-01T00:00:00Z.
  public var seconds: Int64
  /// The rest, below one second. JSON keeps microseconds.
  public var nanoseconds: Int32

  /// The zero time.
  public init() { self.init(seconds: zeroTimeSeconds) }

  /// A time by its unix seconds and the nanoseconds after them.
  public init(seconds: Int64, nanoseconds: Int32 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// The same instant.
  public init(_ time: Time) { self.init(seconds: time.seconds) }

  /// Parses RFC 3339.
  public init?(rfc3339: String) {
    guard let parsed = CivilTime.parse(rfc3339) else { return nil }
    self.init(seconds: parsed.seconds, nanoseconds: parsed.nanoseconds / 1000 * 1000)
  }

  /// The system's clock.
  public static var now: MicroTime {
    let now = CivilTime.now()
    return MicroTime(seconds: now.seconds, nanoseconds: now.nanoseconds / 1000 * 1000)
  }

  /// Whether this is the zero time.
  public var isZero: Bool { seconds == zeroTimeSeconds && nanoseconds == 0 }

  /// A later (or earlier) time.
  public func adding(seconds delta: Int64) -> MicroTime {
    MicroTime(seconds: seconds + delta, nanoseconds: nanoseconds)
  }

  public static func < (a: MicroTime, b: MicroTime) -> Bool {
    (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
  }

  /// RFC 3339 in UTC with six digits.
  public var description: String { String(decoding: text(), as: UTF8.self) }

  private func text() -> [UInt8] {
    var bytes = CivilTime(unix: seconds).bytes()
    bytes.append(UInt8(ascii: "."))
    var unit: Int32 = 100_000_000
    while unit >= 1000 {
      bytes.append(0x30 + UInt8(nanoseconds / unit % 10))
      unit /= 10
    }
    bytes.append(UInt8(ascii: "Z"))
    return bytes
  }

  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    let offset = reader.offset
    let text = try reader.string()
    guard let time = MicroTime(rfc3339: text) else {
      throw timeError(text, "2006-01-02T15:04:05.000000Z07:00", offset)
    }
    self = time
  }

  public func encode(to writer: inout JSONWriter) {
    if isZero { return writer.null() }
    writer.raw([0x22] + text() + [0x22])
  }
}

private func timeError(_ text: String, _ layout: String, _ offset: Int) -> JSONError {
  JSONError(message: "parsing time \"\(text)\" as \"\(layout)\": cannot parse \"\(text)\" as \"2006\"", offset: offset)
}
