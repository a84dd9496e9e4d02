import Crypto
import Synchronization

/// Answers that are good for a while, and one question at a time for each key: whoever asks the same meanwhile waits
/// for the same answer.
final class OutcomeCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct State {
    var young: [Key: (value: Value, until: ContinuousClock.Instant)] = [:]
    var old: [Key: (value: Value, until: ContinuousClock.Instant)] = [:]
    var asking: [Key: Task<Value, Never>] = [:]
  }
  private let state = Mutex(State())
  private let limit: Int

  /// `limit`: how many answers are kept in each of two generations.
  init(limit: Int = 4096) { self.limit = limit }

  /// An answer that is still good.
  func find(_ key: Key) -> Value? {
    let entry = state.withLock { $0.young[key] ?? $0.old[key] }
    guard let entry, ContinuousClock.now < entry.until else { return nil }
    return entry.value
  }

  func forget() {
    state.withLock { state in
      state.young = [:]
      state.old = [:]
    }
  }

  /// The answer, asked for if there is none. `lifetime`: how long one is good for; nil for one that is not to be kept.
  func value(
    _ key: Key, lifetime: @escaping @Sendable (Value) -> Duration?, ask: @escaping @Sendable () async -> Value
  ) async -> Value {
    if let known = find(key) { return known }
    // Not structured: the answer is for all who wait, even when the first of them goes away.
    let task = state.withLock { state in
      if let present = state.asking[key] { return present }
      let task = Task {
        let value = await ask()
        self.keep(key, value, lifetime(value))
        return value
      }
      state.asking[key] = task
      return task
    }
    return await task.value
  }

  private func keep(_ key: Key, _ value: Value, _ lifetime: Duration?) {
    state.withLock { state in
      state.asking[key] = nil
      guard let lifetime, lifetime > .zero else { return }
      if state.young.count >= limit {
        state.old = state.young
        state.young = [:]
      }
      state.young[key] = (value, ContinuousClock.now + lifetime)
    }
  }
}

/// A token and the audiences it was shown for, as a key: tokens themselves are kept nowhere.
struct TokenKey: Hashable, Sendable {
  private let token: SHA256Digest
  private let audiences: [String]

  init(_ token: String, _ audiences: [String]) {
    self.token = SHA256.hash(data: Array(token.utf8))
    self.audiences = audiences
  }
}
