import Synchronization

/// Lets one task wait until another wakes it, or until time has passed.
final class WakeUp: Sendable {
  private struct State {
    var pending = false
    var waiter: CheckedContinuation<Void, Never>?
    var generation = 0
  }
  private let state = Mutex(State())

  /// Ends the current wait, or the next one.
  func wake() {
    let waiter = state.withLock { s -> CheckedContinuation<Void, Never>? in
      guard let waiter = s.waiter else {
        s.pending = true
        return nil
      }
      s.waiter = nil
      s.generation += 1
      return waiter
    }
    waiter?.resume()
  }

  /// Waits for `wake`, at most that long (nil: however long it takes). Cancellation ends it too.
  func wait(for longest: Duration?) async {
    let timer = longest.map { length in
      Task { [self] in
        try? await Task.sleep(for: length)
        if !Task.isCancelled { self.wake() }
      }
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let now = state.withLock { s -> Bool in
          if s.pending || Task.isCancelled {
            s.pending = false
            return true
          }
          s.waiter = continuation
          return false
        }
        if now { continuation.resume() }
      }
    } onCancel: {
      wake()
    }
    timer?.cancel()
  }
}
