internal import Glibc
public import Logging
public import Storage
internal import Synchronization

/// The store of a single server: SQLite as a durable log, the live keys in memory.
///
/// Two threads per store: one writes (`Writer`), one does everything long (`Maintenance`). Reads of live keys take
/// neither; they look at the index in memory.
public final class SQLiteStorage: Storage {
  /// How a store behaves. The defaults are those of a server.
  public struct Configuration: Sendable {
    /// Writes that share one commit, at most.
    public var batchOperations = 512
    /// Bytes that share one commit, at most (a single larger write still goes).
    public var batchBytes = 4 << 20
    /// Events kept in memory for watches that start a little in the past; older ones come from the log.
    public var recentEvents = 1024
    /// Milliseconds between automatic compactions, each to the revision of the one before; 0 switches them off.
    public var compactionInterval: Int64 = 300_000
    /// Pages of the write-ahead log that make a checkpoint worth while.
    public var checkpointPages = 1000
    /// Milliseconds since 1970, by which keys expire.
    public var now: @Sendable () -> Int64 = StoreCore.wallClock

    /// The defaults.
    public init() {}
  }

  private let core: StoreCore

  /// Opens the store in a directory, and makes both where they do not exist. Reads the whole log.
  ///
  /// Throws `StorageError.locked` when another server has it open, `.newerSchema` and `.corrupt` when the file is
  /// none that this version can serve.
  public init(directory: String, logger: Logger, configuration: Configuration = Configuration()) throws {
    let lock = try DirectoryLock(directory: directory)
    let database = try LogFile.open(directory: directory)
    let writer: Writer
    let maintenance: Maintenance
    do {
      let contents = try LogFile.load(database)
      core = StoreCore(configuration: configuration, logger: logger, contents: contents, lock: lock)
      writer = try Writer(core: core, database: database, contents: contents)
      maintenance = try Maintenance(core: core, directory: directory, contents: contents)
      logger.info(
        "store opened",
        metadata: [
          "directory": "\(directory)", "keys": "\(contents.index.count)", "revision": "\(contents.revision)",
          "compacted": "\(contents.compacted)",
        ])
    } catch {
      database.close()
      throw error
    }
    do {
      try startThread("store-writer") { writer.run() }
      try startThread("store-maint") { maintenance.run() }
    } catch {
      throw StorageError.engine("cannot start a thread: \(String(cString: strerror(error.code)))")
    }
  }

  deinit {
    // Without an explicit close the threads end here; nothing is waiting for them.
    core.closed.store(true, ordering: .releasing)
    _ = core.maintenance.send(.close(nil))
  }

  // MARK: Reads

  /// The last revision that all followers have seen.
  public var currentRevision: Revision { core.currentRevision }

  /// Revisions before this one can no longer be read.
  public var compactedRevision: Revision { core.state.withLock { $0.compacted } }

  /// The live value of a key, from memory.
  public func get(_ key: String) async throws -> StoredValue? {
    try core.checkOpen()
    return core.state.withLock { $0.index[key] }
  }

  /// A page of keys: from memory for the present, else by undoing the writes since.
  public func list(prefix: String, after: String?, limit: Int?, at: Revision?) async throws -> StoragePage {
    try core.checkOpen()
    enum Found {
      case index(LiveIndex, Revision, live: Bool)
      case undo(LiveIndex, [StorageEvent]?, Revision)
    }
    let found: Found = try core.state.withLock { state in
      guard let at, at != 0, at != state.revision else { return .index(state.index, state.revision, live: true) }
      guard at <= state.revision else { throw StorageError.future(requested: at, current: state.revision) }
      guard at >= state.compacted else {
        throw StorageError.compacted(requested: at, compacted: state.compacted)
      }
      if let kept = state.snapshots.first(where: { $0.revision == at }) { return .index(kept.index, at, live: false) }
      return .undo(state.index, state.ring.events(after: at, through: state.revision), state.revision)
    }
    var index: LiveIndex
    var revision: Revision
    var isNew: Bool
    switch found {
    case .index(let kept, let its, let live): (index, revision, isNew) = (kept, its, live)
    case .undo(let live, let recent, let current):
      (index, revision, isNew) = (live, at ?? current, true)
      var events = recent
      if events == nil { events = try await history(prefix: "", after: revision, through: current) }
      for event in (events ?? []).reversed() {
        if let previous = event.previous { index.set(previous) } else { index.remove(event.current.key) }
      }
    }
    let page = index.page(prefix: prefix, after: after, limit: limit)
    // The next page will ask for this very revision.
    if page.more, isNew { core.state.withLock { [index] in $0.remember(index, at: revision) } }
    return (page.items, revision, page.more)
  }

