import Synchronization

/// A queue of things to look at again, with client-go's promises: an item queued twice is handed out once, never
/// to two workers at a time, and again if it was added while being worked on; failures come back later and later.
public final class WorkQueue<Item: Hashable & Sendable>: Sendable {
  private struct State: Sendable {
    var items: WorkQueueState<Item>
    var waiters: [(id: Int, continuation: CheckedContinuation<Item?, Never>)] = []
    var nextWaiter = 0
    var timer: Task<Void, Never>?
    var timerDue: ContinuousClock.Instant?
  }

  /// The queue's name in metrics and logs.
  public let name: String
  private let state: Mutex<State>

  /// Makes a queue whose failures wait `baseDelay`, doubled each time, up to `maxDelay`.
  public init(_ name: String, baseDelay: Duration = .milliseconds(5), maxDelay: Duration = .seconds(1000)) {
    self.name = name
    state = Mutex(State(items: WorkQueueState(baseDelay: baseDelay, maxDelay: maxDelay)))
  }

  /// The same with its label.
  public convenience init(name: String, baseDelay: Duration = .milliseconds(5), maxDelay: Duration = .seconds(1000)) {
    self.init(name, baseDelay: baseDelay, maxDelay: maxDelay)
  }

  deinit { state.withLock { $0.timer }?.cancel() }

  /// Queues an item.
  public func add(_ item: Item) {
    change { $0.add(item) }
  }

  /// Queues an item after a while.
  public func add(_ item: Item, after delay: Duration) {
    if delay <= .zero { return add(item) }
    let due = ContinuousClock.now + delay
    change { $0.add(item, at: due) }
  }

  /// Queues an item that failed, after its back-off.
  public func addRateLimited(_ item: Item) {
    let delay = state.withLock { $0.items.nextDelay(item) }
    add(item, after: delay)
  }

  /// Forgets an item's failures.
  public func forget(_ item: Item) { state.withLock { $0.items.forget(item) } }

  /// How often an item failed since it was last forgotten.
  public func numRequeues(_ item: Item) -> Int { state.withLock { $0.items.numRequeues(item) } }

  /// Says that a worker has finished with an item.
  public func done(_ item: Item) {
    change { $0.done(item) }
  }

  /// How many items wait, delayed ones not counted.
  public var count: Int { state.withLock { $0.items.count } }

  /// Whether nothing waits and nothing is being worked on; delayed items do not count.
  public var isIdle: Bool { state.withLock { $0.items.isIdle } }

  /// The next item; nil once the queue is shut down and empty, or the task is cancelled.
  public func get() async -> Item? {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Item?? = state.withLock { state in
          if Task.isCancelled { return .some(nil) }
          if let item = state.items.take() { return .some(item) }
          if state.items.isShutDown { return .some(nil) }
          state.waiters.append((id, continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
      }
      waiter?.continuation.resume(returning: nil)
    }
  }

  /// Takes no more items; waiting workers get what is left, then nil.
  public func shutDown() {
    change { $0.shutDown() }
  }

  private func fire() {
    state.withLock { $0.timerDue = nil }
    change { _ in }
  }

  private func change(_ body: (inout WorkQueueState<Item>) -> Void) {
    let ready: [(CheckedContinuation<Item?, Never>, Item?)] = state.withLock { state in
      body(&state.items)
      return settle(&state)
    }
    for (continuation, item) in ready { continuation.resume(returning: item) }
  }

  /// Hands items to waiting workers and sets the timer for the next delayed one.
  private func settle(_ state: inout State) -> [(CheckedContinuation<Item?, Never>, Item?)] {
    let due = state.items.advance(to: .now)
    var ready: [(CheckedContinuation<Item?, Never>, Item?)] = []
    while !state.waiters.isEmpty, let item = state.items.take() {
      ready.append((state.waiters.removeFirst().continuation, item))
    }
    if state.items.isShutDown {
      ready += state.waiters.map { ($0.continuation, nil) }
      state.waiters = []
    }
    if due != state.timerDue {
      state.timer?.cancel()
      state.timerDue = due
      // The one task a queue owns: it sleeps until the next delayed item is due and dies with the queue.
      state.timer = due.map { due in
        Task { [weak self] in
          try? await Task.sleep(until: due, clock: .continuous)
          guard !Task.isCancelled else { return }
          self?.fire()
        }
      }
    }
    return ready
  }
}
