public import APIMachinery

#if canImport(Glibc)
  import Glibc
#endif

/// A time zone of the machine's database (RFC 8536), read once.
public struct ZoneInfo: Sendable, Hashable {
  /// A moment on the clocks of a zone; `weekday` counts from Sunday.
  public struct Local: Sendable, Hashable {
    public var year: Int
    public var month: Int
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int
    public var weekday: Int
  }

  /// The name asked for.
  public let name: String
  private var transitions: [Int64] = []
  private var offsets: [Int32] = []
  private var first: Int32 = 0
  /// What holds after the last transition of the file.
  private var rule: Rule?

  /// Coordinated Universal Time.
  public static let utc = ZoneInfo(utc: "UTC")

  private init(utc name: String) { self.name = name }

  /// Reads a zone; nil if the machine does not know it.
  public init?(named name: String) {
    if name.isEmpty || name == "UTC" || name == "Etc/UTC" {
      self = ZoneInfo(utc: name)
      return
    }
    guard !name.hasPrefix("/"), !name.contains(".."), !name.contains("\\") else { return nil }
    let bytes = ["/usr/share/zoneinfo/", "/usr/lib/zoneinfo/", "/usr/share/lib/zoneinfo/"].lazy
      .compactMap { Self.read($0 + name) }.first
    guard let bytes else { return nil }
    self.init(name, bytes)
  }

  private static func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { break }
      bytes += buffer[..<count]
      if bytes.count > 1 << 20 { return nil }
    }
    return bytes
  }

  /// Reads the file's 64-bit part.
  init?(_ name: String, _ bytes: [UInt8]) {
    self.name = name
    func integer(_ at: Int, _ size: Int) -> Int64? {
      guard at >= 0, at + size <= bytes.count else { return nil }
      var value: UInt64 = 0
      for byte in bytes[at..<at + size] { value = value << 8 | UInt64(byte) }
      return size == 4 ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value)
    }
    func header(_ at: Int) -> (version: UInt8, counts: [Int])? {
      guard at + 44 <= bytes.count, bytes[at..<at + 4].elementsEqual("TZif".utf8) else { return nil }
      return (bytes[at + 4], (0..<6).map { Int(integer(at + 20 + $0 * 4, 4) ?? 0) })
    }
    guard let old = header(0) else { return nil }
    // isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt
    func size(_ counts: [Int], _ width: Int) -> Int {
      counts[3] * (width + 1) + counts[4] * 6 + counts[5] + counts[2] * (width + 4) + counts[1] + counts[0]
    }
    var (at, width, counts) = (44, 4, old.counts)
    if old.version >= UInt8(ascii: "2") {
      let second = 44 + size(old.counts, 4)
      guard let new = header(second) else { return nil }
      (at, width, counts) = (second + 44, 8, new.counts)
    }
    let (times, types) = (counts[3], counts[4])
    let infos = at + times * (width + 1)
    guard types > 0, infos + types * 6 <= bytes.count else { return nil }
    func offset(_ type: Int) -> Int32 { Int32(truncatingIfNeeded: integer(infos + type * 6, 4) ?? 0) }
    first = offset(0)
    for index in 0..<times {
      let type = Int(bytes[at + times * width + index])
      guard let time = integer(at + index * width, width), type < types else { return nil }
      transitions.append(time)
      offsets.append(offset(type))
    }
    if width == 8 {
      let footer = bytes[min(bytes.count, at + size(counts, 8))...].drop { $0 == 10 }.prefix { $0 != 10 }
      rule = Rule(String(decoding: footer, as: UTF8.self))
    }
  }

  /// Seconds east of Greenwich at a moment.
  public func offset(at seconds: Int64) -> Int64 {
    guard let last = transitions.last else { return Int64(rule?.offset(at: seconds) ?? first) }
    if seconds >= last, let rule { return Int64(rule.offset(at: seconds)) }
    var (low, high) = (0, transitions.count)
    while low < high {
      let middle = (low + high) / 2
      if transitions[middle] <= seconds { low = middle + 1 } else { high = middle }
    }
    return Int64(low == 0 ? first : offsets[low - 1])
  }

  /// What the clocks show at a moment.
  public func local(_ seconds: Int64) -> Local {
    let shifted = seconds + offset(at: seconds)
    let (date, days) = Self.date(shifted)
    let rest = Int(shifted - days * 86400)
    return Local(
      year: date.year, month: date.month, day: date.day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60,
      weekday: Int(((days + 4) % 7 + 7) % 7))
  }

  /// A moment as RFC 3339 with the zone's offset.
  public func rfc3339(_ time: Time) -> String {
    let local = local(time.seconds)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let offset = Int(offset(at: time.seconds))
    let zone = offset == 0 ? "Z" : "\(offset < 0 ? "-" : "+")\(two(abs(offset) / 3600)):\(two(abs(offset) / 60 % 60))"
    return "\(local.year)-\(two(local.month))-\(two(local.day))T\(two(local.hour)):\(two(local.minute)):"
      + two(local.second) + zone
  }

  fileprivate static func date(_ seconds: Int64) -> (date: (year: Int, month: Int, day: Int), days: Int64) {
    let time = Time(seconds: seconds).civilDate
    let days = seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400)
    return (time, days)
  }
}

