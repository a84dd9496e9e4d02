public import APIMachinery

/// When a CronJob runs: five fields, a word after `@`, or `@every` and a duration; the syntax of robfig/cron, which
/// upstream uses.
public struct CronSchedule: Sendable, Hashable {
  /// What is wrong with a schedule, in the words of upstream's parser.
  public struct Problem: Error, Sendable, Hashable {
    /// The complaint.
    public var message: String
  }

  private enum Rule: Hashable {
    case every(seconds: Int64)
    case fields(minutes: UInt64, hours: UInt64, days: UInt64, months: UInt64, weekdays: UInt64, isEitherDay: Bool)
  }
  private let rule: Rule

  private static let words = [
    "yearly": "0 0 1 1 *", "annually": "0 0 1 1 *", "monthly": "0 0 1 * *", "weekly": "0 0 * * 0", "daily": "0 0 * * *",
    "midnight": "0 0 * * *", "hourly": "0 * * * *",
  ]
  private static let monthNames = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
  ]
  private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  /// Reads a schedule; a time zone before it is read over. Throws `Problem`.
  public init(parsing schedule: String) throws(Problem) {
    var text = Substring(schedule)
    if text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=") {
      guard let space = text.firstIndex(of: " ") else { throw Problem(message: "provided bad location: \(text)") }
      text = text[text.index(after: space)...]
    }
    if text.hasPrefix("@every ") {
      guard let duration = GoDuration(parsing: String(text.dropFirst(7))) else {
        throw Problem(
          message: "failed to parse duration \(text): time: invalid duration \(goQuoted(String(text.dropFirst(7))))")
      }
      rule = .every(seconds: max(1, duration.nanoseconds / 1_000_000_000))
      return
    }
    if text.hasPrefix("@") {
      guard let fields = Self.words[String(text.dropFirst())] else {
        throw Problem(message: "unrecognized descriptor: \(text)")
      }
      text = fields[...]
    }
    let fields = text.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\n" })
    if fields.count != 5 {
      let list = fields.map(String.init).joined(separator: " ")
      throw Problem(message: "expected exactly 5 fields, found \(fields.count): [\(list)]")
    }
    let minutes = try Self.field(fields[0], 0, 59)
    let hours = try Self.field(fields[1], 0, 23)
    let days = try Self.field(fields[2], 1, 31)
    let months = try Self.field(fields[3], 1, 12, Self.monthNames)
    let weekdays = try Self.field(fields[4], 0, 6, Self.dayNames)
    // Where both kinds of day are named, either will do.
    rule = .fields(
      minutes: minutes.bits, hours: hours.bits, days: days.bits, months: months.bits, weekdays: weekdays.bits,
      isEitherDay: !days.isStar && !weekdays.isStar)
  }

  private static func field(
    _ text: Substring, _ low: Int, _ high: Int, _ names: [String] = []
  ) throws(Problem) -> (bits: UInt64, isStar: Bool) {
    var bits: UInt64 = 0
    var isStar = false
    let parts = text.split(separator: ",", omittingEmptySubsequences: true)
    if parts.isEmpty { throw badNumber("") }
    for part in parts {
      let steps = part.split(separator: "/", omittingEmptySubsequences: false)
      if steps.count > 2 { throw Problem(message: "too many slashes: \(part)") }
      let ends = steps[0].split(separator: "-", omittingEmptySubsequences: false)
      if ends.count > 2 { throw Problem(message: "too many hyphens: \(part)") }
      var (start, end, step) = (low, high, 1)
      if ends.count == 1, ends[0] == "*" || ends[0] == "?" {
        isStar = isStar || steps.count == 1
      } else {
        start = try number(ends[0], low, names)
        end = ends.count == 2 ? try number(ends[1], low, names) : steps.count == 2 ? high : start
      }
      if steps.count == 2 {
        step = try number(steps[1], low, [])
        if step == 0 { throw Problem(message: "step of range should be a positive number: \(part)") }
      }
      if start < low { throw Problem(message: "beginning of range (\(start)) below minimum (\(low)): \(part)") }
      if end > high { throw Problem(message: "end of range (\(end)) above maximum (\(high)): \(part)") }
      if start > end { throw Problem(message: "beginning of range (\(start)) beyond end of range (\(end)): \(part)") }
      for value in stride(from: start, through: end, by: step) { bits |= 1 << UInt64(value) }
    }
    return (bits, isStar)
  }

  private static func number(_ text: Substring, _ low: Int, _ names: [String]) throws(Problem) -> Int {
    if let index = names.firstIndex(of: text.lowercased()) { return index + low }
    guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let value = Int(text) else {
      throw badNumber(text)
    }
    return value
  }

  private static func badNumber(_ text: Substring) -> Problem {
    Problem(
      message: "failed to parse int from \(text): strconv.Atoi: parsing \(goQuoted(String(text))): invalid syntax")
  }

  /// The first time after `time`, on the clocks of a zone; nil if there is none within five years. Times that the
  /// clocks leap over do not come; those that they repeat come twice.
  public func next(after time: Time, in zone: ZoneInfo) -> Time? {
    guard case .fields(let minutes, let hours, let days, let months, let weekdays, let isEitherDay) = rule else {
      if case .every(let seconds) = rule { return Time(seconds: time.seconds + seconds) }
      return nil
    }
    var now = time.seconds - ((time.seconds % 60) + 60) % 60 + 60
    let limit = now + 5 * 366 * 86400
    while now < limit {
      let local = zone.local(now)
      let second = local.hour * 3600 + local.minute * 60
      let byDate = days >> UInt64(local.day) & 1 == 1
      let byWeekday = weekdays >> UInt64(local.weekday) & 1 == 1
      let isDay = isEitherDay ? byDate || byWeekday : byDate && byWeekday
      if months >> UInt64(local.month) & 1 == 0 || !isDay {
        now += Int64(86400 - second)
        // A day that lost an hour to the clocks was left too far behind.
        let landed = zone.local(now)
        if landed.day != local.day { now -= Int64(landed.hour * 3600 + landed.minute * 60) }
      } else if hours >> UInt64(local.hour) & 1 == 0 {
        now += Int64(3600 - local.minute * 60)
      } else if minutes >> UInt64(local.minute) & 1 == 0 {
        now += 60
      } else {
        return Time(seconds: now)
      }
    }
    return nil
  }
}
