internal import GRPC
internal import Logging
internal import Storage
internal import Synchronization

/// Keeps the replica current with one watch, for as long as the store is open.
///
///     watching ── stream lost, member without leader ──▶ pause ──▶ watching from the next revision
///         └── changes compacted, or one missing ──▶ everything anew (`Replica.reset`) ──▶ watching
final class WatchLoop: Sendable {
  private enum End: Error {
    case incomplete(String)
  }
  private struct Guarded {
    var call: GRPCCall?
    var since: ContinuousClock.Instant?
    var mustReload = false
  }

  private let client: EtcdClient
  private let replica: Replica
  private let guarded = Mutex(Guarded())

  init(client: EtcdClient, replica: Replica) {
    self.client = client
    self.replica = replica
  }

  func run() async {
    var failures = 0
    while !Task.isCancelled {
      do {
        if guarded.withLock({ $0.mustReload }) { try await reload() }
        try await watch { failures = 0 }
        failures += 1
      } catch End.incomplete(let reason) {
        client.logger.warning(
          "the history of etcd has a gap: reading everything anew", metadata: ["reason": "\(reason)"])
        guarded.withLock { $0.mustReload = true }
      } catch {
        if Task.isCancelled { return }
        failures += 1
        let level: Logger.Level = failures == 3 ? .warning : .debug
        client.logger.log(level: level, "the watch of etcd broke", metadata: ["error": "\(error)"])
      }
      guarded.withLock { ($0.call, $0.since) = (nil, nil) }
      if failures > 0 { try? await Task.sleep(for: .milliseconds(min(50 << min(failures, 5), 1000))) }
    }
  }

  private func watch(_ began: () -> Void) async throws {
    let from = replica.currentRevision + 1
    let present = try await client.presentRevision()
    guard present >= from - 1 else {
      // Nobody who has seen a revision could understand one that means something else.
      client.refuseAll(
        "etcd went back from revision \(from - 1) to \(present): it was replaced or restored; restart this server")
      throw StorageError.unavailable("etcd went back")
    }
    let call = try await client.watch(from: from, previous: false)
    defer { call.cancel() }
    guarded.withLock { ($0.call, $0.since) = (call, .now) }
    var pending: [WatchResponse.Change] = []
    let address = client.channel.connectedAddress
    do {
      while let message = try await call.receive() {
        let response = try WatchResponse(message, client.configuration.layout)
        try client.check(response.header)
        if response.canceled {
          guard response.compacted > 0 else { throw StorageError.unavailable("canceled: \(response.reason)") }
          replica.noteCompaction(response.compacted)
          throw End.incomplete("revision \(from) is compacted, the oldest one kept is \(response.compacted)")
        }
        if response.created { began() }
        pending += response.changes
        if response.fragment || pending.isEmpty { continue }
        guard replica.apply(pending) else {
          throw End.incomplete("after \(replica.currentRevision) came \(pending.map(\.revision).prefix(3))")
        }
        pending.removeAll(keepingCapacity: true)
      }
    } catch let status as GRPCStatus {
      if case .refused = Failure(status), let address { client.channel.leave(address) }
      throw status
    }
  }

  private func reload() async throws {
    let (values, revision) = try await client.everything()
    guard revision >= replica.currentRevision else { return }
    replica.reset(values, revision: revision)
    guarded.withLock { $0.mustReload = false }
  }

  /// Ends waits that have become too long, and looks for a change that will never come: a deletion at the revision of a
  /// compaction is gone without a trace.
  func sweep() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(1))
      let now = ContinuousClock.now
      replica.failWaiters(olderThan: client.configuration.writeTimeout, now)
      guard let wait = replica.longestWait(upTo: client.seenRevision, now), wait > .seconds(2) else { continue }
      let call = guarded.withLock { guarded -> GRPCCall? in
        guard let since = guarded.since, now - since > .seconds(2) else { return nil }
        guarded.mustReload = true
        return guarded.call
      }
      call?.cancel()
    }
  }
}
