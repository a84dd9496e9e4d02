import API

extension CronJob: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if metadata.name.utf8.count > 52 {
      errors.append(
        .invalid(FieldPath("metadata").child("name"), metadata.name, "must be no more than 52 characters"))
    }
    checkSchedule(path.child("schedule"), &errors)
    if let seconds = spec.startingDeadlineSeconds {
      checkNonnegative(seconds, path.child("startingDeadlineSeconds"), &errors)
    }
    checkTimeZone(path.child("timeZone"), &errors)
    checkRequiredOneOf(
      spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"], path.child("concurrencyPolicy"), &errors)
    let template = path.child("jobTemplate")
    checkLabels(spec.jobTemplate.metadata.labels, template.child("metadata", "labels"), &errors)
    checkJobSpec(spec.jobTemplate.spec, template.child("spec"), isTemplate: true, &errors)
    checkNonnegative(spec.successfulJobsHistoryLimit, path.child("successfulJobsHistoryLimit"), &errors)
    checkNonnegative(spec.failedJobsHistoryLimit, path.child("failedJobsHistoryLimit"), &errors)
  }

  private func checkSchedule(_ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.schedule.isEmpty {
      errors.append(.required(path))
      return
    }
    if let problem = CronSyntax.problem(spec.schedule) { errors.append(.invalid(path, spec.schedule, problem)) }
    if spec.schedule.contains("TZ") {
      errors.append(
        .invalid(path, spec.schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
    }
  }

  private func checkTimeZone(_ path: FieldPath, _ errors: inout [FieldError]) {
    guard let zone = spec.timeZone else { return }
    if zone.isEmpty {
      errors.append(.invalid(path, zone, "timeZone must be nil or non-empty string"))
    } else if zone.lowercased() == "local" {
      errors.append(
        .invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
    } else if zone.contains("..") || zone.hasPrefix("/") || zone.contains("\\") {
      errors.append(.invalid(path, zone, "unknown time zone \(zone)"))
    }
  }
}

/// The syntax of cron schedules: five fields, or a word after `@`.
enum CronSyntax {
  private static let words: Set<String> = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"]
  private static let months = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
  ]
  private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  /// What is wrong with a schedule.
  static func problem(_ schedule: String) -> String? {
    var text = Substring(schedule)
    if text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=") {
      guard let space = text.firstIndex(of: " ") else { return "provided bad location: \(text)" }
      text = text[text.index(after: space)...]
    }
    if text.hasPrefix("@") {
      if words.contains(String(text.dropFirst())) { return nil }
      if text.hasPrefix("@every ") {
        return GoDuration(parsing: String(text.dropFirst(7))) == nil
          ? "failed to parse duration \(text): time: invalid duration \(goQuoted(String(text.dropFirst(7))))" : nil
      }
      return "unrecognized descriptor: \(text)"
    }
    let fields = text.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\n" })
    if fields.count != 5 {
      let list = fields.map(String.init).joined(separator: " ")
      return "expected exactly 5 fields, found \(fields.count): [\(list)]"
    }
    let bounds: [(Int, Int, [String])] = [(0, 59, []), (0, 23, []), (1, 31, []), (1, 12, months), (0, 6, days)]
    for (field, bound) in zip(fields, bounds) {
      for part in field.split(separator: ",", omittingEmptySubsequences: true) {
        if let problem = rangeProblem(part, low: bound.0, high: bound.1, names: bound.2) { return problem }
      }
      if field.allSatisfy({ $0 == "," }) {
        return "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"
      }
    }
    return nil
  }

  private static func rangeProblem(_ text: Substring, low: Int, high: Int, names: [String]) -> String? {
    let stepParts = text.split(separator: "/", omittingEmptySubsequences: false)
    if stepParts.count > 2 { return "too many slashes: \(text)" }
    let ends = stepParts[0].split(separator: "-", omittingEmptySubsequences: false)
    if ends.count > 2 { return "too many hyphens: \(text)" }
    var start = low
    var end = high
    if !(ends.count == 1 && (ends[0] == "*" || ends[0] == "?")) {
      guard let first = number(ends[0], low: low, names: names) else { return badNumber(ends[0]) }
      start = first
      end = first
      if ends.count == 2 {
        guard let second = number(ends[1], low: low, names: names) else { return badNumber(ends[1]) }
        end = second
      } else if stepParts.count == 2 {
        end = high
      }
    }
    if stepParts.count == 2 {
      guard let step = number(stepParts[1], low: low, names: []) else { return badNumber(stepParts[1]) }
      if step == 0 { return "step of range should be a positive number: \(text)" }
    }
    if start < low { return "beginning of range (\(start)) below minimum (\(low)): \(text)" }
    if end > high { return "end of range (\(end)) above maximum (\(high)): \(text)" }
    if start > end { return "beginning of range (\(start)) beyond end of range (\(end)): \(text)" }
    return nil
  }

  private static func number(_ text: Substring, low: Int, names: [String]) -> Int? {
    if let i = names.firstIndex(of: text.lowercased()) { return i + low }
    guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return Int(text)
  }

  private static func badNumber(_ text: Substring) -> String {
    "failed to parse int from \(text): strconv.Atoi: parsing \(goQuoted(String(text))): invalid syntax"
  }
}
