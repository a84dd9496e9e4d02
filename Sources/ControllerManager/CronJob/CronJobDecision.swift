import API
import APIMachinery

/// What a CronJob wants done: pure.
struct CronJobDecision: Sendable {
  static let timestampAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp"

  struct Event: Sendable, Equatable {
    var type = "Normal"
    var reason: String
    var message: String
  }

  var status: CronJobStatus
  /// Jobs that finished too long ago.
  var expired: [Job] = []
  /// Running Jobs that make way for the next one.
  var replaced: [Job] = []
  /// When the Job to be made now was due.
  var start: Time?
  var events: [Event] = []
  /// Seconds after which to look again.
  var requeue: Int64?

  static func decide(_ cronJob: CronJob, jobs: [Job], now: Time) -> CronJobDecision {
    var decision = CronJobDecision(status: cronJob.status)
    decision.review(cronJob, jobs)
    decision.expire(cronJob, jobs)
    guard cronJob.metadata.deletionTimestamp == nil else { return decision }
    var zone: ZoneInfo?
    if let name = cronJob.spec.timeZone {
      zone = ZoneInfo(named: name)
      if zone == nil {
        decision.warn("UnknownTimeZone", "invalid timeZone: \(goQuoted(name)): unknown time zone \(name)")
        return decision
      }
    }
    if cronJob.spec.suspend == true { return decision }
    do throws(CronSchedule.Problem) {
      let schedule = try CronSchedule(parsing: cronJob.spec.schedule)
      decision.schedule(cronJob, jobs, schedule, zone ?? .utc, now)
    } catch {
      decision.warn(
        "UnparseableSchedule", "unparseable schedule: \(goQuoted(cronJob.spec.schedule)) : \(error.message)")
    }
    return decision
  }

  private mutating func warn(_ reason: String, _ message: String) {
    events.append(Event(type: "Warning", reason: reason, message: message))
  }

  private mutating func tell(_ reason: String, _ message: String) {
    events.append(Event(reason: reason, message: message))
  }

  // MARK: Jobs that are there

  /// Brings the list of running Jobs up to date.
  private mutating func review(_ cronJob: CronJob, _ jobs: [Job]) {
    for job in jobs {
      let end = JobDecision.finish(of: job)
      let isListed = status.active.contains { $0.uid == job.metadata.uid }
      if let end, isListed {
        status.active.removeAll { $0.uid == job.metadata.uid }
        tell("SawCompletedJob", "Saw completed job: \(job.metadata.name), condition: \(end.type)")
      } else if end == nil, !isListed, job.metadata.deletionTimestamp == nil {
        warn("UnexpectedJob", "Saw a job that the controller did not create or forgot: \(job.metadata.name)")
      }
      if end?.type == "Complete", let time = job.status.completionTime, time > status.lastSuccessfulTime ?? Time() {
        status.lastSuccessfulTime = time
      }
    }
    let known = Set(jobs.map(\.metadata.uid))
    for reference in status.active where !known.contains(reference.uid) {
      tell("MissingJob", "Active job went missing: \(reference.name)")
    }
    status.active.removeAll { !known.contains($0.uid) }
  }

  private mutating func expire(_ cronJob: CronJob, _ jobs: [Job]) {
    func old(_ type: String, _ limit: Int32?) -> [Job] {
      guard let limit else { return [] }
      let finished = jobs.filter { JobDecision.finish(of: $0)?.type == type && $0.metadata.deletionTimestamp == nil }
      let ordered = finished.sorted { a, b in
        let (left, right) = (
          a.status.startTime ?? a.metadata.creationTimestamp, b.status.startTime ?? b.metadata.creationTimestamp
        )
        return left == right ? a.metadata.name < b.metadata.name : left < right
      }
      return Array(ordered.dropLast(Int(max(0, limit))))
    }
    expired =
      old("Complete", cronJob.spec.successfulJobsHistoryLimit) + old("Failed", cronJob.spec.failedJobsHistoryLimit)
  }

  // MARK: The next Job

  private mutating func schedule(
    _ cronJob: CronJob, _ jobs: [Job], _ schedule: CronSchedule, _ zone: ZoneInfo, _ now: Time
  ) {
    if let next = schedule.next(after: now, in: zone) { requeue = max(1, next.seconds(since: now)) }
    guard let due = mostRecent(cronJob, schedule, zone, now) else { return }
    if let deadline = cronJob.spec.startingDeadlineSeconds, due.adding(seconds: deadline) < now {
      warn("MissSchedule", "Missed scheduled time to start a job: \(due)")
      return
    }
    let name = Self.jobName(cronJob, due)
    if status.active.contains(where: { $0.name == name }) || status.lastScheduleTime == due { return }
    switch cronJob.spec.concurrencyPolicy {
    case "Forbid" where !status.active.isEmpty:
      tell(
        "JobAlreadyActive",
        "Not starting job because prior execution is running and concurrency policy is Forbid")
      return
    case "Replace":
      let running = Set(status.active.map(\.uid))
      replaced = jobs.filter { running.contains($0.metadata.uid) }
    default: break
    }
    start = due
  }

  /// The last time that the schedule named since the last Job, or since the CronJob was made, as far back as its
  /// deadline lets it look.
  private mutating func mostRecent(
    _ cronJob: CronJob, _ schedule: CronSchedule, _ zone: ZoneInfo, _ now: Time
  ) -> Time? {
    var earliest = cronJob.status.lastScheduleTime ?? cronJob.metadata.creationTimestamp
    if let deadline = cronJob.spec.startingDeadlineSeconds { earliest = max(earliest, now.adding(seconds: -deadline)) }
    guard let first = schedule.next(after: earliest, in: zone), first <= now else { return nil }
    var found = first
    var missed = 0
    // Far back, it is enough to look from shortly before now, at the schedule's own pace.
    if let second = schedule.next(after: first, in: zone) {
      let gap = max(1, second.seconds(since: first))
      let skipped = now.seconds(since: first) / gap
      if skipped > 100 {
        missed = Int(clamping: skipped)
        let near = schedule.next(after: now.adding(seconds: -2 * gap), in: zone)
        if let near, near <= now, near > found { found = near }
      }
    }
    while let next = schedule.next(after: found, in: zone), next <= now {
      found = next
      missed += 1
      if missed > 200_000 { break }
    }
    if missed > 100 {
      warn(
        "TooManyMissedTimes",
        "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
    }
    return found
  }

  static func jobName(_ cronJob: CronJob, _ due: Time) -> String { "\(cronJob.metadata.name)-\(due.seconds / 60)" }

  static func job(_ cronJob: CronJob, _ due: Time) -> Job {
    let template = cronJob.spec.jobTemplate
    return Job { job in
      job.metadata.name = jobName(cronJob, due)
      job.metadata.namespace = cronJob.metadata.namespace
      job.metadata.labels = template.metadata.labels
      job.metadata.annotations = template.metadata.annotations
      job.metadata.annotations[timestampAnnotation] =
        ZoneInfo(named: cronJob.spec.timeZone ?? "")?.rfc3339(due) ?? due.description
      job.metadata.creationTimestamp = due
      job.metadata.ownerReferences = [.controller(of: cronJob)]
      job.spec = template.spec
    }
  }
}
