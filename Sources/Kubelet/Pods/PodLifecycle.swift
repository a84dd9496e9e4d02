import API

/// Why the kubelet itself ends a pod.
struct PodVerdict: Sendable, Equatable {
  var reason: String
  var message: String
}

/// The life of one pod on this node. Pure: events go in, the next step comes out.
///
/// ```
///            deleted, failed, finished, evicted             nothing runs             cleaned up
///  syncing ───────────────────────────────────▶ terminating ────────────▶ terminated ──────────▶ finished
///     ▲  │ due: something happened, a timer            ▲  │
///     └──┘                                             └──┘ retry, or a shorter grace
/// ```
/// The API object may outlive `finished` (a Job's pod) until somebody deletes it.
struct PodLifecycle: Sendable {
  enum Phase: Sendable, Equatable { case syncing, terminating, terminated, finished }

  enum Step: Sendable, Equatable {
    case sync
    case terminate(grace: Int64?)
    case cleanUp
    /// Nothing before that moment (nil: before something happens).
    case wait(until: ContinuousTime?)
    /// The pod is through and gone: the worker ends.
    case end
  }

  private(set) var pod: Pod
  private(set) var phase = Phase.syncing
  /// Nobody knows the pod any more: there is no status to report to.
  private(set) var isRemoved = false
  private(set) var verdict: PodVerdict?
  private(set) var grace: Int64?
  private var due: ContinuousTime?
  private var failures = 0

  init(pod: Pod, now: ContinuousTime) {
    self.pod = pod
    due = now
    judge(now)
  }

  /// A new version of the pod. True when work under way shall be broken off because it is no longer wanted.
  mutating func update(_ new: Pod, now: ContinuousTime) -> Bool {
    let before = (phase, grace)
    pod = new
    due = now
    judge(now)
    if before.0 == .syncing, phase == .terminating { return true }
    if phase == .terminating, let old = before.1, let new = grace { return new < old }
    return phase == .terminating && before.1 == nil && grace != nil
  }

  /// The pod vanished from its source.
  mutating func remove(now: ContinuousTime) -> Bool {
    isRemoved = true
    due = now
    guard phase == .syncing else { return false }
    phase = .terminating
    if grace == nil, pod.metadata.deletionTimestamp != nil { grace = pod.metadata.deletionGracePeriodSeconds }
    return true
  }

  /// The kubelet decided to end the pod.
  mutating func condemn(_ verdict: PodVerdict, grace: Int64? = nil, now: ContinuousTime) -> Bool {
    guard phase == .syncing else { return false }
    self.verdict = verdict
    self.grace = grace
    phase = .terminating
    due = now
    return true
  }

  private mutating func judge(_ now: ContinuousTime) {
    if pod.metadata.deletionTimestamp != nil {
      if let asked = pod.metadata.deletionGracePeriodSeconds { grace = grace.map { min($0, asked) } ?? asked }
      if phase == .syncing { phase = .terminating }
    } else if phase == .syncing, pod.status.phase == "Failed" || pod.status.phase == "Succeeded" {
      phase = .terminating
    }
  }

  /// Something happened to the pod's containers, or a probe's verdict changed.
  mutating func poke(now: ContinuousTime) { if phase == .syncing || phase == .terminating { due = now } }

  /// What to do now.
  func next(now: ContinuousTime) -> Step {
    if phase == .finished { return isRemoved ? .end : .wait(until: nil) }
    if let due, due > now { return .wait(until: due) }
    guard due != nil else { return .wait(until: nil) }
    switch phase {
    case .syncing: return .sync
    case .terminating: return .terminate(grace: grace)
    case .terminated: return .cleanUp
    case .finished: return .wait(until: nil)
    }
  }

  /// A step begins: what happens from now on makes the next one due.
  mutating func begin() { due = nil }

  /// A sync ended. `again` asks for another at once.
  mutating func synced(
    terminal: Bool, again: Bool, failed: Bool, retryAt: ContinuousTime?, resync: Duration, now: ContinuousTime
  ) {
    guard phase == .syncing else { return }
    if terminal {
      phase = .terminating
      due = now
      return
    }
    failures = failed ? failures + 1 : 0
    var next = now + resync
    if failed { next = min(next, now + retryDelay) }
    if let retryAt { next = min(next, max(retryAt, now)) }
    if again { next = now }
    due = min(due ?? next, next)
  }

  /// Killing ended; when something still runs it is tried again.
  mutating func killed(_ success: Bool, now: ContinuousTime) {
    guard phase == .terminating else { return }
    if success {
      phase = .terminated
      failures = 0
      due = now
    } else {
      failures += 1
      due = min(due ?? .init(nanoseconds: .max), now + retryDelay)
    }
  }

  /// Volumes and cgroups are gone, or not.
  mutating func cleaned(_ success: Bool, now: ContinuousTime) {
    guard phase == .terminated else { return }
    if success {
      phase = .finished
      due = nil
    } else {
      failures += 1
      due = now + retryDelay
    }
  }

  /// A second, doubling up to ten.
  private var retryDelay: Duration { min(.seconds(1 << min(failures, 4)) / 2, .seconds(10)) }
}
