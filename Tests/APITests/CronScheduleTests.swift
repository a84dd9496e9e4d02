import API
import APIMachinery
import Testing

@Suite struct CronScheduleTests {
  private func next(_ schedule: String, after: String, zone: String = "UTC", times: Int = 1) throws -> [String] {
    let parsed = try CronSchedule(parsing: schedule)
    let zone = try #require(ZoneInfo(named: zone))
    var time = try #require(Time(rfc3339: after))
    return (0..<times).map { _ in
      guard let found = parsed.next(after: time, in: zone) else { return "never" }
      time = found
      return found.description
    }
  }

  @Test(arguments: [
    ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
    ("* * * * *", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"),
    ("*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00:00Z"),
    ("30 2 * * *", "2026-01-01T03:00:00Z", "2026-01-02T02:30:00Z"),
    ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
    ("0 12 * * mon-fri", "2026-01-02T13:00:00Z", "2026-01-05T12:00:00Z"),
    ("0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
    ("@monthly", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"),
    ("@every 90s", "2026-01-01T00:00:10Z", "2026-01-01T00:01:40Z"),
    ("0 0 31 feb *", "2026-01-01T00:00:00Z", "never"),
    ("5/20 1 * * *", "2026-01-01T00:00:00Z", "2026-01-01T01:05:00Z"),
  ])
  func finds(_ schedule: String, _ after: String, _ expected: String) throws {
    #expect(try next(schedule, after: after) == [expected])
  }

  @Test func clocksAreThoseOfTheZone() throws {
    #expect(
      try next("0 9 * * *", after: "2026-06-30T00:00:00Z", zone: "America/New_York") == ["2026-06-30T13:00:00Z"])
    // On 29 March the clocks of Berlin leap from two to three: half past two does not come.
    #expect(
      try next("30 2 * * *", after: "2026-03-28T00:00:00Z", zone: "Europe/Berlin", times: 2)
        == ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"])
    // Midnight after the short day is not missed.
    #expect(
      try next("0 0 * * *", after: "2026-03-28T23:30:00Z", zone: "Europe/Berlin") == ["2026-03-29T22:00:00Z"])
    // On 25 October the hour from two to three comes twice.
    #expect(
      try next("30 * * * *", after: "2026-10-25T00:00:00Z", zone: "Europe/Berlin", times: 2)
        == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"])
    // Beyond the table of the file its rule holds.
    #expect(
      try next("0 12 1 7 *", after: "2060-01-01T00:00:00Z", zone: "Europe/Berlin") == ["2060-07-01T10:00:00Z"])
    #expect(
      try next("0 12 1 1 *", after: "2060-07-01T00:00:00Z", zone: "Australia/Sydney") == ["2061-01-01T01:00:00Z"])
    #expect(ZoneInfo(named: "Mars/Olympus") == nil)
    #expect(ZoneInfo(named: "../passwd") == nil)
  }
}
