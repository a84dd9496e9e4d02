import API
import Synchronization

/// The workers of all pods on this node.
final class PodWorkers: Sendable {
  private struct State {
    var workers: [String: PodWorker] = [:]
    /// Pods that were refused: they keep their failure and get no worker.
    var refused: Set<String> = []
  }

  private let state = Mutex(State())
  private let jobs: AsyncStream<PodWorker>
  private let start: AsyncStream<PodWorker>.Continuation
  private let make: @Sendable (Pod) -> PodWorker

  init(make: @escaping @Sendable (Pod) -> PodWorker) {
    self.make = make
    (jobs, start) = AsyncStream.makeStream()
  }

  /// Runs workers until cancelled. Pods keep running.
  func run() async {
    await withDiscardingTaskGroup { group in
      for await worker in jobs {
        group.addTask { [self] in
          await worker.run()
          if !Task.isCancelled { remove(worker) }
        }
      }
      group.cancelAll()
    }
  }

  private func remove(_ worker: PodWorker) {
    state.withLock { s in
      if s.workers[worker.uid] === worker { s.workers[worker.uid] = nil }
    }
  }

  /// Hands a pod to its worker, making one if it has none. `admit` is asked before; a refusal keeps it out.
  func set(_ pod: Pod, admit: (_ others: [Pod]) -> Bool) {
    let uid = pod.metadata.uid
    let (known, others) = state.withLock { s -> (PodWorker?, [Pod]?) in
      if let worker = s.workers[uid] { return (worker, nil) }
      if s.refused.contains(uid) { return (nil, nil) }
      return (nil, s.workers.values.filter { $0.phase == .syncing }.map(\.pod))
    }
    if let known { return known.update(pod) }
    guard let others else { return }
    guard admit(others) else {
      state.withLock { _ = $0.refused.insert(uid) }
      return
    }
    let worker = make(pod)
    state.withLock { $0.workers[uid] = worker }
    start.yield(worker)
  }

  /// The pod is gone from its source.
  func remove(uid: String) {
    state.withLock { s -> PodWorker? in
      s.refused.remove(uid)
      return s.workers[uid]
    }?.remove()
  }

  func poke(uid: String) { worker(uid)?.poke() }

  func condemn(uid: String, _ verdict: PodVerdict) { worker(uid)?.condemn(verdict) }

  func worker(_ uid: String) -> PodWorker? { state.withLock { $0.workers[uid] } }

  func isRefused(_ uid: String) -> Bool { state.withLock { $0.refused.contains(uid) } }

  /// The pods that have a worker.
  var pods: [Pod] { state.withLock { s in s.workers.values.map(\.pod) } }

  var uids: Set<String> { state.withLock { Set($0.workers.keys) } }
}
