internal import GRPC
public import Logging
internal import NIOCore
public import Storage
internal import Synchronization

/// The store of several servers: an etcd cluster.
///
/// Writes are transactions of one key. What followers see comes from one watch of everything, and a write is answered
/// when that watch has brought it. Each write has a revision of its own: a client that saw one of two changes of one
/// revision, and went on from there elsewhere, would miss the other, so writes are not gathered into transactions; they
/// share a connection, and etcd gathers them for its log.
public final class EtcdStorage: Storage {
  private let client: EtcdClient
  private let replica: Replica
  private let leases: LeasePool
  private let latest: SharedRevision
  private let closed = Atomic<Bool>(false)
  private let tasks: Mutex<[Task<Void, Never>]>
  private var layout: EtcdLayout { client.configuration.layout }

  /// Connects, reads everything, and follows. Throws one clear error when that is not possible in time.
  public static func open(_ configuration: EtcdConfiguration, logger: Logger) async throws -> EtcdStorage {
    let deadline = ContinuousClock.now + configuration.startTimeout
    let client = try EtcdClient(configuration: configuration, logger: logger)
    do {
      try await StartCheck(client: client).run(until: deadline)
      while true {
        do {
          let (values, revision) = try await client.everything()
          logger.info(
            "store opened", metadata: ["etcd": "\(client.names)", "keys": "\(values.count)", "revision": "\(revision)"])
          return EtcdStorage(client: client, values: values, revision: revision)
        } catch StorageError.unavailable(let reason) {
          guard .now < deadline else { throw StorageError.unavailable("etcd at \(client.names): \(reason)") }
          try await Task.sleep(for: .milliseconds(200))
        }
      }
    } catch {
      await client.channel.shutdown()
      throw error
    }
  }

  private init(client: EtcdClient, values: [StoredValue], revision: Revision) {
    self.client = client
    let replica = Replica(recentEvents: client.configuration.recentEvents)
    replica.reset(values, revision: revision)
    self.replica = replica
    leases = LeasePool(client: client)
    latest = SharedRevision(client: client)
    let loop = WatchLoop(client: client, replica: replica)
    // They live as long as the store: `close` and `deinit` end them.
    var tasks = [Task { await loop.run() }, Task { await loop.sweep() }]
    if client.configuration.compactionInterval > .zero {
      tasks.append(
        Task {
          var compactor = Compactor(client: client) { try await Self.compact(client, replica, to: $0) }
          await compactor.run()
        })
    }
    self.tasks = Mutex(tasks)
  }

  deinit {
    tasks.withLock { tasks in for task in tasks { task.cancel() } }
    replica.close()
  }

  private func checkOpen() throws {
    if closed.load(ordering: .acquiring) { throw StorageError.closed }
  }

  // MARK: Revisions

  /// The last revision that all followers have seen.
  public var currentRevision: Revision { replica.currentRevision }

  /// Revisions before this one can no longer be read, as far as this server knows.
  public var compactedRevision: Revision { replica.compactedRevision }

  /// False: other servers write as well.
  public var servesCurrentReads: Bool { false }

  /// The present revision, asked of etcd once for all who wait at the moment.
  public func latestRevision() async throws -> Revision {
    try checkOpen()
    return try await latest.value()
  }

  /// Returns when all followers have seen a revision.
  public func reach(_ revision: Revision) async throws { try await replica.reach(revision) }

  /// Asks for the present revision.
  public func checkHealth() async throws {
    try checkOpen()
    _ = try await client.presentRevision(timeout: .seconds(2))
  }

  // MARK: Reads

  /// The live value of a key.
  public func get(_ key: String) async throws -> StoredValue? {
    try checkOpen()
    let (value, header) = try await client.get(key)
    try await replica.reach(header.revision)
    return value
  }

  /// A page of keys, of the present or of a past revision.
  public func list(prefix: String, after: String?, limit: Int?, at: Revision?) async throws -> StoragePage {
    try checkOpen()
    let start = layout.outer(prefix).key
    var from = start
    if let after, after > prefix { from = layout.outer(after).key + [0] }
    do {
      let page = try await client.pages(
        from: from, to: EtcdLayout.end(of: start), limit: limit, at: at == 0 ? nil : at)
      if at == nil || at == 0 { try await replica.reach(page.revision) }
      return page
    } catch EtcdRefusal.future {
      throw StorageError.future(requested: at ?? 0, current: currentRevision)
    } catch EtcdRefusal.compacted {
      throw StorageError.compacted(requested: at ?? 0, compacted: try await learnCompaction(at ?? 0))
    }
  }

  private func learnCompaction(_ asked: Revision) async throws -> Revision {
    if compactedRevision <= asked {
      replica.noteCompaction(try await client.compactedRevision(asked: asked))
    }
    return compactedRevision
  }

  /// Every write under a prefix after a revision: from memory while it is recent, else from etcd.
  public func events(prefix: String, after: Revision) async throws -> [StorageEvent] {
    try checkOpen()
    guard after >= compactedRevision else {
      throw StorageError.compacted(requested: after, compacted: compactedRevision)
    }
    let through = currentRevision
    guard after < through else { return [] }
    if let recent = replica.events(prefix: prefix, after: after) { return recent }
    do {
      return try await client.history(after: after, through: through).compactMap { $0.event(under: prefix) }
    } catch StorageError.compacted(let requested, let compacted) {
      replica.noteCompaction(compacted)
      throw StorageError.compacted(requested: requested, compacted: compacted)
    }
  }

