import API
import Client
import Synchronization

/// What a controller has asked for and not yet seen in its informer, by the object it works on. Until it is seen
/// (or five minutes passed) nothing more is asked for: the cache is known to be behind.
final class Expectations: Sendable {
  private struct Expected {
    var creations: Int
    var deletions: Set<String>
    var since: ContinuousClock.Instant
  }

  private let state = Mutex<[ObjectKey: Expected]>([:])
  private let timeout: Duration

  init(timeout: Duration = .seconds(300)) {
    self.timeout = timeout
  }

  /// Whether everything asked for was seen.
  func satisfied(_ key: ObjectKey) -> Bool {
    state.withLock { state in
      guard let expected = state[key] else { return true }
      if expected.creations <= 0, expected.deletions.isEmpty { return true }
      return ContinuousClock.now - expected.since > timeout
    }
  }

  /// Whether something was asked for, and the last of it has just been seen; says so once.
  func isDone(_ key: ObjectKey) -> Bool {
    state.withLock { state in
      guard let expected = state[key], expected.creations <= 0, expected.deletions.isEmpty else { return false }
      state[key] = nil
      return true
    }
  }

  func expect(_ key: ObjectKey, creations: Int) {
    state.withLock { $0[key] = Expected(creations: creations, deletions: [], since: .now) }
  }

  /// `deletions` are the keys or UIDs of what will go.
  func expect(_ key: ObjectKey, creations: Int = 0, deletions: [String]) {
    state.withLock { $0[key] = Expected(creations: creations, deletions: Set(deletions), since: .now) }
  }

  func created(_ key: ObjectKey, count: Int = 1) {
    state.withLock { $0[key]?.creations -= count }
  }

  func deleted(_ key: ObjectKey, _ object: String) {
    _ = state.withLock { $0[key]?.deletions.remove(object) }
  }

  func forget(_ key: ObjectKey) {
    state.withLock { $0[key] = nil }
  }
}
