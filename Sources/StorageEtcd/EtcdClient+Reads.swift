internal import GRPC
internal import NIOCore
internal import Storage

/// Reads of etcd's keys and history.
extension EtcdClient {
  /// One key; with a revision, as it was then.
  func get(_ key: String, at revision: Revision = 0) async throws -> (value: StoredValue?, header: ResponseHeader) {
    let request = RangeRequest(key: configuration.layout.outer(key).key, revision: revision)
    let answer = try RangeResponse(await read(EtcdMethod.range, request.bytes), configuration.layout)
    try check(answer.header)
    return (answer.values.first, answer.header)
  }

  /// The present revision, as all clients together see it.
  func presentRevision(timeout: Duration? = nil) async throws -> Revision {
    let request = RangeRequest(key: Array("/registry/health".utf8), limit: 1, keysOnly: true)
    let answer = try HeaderOnly(await read(EtcdMethod.range, request.bytes, timeout: timeout))
    try check(answer.header)
    return answer.header.revision
  }

  /// The keys of a range at one revision, page by page; `limit` counts all pages together.
  func pages(
    from start: [UInt8], to end: [UInt8], limit: Int?, at pinned: Revision?
  ) async throws -> (items: [StoredValue], revision: Revision, more: Bool) {
    var request = RangeRequest(key: start, end: end, revision: pinned ?? 0)
    var items: [StoredValue] = []
    while true {
      request.limit = min(configuration.pageSize, (limit ?? Int.max) - items.count)
      let answer = try RangeResponse(
        await read(EtcdMethod.range, request.bytes, timeout: .seconds(30)), configuration.layout)
      try check(answer.header)
      items += answer.values
      if request.revision == 0 { request.revision = answer.header.revision }
      if !answer.more || items.count == limit { return (items, request.revision, answer.more) }
      request.key = answer.lastKey + [0]
    }
  }

  /// Everything, at one revision.
  func everything() async throws -> (items: [StoredValue], revision: Revision) {
    var attempts = 0
    while true {
      do {
        let found = try await pages(from: [0], to: [0], limit: nil, at: nil)
        if let odd = found.items.first(where: { $0.key.hasPrefix("/registry/") && EtcdLayout.isProtobuf($0.value) }) {
          throw StorageError.engine(
            "etcd has \(odd.key) in protobuf form; objects must be stored as JSON "
              + "(kube-apiserver --storage-media-type=application/json rewrites them)")
        }
        return (found.items, found.revision)
      } catch EtcdRefusal.compacted where attempts < 3 {
        // Reading took longer than the history was kept.
        attempts += 1
      }
    }
  }

  /// Opens a watch of every key.
  func watch(from revision: Revision, previous: Bool, timeout: Duration? = nil) async throws -> GRPCCall {
    try checkUsable()
    let address = channel.connectedAddress
    do {
      let call = try await channel.call(
        EtcdMethod.watch, options: GRPCCallOptions(timeout: timeout, metadata: Self.metadata))
      try await call.send(watchRequest(from: revision, previous: previous))
      return call
    } catch let status as GRPCStatus {
      if case .refused = Failure(status), let address { channel.leave(address) }
      throw Failure(status).error(true)
    }
  }

  /// The changes in `after...through` (`through` at least), each with what stood there before.
  func history(after: Revision, through: Revision) async throws -> [WatchResponse.Change] {
    let call = try await watch(from: after + 1, previous: true, timeout: .seconds(30))
    defer { call.cancel() }
    var changes: [WatchResponse.Change] = []
    var last = after
    do {
      while last < through, let message = try await call.receive() {
        let response = try WatchResponse(message, configuration.layout)
        try check(response.header)
        if response.canceled {
          guard response.compacted > 0 else { throw StorageError.unavailable("etcd ended a watch: \(response.reason)") }
          throw StorageError.compacted(requested: after, compacted: response.compacted)
        }
        for change in response.changes {
          // A revision is missing when it was a deletion at the very revision of a compaction.
          guard change.revision <= last + 1 else {
            throw StorageError.compacted(requested: after, compacted: max(after + 1, last + 1))
          }
          last = change.revision
          changes.append(change)
        }
      }
    } catch let status as GRPCStatus {
      throw Failure(status).error(true)
    }
    guard last >= through else { throw StorageError.unavailable("etcd ended a watch") }
    return changes
  }

  /// What the revision is before which nothing can be read, found out where `asked` is too old.
  func compactedRevision(asked: Revision) async throws -> Revision {
    let call = try await watch(from: max(1, asked), previous: false, timeout: configuration.readTimeout)
    defer { call.cancel() }
    do {
      while let message = try await call.receive() {
        let response = try WatchResponse(message, configuration.layout)
        if response.compacted > 0 { return response.compacted }
        guard response.created else { break }
      }
    } catch let status as GRPCStatus {
      throw Failure(status).error(true)
    }
    return asked + 1
  }
}

/// The present revision for many at a time: whoever asks while a read is under way waits for the next one, because the
/// one under way may be older than what they must see.
actor SharedRevision {
  private let client: EtcdClient
  private var current: Task<Revision, any Error>?
  private var next: Task<Revision, any Error>?
  private var failure: (at: ContinuousClock.Instant, error: any Error)?

  init(client: EtcdClient) { self.client = client }

  func value() async throws -> Revision {
    // An etcd that has just not answered is not asked for every request.
    if let failure, .now - failure.at < .seconds(1) { throw failure.error }
    if let next { return try await next.value }
    // These tasks are shared: none may end with the request of one who waits.
    let task: Task<Revision, any Error>
    if let current {
      task = Task {
        _ = await current.result
        self.current = self.next
        self.next = nil
        return try await self.read()
      }
      next = task
    } else {
      task = Task { try await self.read() }
      current = task
    }
    return try await task.value
  }

  private func read() async throws -> Revision {
    defer { if next == nil { current = nil } }
    do {
      let revision = try await client.presentRevision()
      failure = nil
      return revision
    } catch {
      failure = (.now, error)
      throw error
    }
  }
}