/// The rule in a zone file's footer, in POSIX notation: `CET-1CEST,M3.5.0,M10.5.0/3`.
private struct Rule: Sendable, Hashable {
  private struct Moment: Hashable {
    var month = 0, week = 0, weekday = 0
    /// Seconds after midnight of local time.
    var time: Int32 = 7200
  }
  private var standard: Int32 = 0
  private var summer: Int32?
  private var start = Moment()
  private var end = Moment()

  init?(_ text: String) {
    var rest = Substring(text)
    guard Self.skipName(&rest), let west = Self.clock(&rest) else { return nil }
    standard = -west
    if rest.isEmpty { return }
    guard Self.skipName(&rest) else { return nil }
    summer = standard + 3600
    if let first = rest.first, first != "," {
      guard let west = Self.clock(&rest) else { return nil }
      summer = -west
    }
    let parts = rest.dropFirst().split(separator: ",")
    guard parts.count == 2, let start = Self.moment(parts[0]), let end = Self.moment(parts[1]) else { return nil }
    self.start = start
    self.end = end
  }

  private static func skipName(_ text: inout Substring) -> Bool {
    if text.first == "<" {
      guard let close = text.firstIndex(of: ">") else { return false }
      text = text[text.index(after: close)...]
      return true
    }
    let name = text.prefix { $0.isLetter }
    text = text[name.endIndex...]
    return !name.isEmpty
  }

  /// `[+-]h[:m[:s]]` as seconds.
  private static func clock(_ text: inout Substring) -> Int32? {
    let part = text.prefix { $0.isNumber || $0 == "+" || $0 == "-" || $0 == ":" }
    text = text[part.endIndex...]
    let sign: Int32 = part.hasPrefix("-") ? -1 : 1
    let numbers = part.drop { $0 == "+" || $0 == "-" }.split(separator: ":").compactMap { Int32($0) }
    guard let hours = numbers.first else { return nil }
    return sign * (hours * 3600 + (numbers.count > 1 ? numbers[1] * 60 : 0) + (numbers.count > 2 ? numbers[2] : 0))
  }

  private static func moment(_ text: Substring) -> Moment? {
    let sides = text.split(separator: "/", maxSplits: 1)
    guard let day = sides.first, day.first == "M" else { return nil }
    let numbers = day.dropFirst().split(separator: ".").compactMap { Int($0) }
    guard numbers.count == 3 else { return nil }
    var moment = Moment(month: numbers[0], week: numbers[1], weekday: numbers[2])
    if sides.count > 1 {
      var time = sides[1]
      guard let seconds = clock(&time) else { return nil }
      moment.time = seconds
    }
    return moment
  }

  func offset(at seconds: Int64) -> Int32 {
    guard let summer else { return standard }
    let year = ZoneInfo.date(seconds + Int64(standard)).date.year
    let begin = Self.seconds(start, year) - Int64(standard)
    let finish = Self.seconds(end, year) - Int64(summer)
    let isSummer = begin < finish ? seconds >= begin && seconds < finish : seconds >= begin || seconds < finish
    return isSummer ? summer : standard
  }

  private static func seconds(_ moment: Moment, _ year: Int) -> Int64 {
    let firstOfMonth = Time.civil(year: year, month: moment.month, day: 1).seconds
    let weekday = Int(((firstOfMonth / 86400 + 4) % 7 + 7) % 7)
    var day = (moment.weekday - weekday + 7) % 7 + (moment.week - 1) * 7
    let next = moment.month == 12 ? (year + 1, 1) : (year, moment.month + 1)
    let length = Int((Time.civil(year: next.0, month: next.1, day: 1).seconds - firstOfMonth) / 86400)
    while day >= length { day -= 7 }
    return firstOfMonth + Int64(day) * 86400 + Int64(moment.time)
  }
}
