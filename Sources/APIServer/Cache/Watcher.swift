import DequeModule
import Storage
import Synchronization

/// The receiving end of a watch: a bounded queue between the cache, which never waits, and one reader.
///
///     open ──(queue full)──▶ overflowed ──▶ reader sees the end
///     open ──(close())─────▶ closed
final class Watcher: Sendable {
  enum Item: Sendable {
    case event(CacheEvent, CacheEvent.Kind)
    case bookmark(Revision)
  }

  private struct State {
    var queue: Deque<Item> = []
    var bytes = 0
    var ended = false
    var waiting: CheckedContinuation<Void, Never>?
  }

  let predicate: Predicate
  /// Older events are known to the reader.
  private let after: Revision
  private let state = Mutex(State())
  private let maxItems: Int
  private let maxBytes: Int

  init(predicate: Predicate, after: Revision = 0, maxItems: Int = 10_000, maxBytes: Int = 32 << 20) {
    self.predicate = predicate
    self.after = after
    self.maxItems = maxItems
    self.maxBytes = maxBytes
  }

  /// Offers an event; false when the watcher is over and must be dropped.
  func offer(_ event: CacheEvent) -> Bool {
    guard event.revision > after, let kind = event.seen(by: predicate) else { return !state.withLock { $0.ended } }
    return push(.event(event, kind), size: event.object.bytes.count)
  }

  func push(_ item: Item, size: Int = 0) -> Bool {
    if case .bookmark(let revision) = item, revision < after { return isOpen }
    let (alive, waiting) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
      if state.ended { return (false, nil) }
      if state.queue.count >= maxItems || state.bytes + size > maxBytes, !state.queue.isEmpty {
        state.ended = true
      } else {
        state.queue.append(item)
        state.bytes += size
      }
      let waiting = state.waiting
      state.waiting = nil
      return (!state.ended, waiting)
    }
    waiting?.resume()
    return alive
  }

  /// Wakes the reader so that it looks at its clock.
  func wake() {
    let waiting = state.withLock { state in
      let waiting = state.waiting
      state.waiting = nil
      return waiting
    }
    waiting?.resume()
  }

  var isOpen: Bool { !state.withLock { $0.ended } }

  func close() {
    state.withLock { $0.ended = true }
    wake()
  }

  /// Everything queued, once something is queued, the watcher has ended, or `wake` was called.
  /// `ended` means that nothing follows.
  func next() async -> (items: Deque<Item>, ended: Bool) {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          if !state.queue.isEmpty || state.ended || Task.isCancelled { return true }
          state.waiting = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      close()
    }
    return state.withLock { state in
      let items = state.queue
      state.queue = []
      state.bytes = 0
      return (items, state.ended)
    }
  }
}
