internal import Glibc
internal import Logging
internal import Storage
internal import Synchronization

/// What the threads of a store share.
final class StoreCore: Sendable {
  /// What readers see. The writer changes it once per commit.
  struct State {
    var index: LiveIndex
    var revision: Revision
    var compacted: Revision
    var ring: EventRing
    /// Past states that pages of long lists are read from; the live index shares most of their chunks.
    var snapshots: [(revision: Revision, index: LiveIndex)] = []

    mutating func remember(_ index: LiveIndex, at revision: Revision) {
      guard revision >= compacted, !snapshots.contains(where: { $0.revision == revision }) else { return }
      if snapshots.count == 4 { snapshots.removeFirst() }
      snapshots.append((revision, index))
    }
  }

  let configuration: SQLiteStorage.Configuration
  let logger: Logger
  let state: Mutex<State>
  let writer = Mailbox<WriterMessage>()
  let maintenance = Mailbox<MaintenanceMessage>()
  let closed = Atomic<Bool>(false)
  /// A checkpoint is asked for or under way.
  let checkpointing = Atomic<Bool>(false)
  /// Frames of the write-ahead log that the last checkpoint left done.
  let checkpointed = Atomic<Int>(0)
  /// Frames of the write-ahead log after the last commit.
  let walPages = Atomic<Int>(0)
  let writerThread = Atomic<UInt>(0)
  private let published: Atomic<UInt64>
  private let lock: Mutex<DirectoryLock?>

  init(
    configuration: SQLiteStorage.Configuration, logger: Logger, contents: LogFile.Contents, lock: DirectoryLock
  ) {
    self.configuration = configuration
    self.logger = logger
    self.lock = Mutex(lock)
    published = Atomic(contents.revision)
    state = Mutex(
      State(
        index: contents.index, revision: contents.revision, compacted: contents.compacted,
        ring: EventRing(capacity: configuration.recentEvents)))
  }

  var currentRevision: Revision { published.load(ordering: .acquiring) }

  func publish(_ revision: Revision) {
    published.store(revision, ordering: .releasing)
  }

  func checkOpen() throws {
    if closed.load(ordering: .acquiring) { throw StorageError.closed }
  }

  func releaseDirectory() {
    lock.withLock { $0 = nil }
  }

  /// Milliseconds since 1970.
  func now() -> Int64 { configuration.now() }

  static func wallClock() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
