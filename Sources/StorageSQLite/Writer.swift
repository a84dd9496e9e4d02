internal import Glibc
internal import Logging
internal import Storage
internal import Synchronization

/// What the writer thread is asked for.
enum WriterMessage: Sendable {
  case write(WriteRequest)
  case purge(PurgeStep)
  /// Runs between two commits; with nil when the store closes first.
  case barrier(@Sendable (Writer?) -> Void)
  case close(CheckedContinuation<Void, Never>?)

  var size: Int {
    guard case .write(let request) = self, case .put(let value, _) = request.change else { return 64 }
    return value.count + request.key.utf8.count
  }
}

/// One put or delete.
struct WriteRequest: Sendable {
  enum Change: Sendable {
    case put([UInt8], expires: Int64?)
    case delete
  }
  var change: Change
  var key: String
  var precondition: Precondition
  /// Nil for the store's own deletes of expired keys.
  var reply: CheckedContinuation<WriteOutcome, any Error>?
}

/// Rows of the log that the compaction gives up. They ride in the next commit instead of taking one of their own.
struct PurgeStep: Sendable {
  var rows: [Revision]
  var through: Revision
  var done: @Sendable ((any Error)?) -> Void
}

/// The one thread that writes. Each turn takes what queued while the last commit ran, and commits it as one
/// transaction:
///
///     receive ──▶ decide each against index + pending ──▶ COMMIT (fsync) ──▶ publish ──▶ followers ──▶ replies
///
/// `@unchecked Sendable`: made by the opening thread, then used by the writer thread only.
final class Writer: @unchecked Sendable {
  /// What one transaction gathers.
  private struct Segment {
    var open = false
    var revision: Revision
    var pending: [String: StoredValue?] = [:]
    var events: [StorageEvent] = []
    var expiries: [ExpiryHeap.Entry] = []
    var replies: [(CheckedContinuation<WriteOutcome, any Error>, WriteOutcome)] = []
    var purges: [PurgeStep] = []
    var failure: (any Error)?
  }

  private let core: StoreCore
  private let database: Database
  private var log: LogWriter?
  private var expiries = ExpiryHeap()
  private var followers = FollowerTable()
  private var segment: Segment

  init(core: StoreCore, database: Database, contents: LogFile.Contents) throws {
    self.core = core
    self.database = database
    log = try LogWriter(database)
    segment = Segment(revision: contents.revision)
    for entry in contents.expiries { expiries.insert(entry) }
  }

  func run() {
    core.writerThread.store(pthread_self(), ordering: .releasing)
    while true {
      let configuration = core.configuration
      let messages = core.writer.receive(
        limit: configuration.batchOperations, bytes: configuration.batchBytes, timeout: untilNextExpiry(),
        size: \.size)
      for message in messages {
        switch message {
        case .write(let request): apply(request)
        case .purge(let step): apply(step)
        case .barrier(let body):
          commit()
          body(self)
        case .close(let reply):
          commit()
          finish()
          reply?.resume()
          return
        }
      }
      deleteExpired()
      commit()
    }
  }

  // MARK: Barriers

  /// Hands over the live keys and adds the follower: between two commits, so nothing is missed or seen twice.
  func start(_ follower: Follower, onSnapshot: ([StoredValue], Revision) -> Void) {
    let (index, revision) = core.state.withLock { ($0.index, $0.revision) }
    onSnapshot(index.page(prefix: follower.prefix, after: nil, limit: nil).items, revision)
    followers.forgetCancelled()
    followers.add(follower)
  }

  /// Moves the compact revision, durably. The rows go later, in steps.
  func decideCompaction(_ target: Revision) throws {
    let (current, compacted) = core.state.withLock { ($0.revision, $0.compacted) }
    guard target <= current else { throw StorageError.future(requested: target, current: current) }
    guard target > compacted, let log else { return }
    do {
      try log.begin()
      try log.setMeta("compacted", target)
      try log.commit()
    } catch {
      log.rollback()
      throw error
    }
    core.state.withLock { state in
      state.compacted = target
      state.snapshots.removeAll { $0.revision < target }
    }
    _ = core.maintenance.send(.purge(after: nil))
  }

  /// The end of a checkpoint that the maintenance thread could not finish because writes went on.
  func finishCheckpoint() {
    defer { core.checkpointing.store(false, ordering: .releasing) }
    guard let result = try? database.checkpoint() else { return }
    core.checkpointed.store(result.done, ordering: .releasing)
  }

  // MARK: Writes

