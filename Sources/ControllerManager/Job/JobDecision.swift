import API
import APIMachinery

/// What a Job wants done: pure. A finished pod is counted in two steps, so that none is counted twice or lost: its
/// UID goes into the status first, then its finalizer goes, and only a pod without finalizer is added up.
struct JobDecision: Sendable, Equatable {
  static let finalizer = "batch.kubernetes.io/job-tracking"
  static let indexAnnotation = "batch.kubernetes.io/job-completion-index"
  static let controllerLabel = "batch.kubernetes.io/controller-uid"
  static let nameLabel = "batch.kubernetes.io/job-name"
  private static let backoffBase: Int64 = 10
  private static let backoffLimit: Int64 = 600

  var status = JobStatus()
  /// Indexes of pods to create; nil for a Job whose pods are all alike.
  var create: [Int?] = []
  var delete: [Pod] = []
  /// Pods whose UIDs the status holds: they may go.
  var release: [Pod] = []
  /// Seconds after which to look again.
  var requeue: Int64?

  static func isFinished(_ job: Job) -> Bool {
    job.status.conditions.isTrue("Complete") || job.status.conditions.isTrue("Failed")
  }

  static func decide(_ job: Job, pods: [Pod], now: Time) -> JobDecision {
    var decision = JobDecision()
    decision.status = job.status
    if isFinished(job) || job.metadata.deletionTimestamp != nil {
      decision.release = pods.filter { $0.metadata.finalizers.contains(finalizer) }
      return decision
    }
    decision.count(job, pods)
    let active = pods.filter(\.isActive)
    decision.status.active = Int32(active.count)
    decision.status.ready = Int32(active.count(where: \.isReady))
    let terminating = pods.filter { $0.isBeingDeleted && !$0.isTerminal }
    decision.status.terminating = Int32(terminating.count)
    decision.suspendOrStart(job, now)
    decision.judge(job, active: active, all: pods, now: now)
    decision.act(job, active: active, terminating: terminating.count, pods: pods, now: now)
    return decision
  }

  // MARK: Counting

  private var succeeded: Int { Int(status.succeeded) + (status.uncountedTerminatedPods?.succeeded.count ?? 0) }
  private var failed: Int { Int(status.failed) + (status.uncountedTerminatedPods?.failed.count ?? 0) }

  private mutating func count(_ job: Job, _ pods: [Pod]) {
    let held = Set(pods.filter { $0.metadata.finalizers.contains(Self.finalizer) }.map(\.metadata.uid))
    var uncounted = job.status.uncountedTerminatedPods ?? UncountedTerminatedPods()
    status.succeeded += Int32(uncounted.succeeded.count { !held.contains($0) })
    status.failed += Int32(uncounted.failed.count { !held.contains($0) })
    uncounted.succeeded.removeAll { !held.contains($0) }
    uncounted.failed.removeAll { !held.contains($0) }
    let known = Set(uncounted.succeeded + uncounted.failed)
    release = pods.filter { known.contains($0.metadata.uid) }
    let indexed = job.spec.completionMode == "Indexed"
    var done = IndexSet(job.status.completedIndexes)
    for pod in pods where held.contains(pod.metadata.uid) && !known.contains(pod.metadata.uid) && pod.isTerminal {
      if pod.status.phase == "Succeeded" {
        if indexed {
          // A second success of one index is none.
          guard let index = Self.index(of: pod), done.insert(index) else {
            release.append(pod)
            continue
          }
        }
        uncounted.succeeded.append(pod.metadata.uid)
      } else {
        uncounted.failed.append(pod.metadata.uid)
      }
    }
    if indexed { status.completedIndexes = done.description }
    status.uncountedTerminatedPods = uncounted
  }

  static func index(of pod: Pod) -> Int? { pod.metadata.annotations[indexAnnotation].flatMap { Int($0) } }

  // MARK: Conditions

  private mutating func suspendOrStart(_ job: Job, _ now: Time) {
    let suspended = job.status.conditions.isTrue("Suspended")
    if job.spec.suspend == true {
      status.startTime = nil
      if !suspended { set("Suspended", "True", "JobSuspended", "Job suspended", now) }
    } else {
      if suspended { set("Suspended", "False", "JobResumed", "Job resumed", now) }
      if status.startTime == nil { status.startTime = now }
    }
  }