  // MARK: Writes

  /// Writes a key, and returns when the write is durable and all followers have seen it.
  public func put(
    _ key: String, _ value: [UInt8], if precondition: Precondition, ttl: Int?
  ) async throws -> WriteOutcome {
    try checkOpen()
    guard let ttl else { return try await put(key, value, precondition, lease: 0) }
    let lease = try await leases.lease(ttl)
    do {
      return try await put(key, value, precondition, lease: lease)
    } catch EtcdRefusal.leaseGone {
      await leases.forget(lease)
      return try await put(key, value, precondition, lease: leases.lease(ttl))
    }
  }

  private func put(
    _ key: String, _ value: [UInt8], _ precondition: Precondition, lease: UInt64
  ) async throws -> WriteOutcome {
    let (outer, place) = layout.outer(key)
    let (head, from) = layout.outer(value, place)
    let comparisons: [KeyTxn.Comparison]
    switch precondition {
    case .any: comparisons = []
    case .absent: comparisons = [.absent]
    // etcd takes 0 for the revision of a key that is not there.
    case .revision(0): return try await conflict(key)
    case .revision(let revision): comparisons = [.modified(revision)]
    }
    let request = KeyTxn(
      key: outer, comparisons: comparisons, change: .put(head: head, value: value, from: from, lease: lease))
    return try await write(key, request) { revision, now, before in
      let written =
        now
        ?? StoredValue(
          key: key, value: value, createRevision: before?.createRevision ?? revision, modRevision: revision)
      return .committed(written, previous: before)
    }
  }

  /// Deletes a key, and returns when that is durable and all followers have seen it.
  public func delete(_ key: String, if precondition: Precondition) async throws -> WriteOutcome {
    try checkOpen()
    let comparison: KeyTxn.Comparison
    switch precondition {
    case .any: comparison = .exists
    case .absent, .revision(0): return try await conflict(key)
    case .revision(let revision): comparison = .modified(revision)
    }
    let request = KeyTxn(key: layout.outer(key).key, comparisons: [comparison], change: .delete)
    return try await write(key, request) { revision, _, before in
      var last = before ?? StoredValue(key: key, value: [], createRevision: 0, modRevision: 0)
      last.modRevision = revision
      return .committed(last, previous: before)
    }
  }

  /// `outcome` makes the answer where the event of the write is no longer at hand.
  private func write(
    _ key: String, _ request: KeyTxn, _ outcome: (Revision, StoredValue?, StoredValue?) -> WriteOutcome
  ) async throws -> WriteOutcome {
    let answer = try TxnResponse(await client.write(EtcdMethod.txn, request.bytes), layout)
    try client.check(answer.header)
    let revision = answer.header.revision
    try await replica.reach(revision)
    guard answer.succeeded else { return .conflict(current: answer.current) }
    if let event = replica.event(key, at: revision) { return .committed(event.current, previous: event.previous) }
    let now = try? await client.get(key, at: revision).value
    let before = try? await client.get(key, at: revision - 1).value
    return outcome(revision, now, before)
  }

  private func conflict(_ key: String) async throws -> WriteOutcome { .conflict(current: try await get(key)) }

  // MARK: Followers

  /// Hands over the keys under a prefix and then every change, in order. The snapshot comes again, as of a later
  /// revision, when etcd compacted changes before this server could see them.
  public func follow(
    prefix: String,
    onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> any StorageSubscription {
    try checkOpen()
    return try replica.follow(prefix: prefix, onSnapshot: onSnapshot, onEvents: onEvents)
  }

  // MARK: Compaction and closing

  /// Gives up the history before a revision.
  public func compact(to revision: Revision) async throws {
    try checkOpen()
    try await Self.compact(client, replica, to: revision)
  }

  private static func compact(_ client: EtcdClient, _ replica: Replica, to revision: Revision) async throws {
    guard revision > replica.compactedRevision else { return }
    do {
      _ = try await client.read(EtcdMethod.compact, compactionRequest(revision), timeout: .seconds(30))
    } catch EtcdRefusal.compacted {
      // Somebody else went further.
    } catch EtcdRefusal.future {
      throw StorageError.future(requested: revision, current: replica.currentRevision)
    }
    replica.noteCompaction(revision)
  }

  /// Ends the watch and the connection.
  public func close() async {
    guard !closed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    tasks.withLock { tasks in for task in tasks { task.cancel() } }
    replica.close()
    await client.channel.shutdown()
  }
}

extension WatchResponse.Change {
  /// The event that a past change was, if it was one under a prefix.
  func event(under prefix: String) -> StorageEvent? {
    switch self {
    case .put(let item, let previous):
      guard item.value.key.hasPrefix(prefix) else { return nil }
      return StorageEvent(
        kind: .put, current: item.value,
        previous: item.value.createRevision == item.value.modRevision ? nil : previous)
    case .delete(let key, let revision, let previous):
      guard key.hasPrefix(prefix) else { return nil }
      var last = previous ?? StoredValue(key: key, value: [], createRevision: 0, modRevision: 0)
      last.modRevision = revision
      return StorageEvent(kind: .delete, current: last, previous: previous)
    case .foreign, .compaction: return nil
    }
  }
}

extension EtcdClient {
  /// The endpoints, for messages.
  var names: String { configuration.endpoints.joined(separator: ",") }
}
