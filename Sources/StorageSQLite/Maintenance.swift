internal import Logging
internal import Storage
internal import Synchronization

/// What the maintenance thread is asked for.
enum MaintenanceMessage: Sendable {
  case events(
    prefix: String, after: Revision, through: Revision, CheckedContinuation<[StorageEvent], any Error>)
  /// One step of giving back compacted rows; nil begins where the last one ended.
  case purge(after: Revision?)
  case purgeFailed
  case checkpoint
  case close(CheckedContinuation<Void, Never>?)
}

/// The second thread: everything that is long, in small steps, so that the writer never waits for it. It reads old
/// history, looks for rows the compaction can give up (the writer deletes them in commits it makes anyway), and
/// copies the write-ahead log into the database.
///
/// `@unchecked Sendable`: made by the opening thread, then used by the maintenance thread only.
final class Maintenance: @unchecked Sendable {
  private static let purgeRows = 128

  private let core: StoreCore
  private let database: Database
  private var history: History?
  private var purged: Revision
  private var purging = false
  private var mark: Revision
  private var nextMark: Int64

  init(core: StoreCore, directory: String, contents: LogFile.Contents) throws {
    self.core = core
    database = try Database(path: directory + "/" + LogFile.fileName, readOnly: false)
    try LogFile.configure(database)
    history = try History(database)
    purged = contents.purged
    mark = contents.revision
    nextMark = core.now() + core.configuration.compactionInterval
  }

  func run() {
    // A purge that a crash cut short goes on.
    _ = core.maintenance.send(.purge(after: nil))
    while true {
      let wait = core.configuration.compactionInterval > 0 ? max(nextMark - core.now(), 0) : nil
      for message in core.maintenance.receive(limit: 1, timeout: wait) {
        switch message {
        case .events(let prefix, let after, let through, let reply):
          reply.resume(with: Result { try events(prefix: prefix, after: after, through: through) })
        case .purge(let after): purge(after: after)
        case .purgeFailed: purging = false
        case .checkpoint: checkpoint()
        case .close(let reply):
          finish(reply)
          return
        }
      }
      compactWhenDue()
    }
  }

  private func events(prefix: String, after: Revision, through: Revision) throws -> [StorageEvent] {
    guard let history else { throw StorageError.closed }
    return try history.events(prefix: prefix, after: after, through: through)
  }

  // MARK: Compaction

  /// As etcd's periodic compaction: every interval, give up what was history already at the last one.
  private func compactWhenDue() {
    let now = core.now()
    guard core.configuration.compactionInterval > 0, now >= nextMark else { return }
    nextMark = now + core.configuration.compactionInterval
    let target = mark
    mark = core.currentRevision
    guard target > core.state.withLock({ $0.compacted }) else { return }
    let logger = core.logger
    _ = core.writer.send(
      .barrier { writer in
        do { try writer?.decideCompaction(target) } catch {
          logger.warning("compaction failed", metadata: ["revision": "\(target)", "error": "\(error)"])
        }
      })
  }

  private func purge(after: Revision?) {
    if let after { purged = after } else if purging { return }
    purging = true
    let target = core.state.withLock { $0.compacted }
    var rows: [Revision] = []
    var cursor = purged
    do {
      // Stretches without anything to give up need no commit.
      while rows.isEmpty, cursor < target {
        guard let step = try history?.superseded(after: cursor, target: target, limit: Self.purgeRows) else { return }
        rows = step.rows
        cursor = step.through
      }
    } catch {
      core.logger.warning("compaction failed", metadata: ["error": "\(error)"])
      purging = false
      return
    }
    guard cursor > purged else {
      purging = false
      return
    }
    let through = cursor
    let maintenance = core.maintenance
    let step = PurgeStep(rows: rows, through: through) { failure in
      _ = maintenance.send(failure == nil ? .purge(after: through) : .purgeFailed)
    }
    if !core.writer.send(.purge(step)) { purging = false }
  }

  // MARK: Checkpoints

  private func checkpoint() {
    var finishing = false
    defer { if !finishing { core.checkpointing.store(false, ordering: .releasing) } }
    do {
      let result = try database.checkpoint()
      core.checkpointed.store(result.done, ordering: .releasing)
      // The log starts over only when all of it is done; with writes going on, the rest is done between two of them.
      if result.done < result.frames || core.walPages.load(ordering: .acquiring) > result.frames,
        result.frames >= 4 * core.configuration.checkpointPages
      {
        finishing = core.writer.send(.barrier { $0?.finishCheckpoint() })
      }
    } catch {
      core.logger.warning("checkpoint failed", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Closing

  private func finish(_ reply: CheckedContinuation<Void, Never>?) {
    for message in core.maintenance.close() {
      switch message {
      case .events(_, _, _, let waiting): waiting.resume(throwing: StorageError.closed)
      case .close(let waiting): waiting?.resume()
      case .purge, .purgeFailed, .checkpoint: break
      }
    }
    history = nil
    database.close()
    if !core.writer.send(.close(reply)) { reply?.resume() }
  }
}