  private mutating func judge(_ job: Job, active: [Pod], all: [Pod], now: Time) {
    if status.conditions.isTrue("SuccessCriteriaMet") || status.conditions.isTrue("FailureTarget") { return }
    let limit = Int(job.spec.backoffLimit ?? 6)
    let restarts = active.reduce(0) { sum, pod in
      guard job.spec.template.spec.restartPolicy == "OnFailure" else { return sum }
      let containers = pod.status.initContainerStatuses + pod.status.containerStatuses
      return sum + containers.reduce(0) { $0 + Int($1.restartCount) }
    }
    if failed > limit || (restarts > 0 && restarts >= limit) {
      set("FailureTarget", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit", now)
    } else if let seconds = job.spec.activeDeadlineSeconds, let start = status.startTime, job.spec.suspend != true {
      let left = start.adding(seconds: seconds).seconds(since: now)
      if left <= 0 {
        set("FailureTarget", "True", "DeadlineExceeded", "Job was active longer than specified deadline", now)
      } else {
        requeue = left
      }
    }
    if status.conditions.isTrue("FailureTarget") { return }
    if let completions = job.spec.completions {
      if succeeded >= Int(completions) {
        set("SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods", now)
      }
    } else if succeeded > 0, active.isEmpty {
      set("SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods", now)
    }
  }

  private mutating func act(_ job: Job, active: [Pod], terminating: Int, pods: [Pod], now: Time) {
    let met = status.conditions.condition("SuccessCriteriaMet").flatMap { $0.status == "True" ? $0 : nil }
    let missed = status.conditions.condition("FailureTarget").flatMap { $0.status == "True" ? $0 : nil }
    if met != nil || missed != nil {
      delete = active
      let uncounted = status.uncountedTerminatedPods ?? UncountedTerminatedPods()
      // The verdict is given when nothing runs any more and everything is counted.
      guard active.isEmpty, terminating == 0, uncounted.succeeded.isEmpty, uncounted.failed.isEmpty else { return }
      if let met {
        set("Complete", "True", met.reason, met.message, now)
        status.completionTime = now
      } else if let missed {
        set("Failed", "True", missed.reason, missed.message, now)
      }
      return
    }
    if job.spec.suspend == true {
      delete = active
      return
    }
    let parallelism = Int(job.spec.parallelism ?? 1)
    let wanted: Int
    if let completions = job.spec.completions {
      wanted = min(parallelism, max(0, Int(completions) - succeeded))
    } else {
      wanted = succeeded > 0 ? min(active.count, parallelism) : parallelism
    }
    if active.count > wanted {
      delete = PodRanking(now: now, related: active).victims(of: active, count: active.count - wanted)
      return
    }
    let replacing = job.spec.podReplacementPolicy == "Failed" ? terminating : 0
    let missing = min(500, wanted - active.count - replacing)
    guard missing > 0 else { return }
    if let wait = backoff(pods, now) {
      requeue = min(requeue ?? wait, wait)
      return
    }
    guard job.spec.completionMode == "Indexed" else {
      create = Array(repeating: nil, count: missing)
      return
    }
    var taken = IndexSet(status.completedIndexes)
    for pod in active { if let index = Self.index(of: pod) { _ = taken.insert(index) } }
    create = (0..<Int(job.spec.completions ?? 0)).lazy.filter { !taken.contains($0) }.prefix(missing).map { $0 }
  }

  /// Seconds until the next try after failures: ten, doubled with each failure since the last success.
  private func backoff(_ pods: [Pod], _ now: Time) -> Int64? {
    let ends = pods.filter(\.isTerminal).map { (pod: $0, time: Self.finish($0)) }.sorted { $0.time > $1.time }
    let streak = ends.prefix { $0.pod.status.phase == "Failed" }
    guard let last = streak.first, !last.time.isZero else { return nil }
    let delay = min(Self.backoffBase << Int64(min(streak.count - 1, 10)), Self.backoffLimit)
    let left = last.time.adding(seconds: delay).seconds(since: now)
    return left > 0 ? left : nil
  }

  private static func finish(_ pod: Pod) -> Time {
    pod.status.containerStatuses.compactMap { $0.state.terminated?.finishedAt }.max()
      ?? pod.status.conditions.condition("Ready")?.lastTransitionTime ?? pod.metadata.creationTimestamp
  }

  private mutating func set(_ type: String, _ value: String, _ reason: String, _ message: String, _ now: Time) {
    status.conditions.set(
      JobCondition {
        $0.type = type
        $0.status = value
        $0.reason = reason
        $0.message = message
        $0.lastProbeTime = now
      }, now: now)
  }

  // MARK: Pods

  static func pod(_ job: Job, index: Int?, random: String) -> Pod {
    var pod = PodControl.pod(from: job.spec.template, for: job)
    pod.metadata.finalizers.append(finalizer)
    if pod.spec.restartPolicy.isEmpty { pod.spec.restartPolicy = "Never" }
    guard let index else { return pod }
    pod.metadata.generateName = ""
    pod.metadata.name = "\(job.metadata.name)-\(index)-\(random)"
    pod.metadata.annotations[indexAnnotation] = String(index)
    pod.metadata.labels[indexAnnotation] = String(index)
    pod.spec.hostname = "\(job.metadata.name)-\(index)"
    let variable = EnvVar {
      $0.name = "JOB_COMPLETION_INDEX"
      $0.value = String(index)
    }
    for container in pod.spec.containers.indices { pod.spec.containers[container].env.append(variable) }
    for container in pod.spec.initContainers.indices { pod.spec.initContainers[container].env.append(variable) }
    return pod
  }
}

/// Whole numbers as a Job's status writes them: `0,2-5,7`.
struct IndexSet: CustomStringConvertible {
  private var members: Set<Int> = []

  init(_ text: String) {
    for part in text.split(separator: ",") {
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last else { continue }
      members.formUnion(first...last)
    }
  }

  mutating func insert(_ index: Int) -> Bool { members.insert(index).inserted }
  func contains(_ index: Int) -> Bool { members.contains(index) }

  var description: String {
    var parts: [String] = []
    var run: ClosedRange<Int>?
    func text(_ run: ClosedRange<Int>) -> String {
      switch run.count {
      case 1: "\(run.lowerBound)"
      case 2: "\(run.lowerBound),\(run.upperBound)"
      default: "\(run.lowerBound)-\(run.upperBound)"
      }
    }
    for member in members.sorted() {
      if let open = run, open.upperBound + 1 == member {
        run = open.lowerBound...member
      } else {
        if let run { parts.append(text(run)) }
        run = member...member
      }
    }
    if let run { parts.append(text(run)) }
    return parts.joined(separator: ",")
  }
}
