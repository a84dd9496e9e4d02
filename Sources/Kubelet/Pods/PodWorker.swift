import API
import Logging
import Synchronization

/// What a worker has others do for it.
protocol PodWork: Sendable {
  func sync(_ pod: Pod) async throws -> SyncResult
  /// Ends everything of the pod; throws while something still runs.
  func terminate(_ pod: Pod, grace: Int64?, verdict: PodVerdict?, removed: Bool) async throws
  /// Takes down volumes and cgroups and reports the final status.
  func cleanUp(_ pod: Pod, verdict: PodVerdict?, removed: Bool) async throws
  /// The pod is gone from its source and from this node.
  func ended(_ pod: Pod) async
}

/// What a sync came to.
struct SyncResult: Sendable {
  /// The pod is over.
  var terminal = false
  /// Something changed: look again at once.
  var again = false
  var failed = false
  var retryAt: ContinuousTime?
}

/// Works on one pod, one step at a time.
final class PodWorker: Sendable {
  private struct State {
    var life: PodLifecycle
    var current: Task<Void, Never>?
  }

  let uid: String
  private let state: Mutex<State>
  private let wakeUp = WakeUp()
  private let work: any PodWork
  private let resync: Duration
  private let clock: @Sendable () -> ContinuousTime
  private let logger: Logger

  init(
    pod: Pod, work: any PodWork, resync: Duration, clock: @escaping @Sendable () -> ContinuousTime, logger: Logger
  ) {
    uid = pod.metadata.uid
    state = Mutex(State(life: PodLifecycle(pod: pod, now: clock())))
    self.work = work
    self.resync = resync
    self.clock = clock
    self.logger = logger
  }

  var pod: Pod { state.withLock { $0.life.pod } }

  var phase: PodLifecycle.Phase { state.withLock { $0.life.phase } }

  func update(_ pod: Pod) { change { $0.update(pod, now: $1) } }

  func remove() { change { $0.remove(now: $1) } }

  func condemn(_ verdict: PodVerdict, grace: Int64? = nil) { change { $0.condemn(verdict, grace: grace, now: $1) } }

  func poke() {
    change {
      $0.poke(now: $1)
      return false
    }
  }

  private func change(_ body: (inout PodLifecycle, ContinuousTime) -> Bool) {
    let now = clock()
    let obsolete = state.withLock { s in body(&s.life, now) ? s.current : nil }
    obsolete?.cancel()
    wakeUp.wake()
  }

  /// Works until the pod is gone or the task is cancelled.
  func run() async {
    while !Task.isCancelled {
      let now = clock()
      let (step, life) = state.withLock { s -> (PodLifecycle.Step, PodLifecycle) in
        let step = s.life.next(now: now)
        switch step {
        case .sync, .terminate, .cleanUp: s.life.begin()
        default: break
        }
        return (step, s.life)
      }
      switch step {
      case .end:
        await work.ended(life.pod)
        return
      case .wait(let until): await wakeUp.wait(for: until.map { now.duration(to: $0) })
      default: await perform(step, life)
      }
    }
  }

  /// Runs a step as a task of its own so that an update can break it off.
  private func perform(_ step: PodLifecycle.Step, _ life: PodLifecycle) async {
    let task = Task { [self] in
      switch step {
      case .sync: await sync(life.pod)
      case .terminate(let grace):
        let success = await attempt("terminating a pod failed", life.pod) {
          try await work.terminate(life.pod, grace: grace, verdict: life.verdict, removed: life.isRemoved)
        }
        state.withLock { $0.life.killed(success, now: clock()) }
      case .cleanUp:
        let success = await attempt("cleaning up after a pod failed", life.pod) {
          try await work.cleanUp(life.pod, verdict: life.verdict, removed: life.isRemoved)
        }
        state.withLock { $0.life.cleaned(success, now: clock()) }
      default: break
      }
    }
    let obsolete = state.withLock { s -> Bool in
      s.current = task
      // What came between choosing the step and now counts too.
      return s.life.phase != life.phase || s.life.grace != life.grace
    }
    if obsolete { task.cancel() }
    await withTaskCancellationHandler {
      await task.value
    } onCancel: {
      task.cancel()
    }
    state.withLock { $0.current = nil }
  }

  private func sync(_ pod: Pod) async {
    var result = SyncResult()
    do {
      result = try await work.sync(pod)
    } catch is CancellationError {
      result.again = true
    } catch {
      result.failed = true
      if !Task.isCancelled {
        logger.warning("syncing a pod failed", metadata: ["pod": "\(pod.display)", "error": "\(describe(error))"])
      }
    }
    let jitter = Duration.milliseconds(Int64.random(in: 0..<5000))
    state.withLock {
      $0.life.synced(
        terminal: result.terminal, again: result.again, failed: result.failed, retryAt: result.retryAt,
        resync: resync + jitter, now: clock())
    }
  }

  private func attempt(_ what: String, _ pod: Pod, _ body: () async throws -> Void) async -> Bool {
    do {
      try await body()
      return true
    } catch {
      if !(error is CancellationError) {
        logger.warning("\(what)", metadata: ["pod": "\(pod.display)", "error": "\(describe(error))"])
      }
      return false
    }
  }
}
