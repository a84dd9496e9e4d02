/// How a reflector fills and keeps its copy of a collection.
///
/// ```
///             ┌────────────── expired (410) ───────────────┐
///             ▼                                            │
///  start → listing ── listed(rv) ──────────────────→ watching(rv) ──┐ events, bookmarks: rv moves on
///             │ ▲                                      │ ▲ ▲  └─────┘
///             │ └──── backing off ◄── failed ──────────┘ │ └── ended: watch again from rv
///             └── refused streaming: list instead        └── backing off ◄── failed, too short, throttled
/// ```
///
/// `listing` is a plain list, or a watch with `sendInitialEvents` whose objects count as listed at the bookmark
/// that closes them. A watch that breaks is taken up at the last version seen, so nothing is missed; only a
/// version the server has forgotten costs a new list, and that one is read from the store, not from a cache
/// that may be older still.
///
/// The machine decides; `Reflector` does the I/O. Randomness and time come from outside.
public struct ReflectorMachine: Sendable {
  /// How the first state is fetched.
  public enum Strategy: Sendable {
    /// A list, then a watch.
    case list
    /// One watch that sends the state first; a server that refuses it is listed.
    case stream
  }

  /// Where the machine stands.
  public enum State: Sendable, Equatable {
    /// Fetching the whole collection, as of that version ("0": any, "": the newest).
    case listing(resourceVersion: String)
    /// Receiving the whole collection as the beginning of a watch.
    case streaming
    /// Following changes from that version.
    case watching(resourceVersion: String)
  }

  /// What the shell saw.
  public enum Event: Sendable, Equatable {
    /// The whole collection arrived; the store was replaced.
    case listed(resourceVersion: String)
    /// A change arrived and was applied.
    case changed(resourceVersion: String)
    /// A bookmark arrived.
    case bookmark(resourceVersion: String, initialEventsEnd: Bool)
    /// The stream ended as streams do, after so many events and seconds.
    case ended(events: Int, seconds: Double)
    /// The request failed or the stream broke.
    case failed(Failure)
  }

  /// Why a request failed, as far as it matters here.
  public enum Failure: Sendable, Equatable {
    /// The server forgot the version (410, `Expired` or `Gone`), or has not reached it yet.
    case expired
    /// The server does not know how to stream the initial state.
    case unsupported
    /// Anything else.
    case other
  }

  /// What the shell does next.
  public enum Action: Sendable, Equatable {
    /// Fetch everything, then report `listed`.
    case list(resourceVersion: String)
    /// Watch with `sendInitialEvents`.
    case stream
    /// Watch from a version.
    case watch(resourceVersion: String)
    /// Sleep, then do what follows.
    case wait(seconds: Double)
    /// The store now holds the collection as of that version: drop what the stream did not name.
    case replace
  }

  /// Where the machine stands.
  public private(set) var state: State
  private var strategy: Strategy
  private var backoff = Backoff()

  /// Starts a machine.
  public init(strategy: Strategy = .list) {
    self.strategy = strategy
    state = strategy == .list ? .listing(resourceVersion: "0") : .streaming
  }

  /// What to do first.
  public var begin: [Action] { [request] }

  /// Takes what the shell saw and says what to do next. `jitter` is a random number in 0..<1.
  public mutating func handle(_ event: Event, jitter: Double) -> [Action] {
    switch (event, state) {
    case (.listed(let version), _):
      state = .watching(resourceVersion: version)
      backoff.reset()
      return [request]
    case (.changed(let version), .watching):
      state = .watching(resourceVersion: version)
      return []
    case (.bookmark(let version, true), .streaming):
      state = .watching(resourceVersion: version)
      backoff.reset()
      return [.replace]
    case (.bookmark(let version, _), .watching):
      if !version.isEmpty { state = .watching(resourceVersion: version) }
      return []
    case (.changed, _), (.bookmark, _):
      return []
    case (.ended(let events, let seconds), .watching) where events > 0 || seconds >= 1:
      backoff.reset()
      return [request]
    case (.ended, _):
      // A watch that ends at once and empty would spin.
      return [.wait(seconds: backoff.next(jitter: jitter)), request]
    case (.failed(.unsupported), .streaming):
      strategy = .list
      state = .listing(resourceVersion: "0")
      return [request]
    case (.failed(.expired), _):
      // A list at "" comes from the store itself; it cannot be behind what was already seen.
      let wasListing = state == .listing(resourceVersion: "")
      state = strategy == .list ? .listing(resourceVersion: "") : .streaming
      return wasListing ? [.wait(seconds: backoff.next(jitter: jitter)), request] : [request]
    case (.failed, _):
      return [.wait(seconds: backoff.next(jitter: jitter)), request]
    }
  }

  private var request: Action {
    switch state {
    case .listing(let version): .list(resourceVersion: version)
    case .streaming: .stream
    case .watching(let version): .watch(resourceVersion: version)
    }
  }
}

/// client-go's reflector back-off: 0.8 s doubling to 30 s, each stretched by up to its own length.
struct Backoff: Sendable {
  var initial = 0.8
  var limit = 30.0
  private var current = 0.0

  init(initial: Double = 0.8, limit: Double = 30) {
    self.initial = initial
    self.limit = limit
  }

  mutating func next(jitter: Double) -> Double {
    current = current == 0 ? initial : min(current * 2, limit)
    return current * (1 + jitter)
  }

  mutating func reset() { current = 0 }
}
