internal import Glibc

/// A moment, in nanoseconds: google.protobuf.Timestamp.
public struct CELTimestamp: Sendable, Hashable, Comparable {
  public var seconds: Int64
  public var nanoseconds: Int32

  public init(seconds: Int64, nanoseconds: Int32 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  static let minSeconds: Int64 = -62_135_596_800
  static let maxSeconds: Int64 = 253_402_300_799

  var isValid: Bool { seconds >= Self.minSeconds && seconds <= Self.maxSeconds }

  public static func < (a: CELTimestamp, b: CELTimestamp) -> Bool {
    (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
  }

  func adding(nanoseconds delta: Int64) throws(CELError) -> CELTimestamp {
    var nanos = Int64(nanoseconds) + delta % 1_000_000_000
    var carry = delta / 1_000_000_000
    if nanos < 0 {
      nanos += 1_000_000_000
      carry -= 1
    } else if nanos >= 1_000_000_000 {
      nanos -= 1_000_000_000
      carry += 1
    }
    let (sum, overflow) = seconds.addingReportingOverflow(carry)
    let out = CELTimestamp(seconds: sum, nanoseconds: Int32(nanos))
    guard !overflow, out.isValid else { throw .timestampOverflow }
    return out
  }

  func nanoseconds(since other: CELTimestamp) throws(CELError) -> Int64 {
    let whole = (Int128(seconds) - Int128(other.seconds)) * 1_000_000_000
    guard let out = Int64(exactly: whole + Int128(nanoseconds - other.nanoseconds)) else { throw .durationOverflow }
    return out
  }

  /// RFC 3339 in UTC, with as many digits of the fraction as it needs.
  var text: String {
    let date = CivilDate(unix: seconds)
    var out = "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))T"
    out += "\(pad(date.hour, 2)):\(pad(date.minute, 2)):\(pad(date.second, 2))"
    if nanoseconds > 0 {
      var digits = pad(Int(nanoseconds), 9)
      while digits.last == "0" { digits.removeLast() }
      out += "." + digits
    }
    return out + "Z"
  }

  /// Parses RFC 3339.
  public init?(_ text: String) {
    let b = Array(text.utf8)
    func number(_ at: Int, _ length: Int) -> Int? {
      guard at + length <= b.count else { return nil }
      var value = 0
      for byte in b[at..<at + length] {
        guard byte.isDigit else { return nil }
        value = value * 10 + Int(byte - 0x30)
      }
      return value
    }
    guard b.count >= 20, b[4] == 0x2D, b[7] == 0x2D, b[10] | 0x20 == 0x74, b[13] == 0x3A, b[16] == 0x3A,
      let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
      let minute = number(14, 2), let second = number(17, 2), (1...12).contains(month), hour < 24, minute < 60,
      second < 60, day >= 1, day <= CivilDate.days(in: month, of: year)
    else { return nil }
    var i = 19
    var nanos = 0
    if b[i] == UInt8(ascii: ".") {
      i += 1
      let start = i
      var unit = 100_000_000
      while i < b.count, b[i].isDigit {
        nanos += Int(b[i] - 0x30) * unit
        unit /= 10
        i += 1
      }
      guard i > start, i < b.count else { return nil }
    }
    var offset = 0
    switch b[i] {
    case UInt8(ascii: "Z"), UInt8(ascii: "z"): guard i + 1 == b.count else { return nil }
    case UInt8(ascii: "+"), UInt8(ascii: "-"):
      guard i + 6 == b.count, b[i + 3] == 0x3A, let h = number(i + 1, 2), let m = number(i + 4, 2), h <= 24, m < 60
      else { return nil }
      offset = (h * 60 + m) * (b[i] == UInt8(ascii: "+") ? 60 : -60)
    default: return nil
    }
    let date = CivilDate(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    self.init(seconds: date.unix - Int64(offset), nanoseconds: Int32(nanos))
  }
}

func pad(_ value: Int, _ width: Int) -> String {
  let digits = String(value.magnitude)
  let zeros = String(repeating: "0", count: max(0, width - digits.count))
  return (value < 0 ? "-" : "") + zeros + digits
}

/// A date of the proleptic Gregorian calendar.
struct CivilDate {
  var year = 1, month = 1, day = 1, hour = 0, minute = 0, second = 0

  init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    (self.year, self.month, self.day) = (year, month, day)
    (self.hour, self.minute, self.second) = (hour, minute, second)
  }

  init(unix seconds: Int64) {
    let days = Int(seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400))
    let rest = Int(seconds) - days * 86400
    (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  var dayNumber: Int {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  var unix: Int64 { Int64(dayNumber) * 86400 + Int64(hour * 3600 + minute * 60 + second) }

  /// 0 is Sunday.
  var dayOfWeek: Int { ((dayNumber + 4) % 7 + 7) % 7 }

  /// 0 is the first of January.
  var dayOfYear: Int { dayNumber - CivilDate(year: year, month: 1, day: 1).dayNumber }

  static func days(in month: Int, of year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}

/// Offsets from UTC: "+05:30", "UTC" or a name of the time zone database.
enum TimeZones {
  static func offset(_ zone: String, at unix: Int64) throws(CELError) -> Int {
    if zone.isEmpty || zone == "UTC" || zone == "Z" { return 0 }
    let bytes = Array(zone.utf8)
    if zone.contains(":") {
      var digits = bytes[...]
      var sign = 1
      if digits.first == UInt8(ascii: "-") || digits.first == UInt8(ascii: "+") {
        sign = digits.removeFirst() == UInt8(ascii: "-") ? -1 : 1
      }
      let parts = String(decoding: digits, as: UTF8.self).split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let hours = Int(parts[0]), let minutes = Int(parts[1]), hours < 24, minutes < 60 else {
        throw CELError("unknown time zone \(zone)")
      }
      return sign * (hours * 3600 + minutes * 60)
    }
    let allowed = bytes.allSatisfy { $0.isLetter || $0.isDigit || "/_+-".utf8.contains($0) }
    guard allowed, bytes.first != UInt8(ascii: "/"), let data = read("/usr/share/zoneinfo/\(zone)"),
      let offset = offset(in: data, at: unix)
    else { throw CELError("unknown time zone \(zone)") }
    return offset
  }

  private static func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var out = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&out, 1, out.count, file)
    return count > 44 ? Array(out[..<count]) : nil
  }

  /// TZif: the second block has 64-bit times; after its end a rule for the years to come, which is read
  /// as the last transition's offset unless it names two (then by the same day of an earlier year).
  private static func offset(in data: [UInt8], at unix: Int64) -> Int? {
    func int32(_ at: Int) -> Int {
      guard at + 4 <= data.count else { return 0 }
      return Int(Int32(bitPattern: data[at..<at + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }))
    }
    func int64(_ at: Int) -> Int64 {
      guard at + 8 <= data.count else { return 0 }
      return Int64(bitPattern: data[at..<at + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
    func header(_ at: Int) -> (utc: Int, std: Int, leap: Int, times: Int, types: Int, chars: Int) {
      (int32(at + 20), int32(at + 24), int32(at + 28), int32(at + 32), int32(at + 36), int32(at + 40))
    }
    guard data[..<4].elementsEqual("TZif".utf8), data[4] >= 0x32 else { return nil }
    let first = header(0)
    let second = 44 + first.times * 5 + first.types * 6 + first.chars + first.leap * 8 + first.std + first.utc
    guard second + 44 <= data.count else { return nil }
    let h = header(second)
    let times = second + 44
    let kinds = times + h.times * 8
    let types = kinds + h.times
    let end = types + h.types * 6 + h.chars + h.leap * 12 + h.std + h.utc
    guard h.types > 0, end <= data.count else { return nil }
    var kind = 0
    var low = 0
    var high = h.times
    while low < high {
      let middle = (low + high) / 2
      if int64(times + middle * 8) <= unix { low = middle + 1 } else { high = middle }
    }
    if low == h.times {
      let rule = String(decoding: data[min(end + 1, data.count)...].prefix { $0 != 0x0A }, as: UTF8.self)
      if let offset = PosixZone(rule)?.offset(at: unix) { return offset }
    }
    if low > 0 { kind = Int(data[kinds + low - 1]) }
    return int32(types + kind * 6)
  }
}

/// "CET-1CEST,M3.5.0,M10.5.0/3": what follows the last listed transition.
private struct PosixZone {
  private struct Change {
    var month = 0, week = 0, day = 0, seconds = 7200
  }
  private var standard = 0
  private var daylight: (offset: Int, from: Change, to: Change)?

  init?(_ text: String) {
    var rest = Array(text.utf8)[...]
    func name() {
      if rest.first == UInt8(ascii: "<") {
        while let byte = rest.popFirst(), byte != UInt8(ascii: ">") {}
      } else {
        while let byte = rest.first, byte.isLetter { rest.removeFirst() }
      }
    }
    func number() -> Int {
      var value = 0
      while let byte = rest.first, byte.isDigit, value < 100_000 {
        value = value * 10 + Int(byte - 0x30)
        rest.removeFirst()
      }
      return value
    }
    func take(_ c: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(c.value) else { return false }
      rest.removeFirst()
      return true
    }
    func time() -> Int {
      let negative = take("-")
      if !negative { _ = take("+") }
      var seconds = number() * 3600
      if take(":") { seconds += number() * 60 }
      if take(":") { seconds += number() }
      return negative ? -seconds : seconds
    }
    func change() -> Change? {
      guard take(","), take("M") else { return nil }
      var out = Change()
      out.month = number()
      guard take(".") else { return nil }
      out.week = number()
      guard take(".") else { return nil }
      out.day = number()
      if take("/") { out.seconds = time() }
      return out
    }
    name()
    guard !rest.isEmpty else { return nil }
    standard = -time()
    if rest.isEmpty { return }
    name()
    let offset = rest.first == UInt8(ascii: ",") ? standard + 3600 : -time()
    guard let from = change(), let to = change() else { return nil }
    daylight = (offset, from, to)
  }

  func offset(at unix: Int64) -> Int {
    guard let daylight else { return standard }
    let year = CivilDate(unix: unix + Int64(standard)).year
    func moment(_ change: Change, _ offset: Int) -> Int64 {
      var date = CivilDate(year: year, month: change.month, day: 1)
      date.day += (change.day - date.dayOfWeek + 7) % 7 + (change.week - 1) * 7
      while date.day > CivilDate.days(in: change.month, of: year) { date.day -= 7 }
      return date.unix + Int64(change.seconds - offset)
    }
    let (from, to) = (moment(daylight.from, standard), moment(daylight.to, daylight.offset))
    let summer = from < to ? unix >= from && unix < to : unix >= from || unix < to
    return summer ? daylight.offset : standard
  }
}