  private func apply(_ request: WriteRequest) {
    let current: StoredValue?
    if let pending = segment.pending[request.key] {
      current = pending
    } else {
      current = core.state.withLock { $0.index[request.key] }
    }
    var holds =
      switch request.precondition {
      case .any: true
      case .absent: current == nil
      case .revision(let revision): current?.modRevision == revision
      }
    if case .delete = request.change, current == nil { holds = false }
    guard holds else {
      if let reply = request.reply { segment.replies.append((reply, .conflict(current: current))) }
      return
    }
    let revision = segment.revision + 1
    let event: StorageEvent
    var expires: Int64?
    switch request.change {
    case .put(let value, let deadline):
      let stored = StoredValue(
        key: request.key, value: value, createRevision: current?.createRevision ?? revision, modRevision: revision)
      event = StorageEvent(kind: .put, current: stored, previous: current)
      expires = deadline
      segment.pending[request.key] = .some(stored)
    case .delete:
      guard var last = current else { return }
      last.modRevision = revision
      event = StorageEvent(kind: .delete, current: last, previous: current)
      segment.pending[request.key] = .some(nil)
    }
    segment.revision = revision
    segment.events.append(event)
    if let expires {
      segment.expiries.append(ExpiryHeap.Entry(milliseconds: expires, key: request.key, revision: revision))
    }
    if let reply = request.reply { segment.replies.append((reply, .committed(event.current, previous: current))) }
    write { try $0.insert(event, expires: expires) }
  }

  private func apply(_ step: PurgeStep) {
    segment.purges.append(step)
    write { log in
      for row in step.rows { try log.purge(row) }
      try log.setMeta("purged", step.through)
    }
  }

  /// Runs a statement inside the segment's transaction. After the first failure the segment is lost as a whole.
  private func write(_ body: (LogWriter) throws -> Void) {
    guard segment.failure == nil, let log else { return }
    do {
      if !segment.open {
        try log.begin()
        segment.open = true
      }
      try body(log)
    } catch {
      segment.failure = error
    }
  }

  private func commit() {
    if segment.open, segment.failure == nil, let log {
      do { try log.commit() } catch { segment.failure = error }
    }
    let base = core.state.withLock { $0.revision }
    var done = Segment(revision: base)
    swap(&done, &segment)
    if let failure = done.failure {
      if done.open { log?.rollback() }
      core.logger.error("a commit failed", metadata: ["error": "\(failure)", "writes": "\(done.events.count)"])
      for (reply, _) in done.replies { reply.resume(throwing: failure) }
      for step in done.purges { step.done(failure) }
      return
    }
    publish(done)
    segment.revision = done.revision
    for (reply, outcome) in done.replies { reply.resume(returning: outcome) }
    for step in done.purges { step.done(nil) }
    if done.open { askForCheckpoint() }
  }

  private func publish(_ done: Segment) {
    guard !done.events.isEmpty else { return }
    core.state.withLock { state in
      for event in done.events {
        switch event.kind {
        case .put: state.index.set(event.current)
        case .delete: state.index.remove(event.current.key)
        }
        state.ring.append(event)
      }
      state.revision = done.revision
    }
    for entry in done.expiries { expiries.insert(entry) }
    followers.deliver(done.events, revision: done.revision)
    core.publish(done.revision)
  }

  private func askForCheckpoint() {
    let pages = database.walPages
    core.walPages.store(pages, ordering: .releasing)
    let done = core.checkpointed.load(ordering: .acquiring)
    // Fewer pages than were checkpointed: the log has started from its beginning.
    guard pages - (pages < done ? 0 : done) >= core.configuration.checkpointPages,
      !core.checkpointing.exchange(true, ordering: .acquiringAndReleasing)
    else { return }
    _ = core.maintenance.send(.checkpoint)
  }

  // MARK: Expiry

  private func untilNextExpiry() -> Int64? {
    guard let next = expiries.first else { return nil }
    // The wall clock may jump: look again at least once a minute.
    return min(max(next.milliseconds - core.now(), 0), 60_000)
  }

  private func deleteExpired() {
    let now = core.now()
    var budget = core.configuration.batchOperations
    while budget > 0, let next = expiries.first, next.milliseconds <= now {
      _ = expiries.popFirst()
      budget -= 1
      apply(WriteRequest(change: .delete, key: next.key, precondition: .revision(next.revision), reply: nil))
    }
  }

  // MARK: Closing

  private func finish() {
    for message in core.writer.close() {
      switch message {
      case .write(let request): request.reply?.resume(throwing: StorageError.closed)
      case .purge(let step): step.done(StorageError.closed)
      case .barrier(let body): body(nil)
      case .close(let reply): reply?.resume()
      }
    }
    log = nil
    // Leaves one file behind instead of three; the log would do as well.
    try? database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    core.releaseDirectory()
  }
}
