import API
import APIMachinery

/// What a Job wants done: pure. A finished pod is counted in two steps, so that none is counted twice or lost: its
/// UID goes into the status first, then its finalizer goes, and only a pod without finalizer is added up.
struct JobDecision: Sendable, Equatable {
  static let finalizer = "batch.kubernetes.io/job-tracking"
  static let indexAnnotation = "batch.kubernetes.io/job-completion-index"
  static let controllerLabel = "batch.kubernetes.io/controller-uid"
  static let nameLabel = "batch.kubernetes.io/job-name"
  static let failureCountAnnotation = "batch.kubernetes.io/job-index-failure-count"
  static let ignoredCountAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count"
  private static let backoffBase: Int64 = 10
  private static let backoffLimit: Int64 = 600

  /// A pod to be created.
  struct NewPod: Sendable, Equatable {
    /// Nil for a Job whose pods are all alike.
    var index: Int?
    /// How often the index has failed before; nil where that does not matter.
    var failures: Int?
    var ignoredFailures = 0
  }

  var status = JobStatus()
  var create: [NewPod] = []
  /// Active pods of a Job that has failed: they count as failed.
  var delete: [Pod] = []
  /// Active pods that are one too many: they lose their finalizer first and count for nothing.
  var discard: [Pod] = []
  /// Pods whose UIDs the status holds: they may go.
  var release: [Pod] = []
  /// Seconds after which to look again.
  var requeue: Int64?

  /// Failed pods that keep their finalizer, and so are not counted, until another has taken their index over: they
  /// remember how often it failed.
  private var kept: [Int: Pod] = [:]
  private var failedIndexes = IndexSet("")

  static func isFinished(_ job: Job) -> Bool { finish(of: job) != nil }

  /// The condition by which a Job has ended; nil while it has not.
  static func finish(of job: Job) -> JobCondition? {
    job.status.conditions.first { ($0.type == "Complete" || $0.type == "Failed") && $0.status == "True" }
  }

