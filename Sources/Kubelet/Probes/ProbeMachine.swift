import API

/// The three kinds of probe.
enum ProbeKind: String, Sendable, Hashable, CaseIterable {
  case startup = "Startup", readiness = "Readiness", liveness = "Liveness"
}

/// Counts the results of one probe of one container until they mean something. Pure.
///
/// ```
///           started, initial delay over, startup probe passed
///  waiting ─────────────────────────────────────────────────▶ probing ──threshold of equal results──▶ verdict
///     ▲                                                                                                 │
///     └──────────────── a new container, or a failed liveness or startup probe (on hold) ◀──────────────┘
/// ```
struct ProbeMachine: Sendable, Equatable {
  let kind: ProbeKind
  let spec: Probe
  private(set) var containerID = ""
  private(set) var verdict: Bool?
  private var last: Bool?
  private var run: Int32 = 0
  /// A failed container is about to be replaced; until then nothing is learned from it.
  private(set) var onHold = false

  init(kind: ProbeKind, spec: Probe) {
    self.kind = kind
    self.spec = spec
  }

  static func == (a: ProbeMachine, b: ProbeMachine) -> Bool {
    a.kind == b.kind && a.containerID == b.containerID && a.verdict == b.verdict && a.last == b.last && a.run == b.run
      && a.onHold == b.onHold
  }

  enum Step: Sendable, Equatable {
    /// Nothing to do this period.
    case skip
    case probe
    /// The container is gone: the verdict changed without a probe.
    case changed
  }

  /// What to do at a tick of the period.
  mutating func tick(container: RuntimeContainer?, startupPassed: Bool, now: ContinuousTime) -> Step {
    guard let container else { return .skip }
    if container.id != containerID {
      containerID = container.id
      verdict = kind == .readiness ? false : kind == .liveness ? true : nil
      last = nil
      run = 0
      onHold = false
    }
    if onHold { return .skip }
    guard container.state == .running else {
      if kind == .readiness, verdict == true {
        verdict = false
        return .changed
      }
      return .skip
    }
    let age = ContinuousTime(nanoseconds: container.startedAt).duration(to: now)
    if age < .seconds(Int64(spec.initialDelaySeconds)) { return .skip }
    // Only the startup probe speaks before startup is over, and it is silent afterwards.
    if startupPassed == (kind == .startup) { return .skip }
    return .probe
  }

  /// Takes a result; true when the verdict changed.
  mutating func result(_ success: Bool) -> Bool {
    if last == success { run += 1 } else { (last, run) = (success, 1) }
    let threshold = success ? max(spec.successThreshold, 1) : spec.failureThreshold == 0 ? 3 : spec.failureThreshold
    if run < threshold { return false }
    let changed = verdict != success
    verdict = success
    if !success, kind != .readiness {
      onHold = true
      run = 0
    }
    return changed
  }
}