  /// Every write under a prefix after a revision: from memory while it is recent, else from the log.
  public func events(prefix: String, after: Revision) async throws -> [StorageEvent] {
    try core.checkOpen()
    let (recent, through) = try core.state.withLock { state in
      guard after >= state.compacted else {
        throw StorageError.compacted(requested: after, compacted: state.compacted)
      }
      return (state.ring.events(after: after, through: state.revision), state.revision)
    }
    if let recent { return prefix.isEmpty ? recent : recent.filter { $0.current.key.hasPrefix(prefix) } }
    return try await history(prefix: prefix, after: after, through: through)
  }

  private func history(prefix: String, after: Revision, through: Revision) async throws -> [StorageEvent] {
    try await withCheckedThrowingContinuation { reply in
      if !core.maintenance.send(.events(prefix: prefix, after: after, through: through, reply)) {
        reply.resume(throwing: StorageError.closed)
      }
    }
  }

  // MARK: Writes

  /// Writes a key, and returns when the write is durable.
  public func put(
    _ key: String, _ value: [UInt8], if precondition: Precondition, ttl: Int?
  ) async throws -> WriteOutcome {
    let expires = ttl.map { core.now() + Int64($0) * 1000 }
    return try await write(.put(value, expires: expires), key, precondition)
  }

  /// Deletes a key, and returns when that is durable.
  public func delete(_ key: String, if precondition: Precondition) async throws -> WriteOutcome {
    try await write(.delete, key, precondition)
  }

  private func write(
    _ change: WriteRequest.Change, _ key: String, _ precondition: Precondition
  ) async throws -> WriteOutcome {
    try await withCheckedThrowingContinuation { reply in
      let request = WriteRequest(change: change, key: key, precondition: precondition, reply: reply)
      if !core.writer.send(.write(request)) { reply.resume(throwing: StorageError.closed) }
    }
  }

  // MARK: Followers

  /// Hands over the keys under a prefix and then every change, in order.
  public func follow(
    prefix: String,
    onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> any StorageSubscription {
    try core.checkOpen()
    let follower = Follower(prefix: prefix, onEvents: onEvents)
    let latch = Latch()
    // A follower that starts another one is on the writer thread already: it cannot wait for it.
    let isWriter = core.writerThread.load(ordering: .acquiring) == pthread_self()
    let sent = core.writer.send(
      .barrier { writer in
        writer?.start(follower, onSnapshot: onSnapshot)
        latch.open(writer != nil)
      })
    guard sent else { throw StorageError.closed }
    if !isWriter, !latch.wait() { throw StorageError.closed }
    return follower
  }

  // MARK: Compaction and closing

  /// Gives up the history before a revision.
  public func compact(to revision: Revision) async throws {
    try await withCheckedThrowingContinuation { (reply: CheckedContinuation<Void, any Error>) in
      let sent = core.writer.send(
        .barrier { writer in
          guard let writer else { return reply.resume(throwing: StorageError.closed) }
          reply.resume(with: Result { try writer.decideCompaction(revision) })
        })
      if !sent { reply.resume(throwing: StorageError.closed) }
    }
  }

  /// Commits what is queued and lets go of the directory.
  public func close() async {
    core.closed.store(true, ordering: .releasing)
    await withCheckedContinuation { reply in
      if !core.maintenance.send(.close(reply)) { reply.resume() }
    }
  }
}
