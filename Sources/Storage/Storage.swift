/// A store's global counter: every committed write takes the next value. An empty store stands at 1, as etcd does.
public typealias Revision = UInt64

/// One key as the store holds it.
public struct StoredValue: Sendable, Equatable {
  /// The whole key, `/registry/<resource>[.<group>]/[<namespace>/]<name>`.
  public var key: String
  /// The bytes that were put. Shared, never copied, between the store and its followers.
  public var value: [UInt8]
  /// Revision of the write that brought the key into being.
  public var createRevision: Revision
  /// Revision of the key's last write.
  public var modRevision: Revision

  /// Makes a value from its parts.
  public init(key: String, value: [UInt8], createRevision: Revision, modRevision: Revision) {
    self.key = key
    self.value = value
    self.createRevision = createRevision
    self.modRevision = modRevision
  }
}

/// One committed write.
public struct StorageEvent: Sendable, Equatable {
  /// What the write did.
  public enum Kind: Sendable, Equatable {
    case put, delete
  }

  /// What the write did.
  public var kind: Kind
  /// The key after a put. For a delete: the last value, with the delete's own revision as `modRevision`.
  public var current: StoredValue
  /// The key before the write, nil when the write created it.
  public var previous: StoredValue?

  /// Makes an event from its parts.
  public init(kind: Kind, current: StoredValue, previous: StoredValue?) {
    self.kind = kind
    self.current = current
    self.previous = previous
  }

  /// The revision the write took.
  public var revision: Revision { current.modRevision }
}

/// What must hold of a key for a write to happen.
public enum Precondition: Sendable, Equatable {
  /// Write whatever stands there.
  case any
  /// The key must not exist.
  case absent
  /// The key's last write must be this one.
  case revision(Revision)
}

/// What became of a write.
public enum WriteOutcome: Sendable, Equatable {
  /// The write is durable. After a put: the new value. After a delete: the last value, with the delete's revision.
  case committed(StoredValue, previous: StoredValue?)
  /// The precondition did not hold, nothing was written; `current` is what stands there instead.
  /// Deleting a key that does not exist is a conflict with nil.
  case conflict(current: StoredValue?)
}

/// A running `follow`.
public protocol StorageSubscription: Sendable {
  /// Ends the deliveries. A batch that is being delivered at this moment may still arrive.
  func cancel()
}

/// A page of keys.
public typealias StoragePage = (items: [StoredValue], revision: Revision, more: Bool)

/// etcd's model in as few verbs as the API server needs: keys in byte order, one global revision, writes that
/// compare and swap, an ordered stream of changes, and history until it is compacted.
///
/// The way of a write:
///
///     put/delete ──▶ queue ──▶ precondition ──▶ revision ──▶ durable commit
///                                  │                              │
///                                  ▼                              ▼
///                              .conflict              key and history visible (get, list, events)
///                                                                 │
///                                                                 ▼
///                                                     onEvents of every follower
///                                                                 │
///                                                                 ▼
///                                                 currentRevision ──▶ the writer's answer
///
/// From that order follow the three promises that caches build on:
/// - what was acknowledged is durable;
/// - whoever has an answer, or has read `currentRevision`, finds every write up to it in all followers;
/// - followers see every write under their prefix exactly once, in revision order, without gaps.
///
/// One write takes one revision. Conflicts take none.
public protocol Storage: Sendable {
  /// Hands `onSnapshot` every live key under `prefix` at a revision, then `onEvents` every later batch in revision
  /// order (never an empty one; the second argument is the store's revision after the batch), each before the write
  /// that caused it is acknowledged. Returns after `onSnapshot` did. Both run on the store's own thread and must not
  /// block nor wait for a write.
  func follow(
    prefix: String,
    onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> any StorageSubscription

  /// The live value of a key.
  func get(_ key: String) async throws -> StoredValue?

  /// The keys under `prefix` in byte order, those greater than `after`, at most `limit`; `more` when some were left.
  /// With `at`, as they were at that revision: `StorageError.compacted` when it is older than the compaction,
  /// `StorageError.future` when the store is not there yet. `revision` is the one the answer shows.
  func list(prefix: String, after: String?, limit: Int?, at: Revision?) async throws -> StoragePage

  /// Writes a key, and returns when the write is durable. After `ttl` seconds the store deletes the key, unless it
  /// was written again meanwhile.
  func put(_ key: String, _ value: [UInt8], if: Precondition, ttl: Int?) async throws -> WriteOutcome

  /// Deletes a key, and returns when that is durable.
  func delete(_ key: String, if: Precondition) async throws -> WriteOutcome

  /// Every write under `prefix` after a revision, in order. `StorageError.compacted` when some of them are gone.
  func events(prefix: String, after: Revision) async throws -> [StorageEvent]

  /// The last revision that all followers have seen.
  var currentRevision: Revision { get }

  /// Whether followers are never behind what anybody was told: every write goes through this process. Then a cache
  /// answers consistent reads at once; otherwise it first has to reach `latestRevision()`.
  var servesCurrentReads: Bool { get }

  /// The store's revision at some moment between call and answer, as all its clients together see it. Who waits until
  /// `currentRevision` has come to it has seen every write that was acknowledged, to anybody, before the call.
  func latestRevision() async throws -> Revision

  /// Whether a value lies in the store otherwise than it would be written today, so that writing it again unchanged is
  /// of use.
  func isStale(_ key: String) -> Bool

  /// Returns when `currentRevision` has come to a revision; nothing is promised about how soon that is.
  func reach(_ revision: Revision) async throws

  /// Asks the store whether it answers; throws what is wrong.
  func checkHealth() async throws

  /// Revisions before this one can no longer be read; 0 before the first compaction.
  var compactedRevision: Revision { get }

  /// Gives up the history before a revision (its own state stays readable). Returns when that is decided durably; the
  /// space is won back in the background. Compacting to an older revision again does nothing.
  func compact(to: Revision) async throws

  /// Commits what is queued and lets go of the directory. Every later call fails with `StorageError.closed`.
  func close() async
}

extension Storage {
  /// True: one process, one store.
  public var servesCurrentReads: Bool { true }

  /// The revision that followers have seen.
  public func latestRevision() async throws -> Revision { currentRevision }

  /// Looks again and again; stores that can tell have their own.
  public func reach(_ revision: Revision) async throws {
    while currentRevision < revision { try await Task.sleep(for: .milliseconds(20)) }
  }

  /// Reads a key.
  public func checkHealth() async throws { _ = try await get("/registry/health") }

  /// Writes a key that does not expire.
  public func put(_ key: String, _ value: [UInt8], if precondition: Precondition) async throws -> WriteOutcome {
    try await put(key, value, if: precondition, ttl: nil)
  }

  /// All live keys under a prefix.
  public func list(prefix: String) async throws -> StoragePage {
    try await list(prefix: prefix, after: nil, limit: nil, at: nil)
  }
}

extension Storage {
  public func isStale(_ key: String) -> Bool { false }
}
