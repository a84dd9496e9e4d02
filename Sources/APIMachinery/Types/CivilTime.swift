import Glibc

/// The proleptic Gregorian calendar, in arithmetic: no library on the hot path.
struct CivilTime {
  var year = 1, month = 1, day = 1, hour = 0, minute = 0, second = 0

  init(unix seconds: Int64) {
    let days = seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400)
    let rest = Int(seconds - days * 86400)
    hour = rest / 3600
    minute = rest / 60 % 60
    second = rest % 60
    // Days since 0000-03-01, in eras of 400 years that begin in March, so that leap days come last.
    let z = Int(days) + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  static func unix(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return Int64(days) * 86400 + Int64(hour * 3600 + minute * 60 + second)
  }

  /// Parses RFC 3339; nanoseconds are cut after nine digits.
  static func parse(_ text: String) -> (seconds: Int64, nanoseconds: Int32)? {
    var text = text
    return text.withUTF8 { b -> (Int64, Int32)? in
      func number(_ at: Int, _ length: Int) -> Int? {
        guard at + length <= b.count else { return nil }
        var value = 0
        for i in at..<at + length {
          guard b[i] >= 0x30, b[i] <= 0x39 else { return nil }
          value = value * 10 + Int(b[i] - 0x30)
        }
        return value
      }
      guard b.count >= 20, b[4] == 0x2D, b[7] == 0x2D, b[10] == UInt8(ascii: "T"), b[13] == 0x3A, b[16] == 0x3A,
        let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
        let minute = number(14, 2), let second = number(17, 2),
        (1...12).contains(month), hour < 24, minute < 60, second < 60, day >= 1, day <= days(in: month, of: year)
      else { return nil }
      var i = 19
      var nanoseconds: Int32 = 0
      if b[i] == UInt8(ascii: ".") || b[i] == UInt8(ascii: ",") {
        i += 1
        var unit: Int32 = 100_000_000
        let start = i
        while i < b.count, b[i] >= 0x30, b[i] <= 0x39 {
          nanoseconds += Int32(b[i] - 0x30) * unit
          unit /= 10
          i += 1
        }
        guard i > start, i < b.count else { return nil }
      }
      var offset = 0
      switch b[i] {
      case UInt8(ascii: "Z"):
        guard i + 1 == b.count else { return nil }
      case UInt8(ascii: "+"), UInt8(ascii: "-"):
        guard i + 6 == b.count, b[i + 3] == 0x3A, let h = number(i + 1, 2), let m = number(i + 4, 2), h <= 24, m < 60
        else { return nil }
        offset = (h * 60 + m) * (b[i] == UInt8(ascii: "+") ? 60 : -60)
      default: return nil
      }
      let local = unix(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
      return (local - Int64(offset), nanoseconds)
    }
  }

  private static func days(in month: Int, of year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// "2006-01-02T15:04:05", with room for what follows.
  func bytes() -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(27)
    func put(_ value: Int, _ width: Int) {
      var unit = width == 4 ? 1000 : 10
      while unit > 0 {
        out.append(0x30 + UInt8(value / unit % 10))
        unit /= 10
      }
    }
    put(year, 4)
    out.append(0x2D)
    put(month, 2)
    out.append(0x2D)
    put(day, 2)
    out.append(UInt8(ascii: "T"))
    put(hour, 2)
    out.append(0x3A)
    put(minute, 2)
    out.append(0x3A)
    put(second, 2)
    return out
  }

  static func now() -> (seconds: Int64, nanoseconds: Int32) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return (Int64(now.tv_sec), Int32(now.tv_nsec))
  }
}

/// Go's zero time, the first second of year 1.
let zeroTimeSeconds: Int64 = -62_135_596_800