  static func decide(_ job: Job, pods: [Pod], now: Time) -> JobDecision {
    var decision = JobDecision()
    decision.status = job.status
    if isFinished(job) || job.metadata.deletionTimestamp != nil {
      decision.release = pods.filter { $0.metadata.finalizers.contains(finalizer) }
      return decision
    }
    decision.count(job, pods, now)
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

  private mutating func count(_ job: Job, _ pods: [Pod], _ now: Time) {
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
    failedIndexes = IndexSet(job.status.failedIndexes ?? "")
    if indexed, let completions = job.spec.completions { done.formIntersection(0..<Int(completions)) }
    let ended = pods.filter { held.contains($0.metadata.uid) && !known.contains($0.metadata.uid) }
    for pod in ended where pod.status.phase == "Succeeded" {
      if indexed {
        // A second success of one index is none.
        guard let index = Self.index(of: pod), done.insert(index) else {
          release.append(pod)
          continue
        }
      }
      uncounted.succeeded.append(pod.metadata.uid)
    }
    let isEnding = status.conditions.isTrue("FailureTarget") || status.conditions.isTrue("SuccessCriteriaMet")
    for pod in ended where JobPolicies.isFailed(pod, job) {
      let verdict = JobPolicies.verdict(job, pod)
      if case .fail(let message) = verdict, !isEnding, !status.conditions.isTrue("FailureTarget") {
        set("FailureTarget", "True", "PodFailurePolicy", message, now)
      }
      if let limit = job.spec.backoffLimitPerIndex, let index = Self.index(of: pod) {
        if verdict == .failIndex || (verdict != .ignore && Self.failures(of: pod) >= Int(limit)) {
          _ = failedIndexes.insert(index)
        } else if !isEnding, !done.contains(index), !failedIndexes.contains(index),
          !pods.contains(where: { Self.replaces($0, pod, index) })
        {
          if kept[index].map({ Self.attempts(of: $0) < Self.attempts(of: pod) }) ?? true { kept[index] = pod }
          continue
        }
      }
      if verdict == .ignore { release.append(pod) } else { uncounted.failed.append(pod.metadata.uid) }
    }
    if indexed { status.completedIndexes = done.description }
    if job.spec.backoffLimitPerIndex != nil { status.failedIndexes = failedIndexes.description }
    status.uncountedTerminatedPods = uncounted
  }

  /// How often an index had failed before a pod came for it.
  private static func failures(of pod: Pod) -> Int {
    pod.metadata.annotations[failureCountAnnotation].flatMap { Int($0) } ?? 0
  }

  private static func ignoredFailures(of pod: Pod) -> Int {
    pod.metadata.annotations[ignoredCountAnnotation].flatMap { Int($0) } ?? 0
  }

  private static func attempts(of pod: Pod) -> Int { failures(of: pod) + ignoredFailures(of: pod) }

  private static func replaces(_ other: Pod, _ pod: Pod, _ index: Int) -> Bool {
    other.metadata.uid != pod.metadata.uid && Self.index(of: other) == index && attempts(of: other) > attempts(of: pod)
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
    if let most = job.spec.maxFailedIndexes, failedIndexes.count > Int(most) {
      set(
        "FailureTarget", "True", "MaxFailedIndexesExceeded",
        "Job has exceeded the specified maximal number of failed indexes", now)
      return
    }
    if let message = JobPolicies.success(job, IndexSet(status.completedIndexes)) {
      set("SuccessCriteriaMet", "True", "SuccessPolicy", message, now)
      return
    }
    if let completions = job.spec.completions {
      if failedIndexes.count > 0, failedIndexes.count + IndexSet(status.completedIndexes).count >= Int(completions) {
        set("FailureTarget", "True", "FailedIndexes", "Job has failed indexes", now)
      } else if succeeded >= Int(completions) {
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
      if missed != nil { delete = active } else { discard = active }
      let uncounted = status.uncountedTerminatedPods ?? UncountedTerminatedPods()
      // The verdict is given when nothing runs any more and everything is counted.
      guard active.isEmpty, terminating == 0, uncounted.succeeded.isEmpty, uncounted.failed.isEmpty, kept.isEmpty
      else { return }
      if let met {
        set("Complete", "True", met.reason, met.message, now)
        status.completionTime = now
      } else if let missed {
        set("Failed", "True", missed.reason, missed.message, now)
      }
      return
    }
    if job.spec.suspend == true {
      discard = active
      return
    }
    let parallelism = Int(job.spec.parallelism ?? 1)
    let wanted: Int
    if let completions = job.spec.completions {
      wanted = min(parallelism, max(0, Int(completions) - succeeded - failedIndexes.count))
    } else {
      wanted = succeeded > 0 ? min(active.count, parallelism) : parallelism
    }
    let unwanted = job.spec.completionMode == "Indexed" ? unwantedIndexes(job, active) : []
    if !unwanted.isEmpty || active.count > wanted {
      let unwantedIDs = Set(unwanted.map(\.metadata.uid))
      let rest = active.filter { !unwantedIDs.contains($0.metadata.uid) }
      discard = unwanted
      if rest.count > wanted {
        discard += PodRanking(now: now, related: rest).victims(of: rest, count: rest.count - wanted)
      }
      return
    }
    let replacing = JobPolicies.replacesOnlyFailed(job) ? terminating : 0
    let missing = min(500, wanted - active.count - replacing)
    guard missing > 0 else { return }
    if job.spec.completionMode == "Indexed" {
      createIndexes(job, active: active, pods: pods, missing, now)
    } else if let wait = backoff(pods, now) {
      requeue = min(requeue ?? wait, wait)
    } else {
      create = Array(repeating: NewPod(), count: missing)
    }
  }

  /// Active pods whose index is done with, or has another pod already.
  private func unwantedIndexes(_ job: Job, _ active: [Pod]) -> [Pod] {
    let done = IndexSet(status.completedIndexes)
    var taken: Set<Int> = []
    return active.sorted { $0.metadata.creationTimestamp < $1.metadata.creationTimestamp }.filter { pod in
      guard let index = Self.index(of: pod), index < Int(job.spec.completions ?? 0), !done.contains(index),
        !failedIndexes.contains(index)
      else { return true }
      return !taken.insert(index).inserted
    }
  }

  private mutating func createIndexes(_ job: Job, active: [Pod], pods: [Pod], _ missing: Int, _ now: Time) {
    var taken = IndexSet(status.completedIndexes)
    let occupying =
      JobPolicies.replacesOnlyFailed(job) ? pods.filter { !$0.isTerminal } : active
    for pod in occupying { if let index = Self.index(of: pod) { _ = taken.insert(index) } }
    let isPerIndex = job.spec.backoffLimitPerIndex != nil
    if !isPerIndex, let wait = backoff(pods, now) {
      requeue = min(requeue ?? wait, wait)
      return
    }
    for index in 0..<Int(job.spec.completions ?? 0)
    where create.count < missing && !taken.contains(index) && !failedIndexes.contains(index) {
      guard isPerIndex else {
        create.append(NewPod(index: index))
        continue
      }
      guard let last = kept[index] else {
        create.append(NewPod(index: index, failures: 0))
        continue
      }
      let delay = min(Self.backoffBase << Int64(min(Self.failures(of: last), 10)), Self.backoffLimit)
      let left = Self.finish(last).adding(seconds: delay).seconds(since: now)
      if left > 0 {
        requeue = min(requeue ?? left, left)
        continue
      }
      let isIgnored = JobPolicies.verdict(job, last) == .ignore
      create.append(
        NewPod(
          index: index, failures: Self.failures(of: last) + (isIgnored ? 0 : 1),
          ignoredFailures: Self.ignoredFailures(of: last) + (isIgnored ? 1 : 0)))
    }
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

  static func pod(_ job: Job, _ new: NewPod, random: String) -> Pod {
    var pod = PodControl.pod(from: job.spec.template, for: job)
    pod.metadata.finalizers.append(finalizer)
    if pod.spec.restartPolicy.isEmpty { pod.spec.restartPolicy = "Never" }
    guard let index = new.index else { return pod }
    if let failures = new.failures { pod.metadata.annotations[failureCountAnnotation] = String(failures) }
    if new.ignoredFailures > 0 { pod.metadata.annotations[ignoredCountAnnotation] = String(new.ignoredFailures) }
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
