import API
import APIMachinery
import HTTP
import Storage

/// What a read accepts as an answer, by upstream's rules for `resourceVersion`.
enum Freshness: Equatable {
  /// Whatever the caches have.
  case any
  /// A state at least as new as a revision.
  case notOlderThan(Revision)
  /// Every write that was acknowledged, by any server, before the read began.
  case latest
  /// One past state, which the caches or the store's history have or have not.
  case exact

  /// Of a get.
  init(get version: String?) {
    switch version {
    case nil, "": self = .latest
    case "0": self = .any
    case .some(let text): self = UInt64(text).map { .notOlderThan($0) } ?? .any
    }
  }

  /// Of a list.
  init(list query: ListQuery) {
    if let text = query.continueToken {
      // A token that cannot be read is refused where it is used.
      let token = try? ContinueToken(text)
      self = token.map { $0.revision == nil ? .latest : .exact } ?? .any
      return
    }
    switch (query.resourceVersion, query.match) {
    case (nil, _): self = .latest
    case (_, .exact): self = .exact
    case (0, _): self = .any
    case (.some(let version), _): self = .notOlderThan(version)
    }
  }
}

/// What clients are told when answers may be out of date.
private let staleWarning = "the store cannot be reached: this may be out of date"

extension Registry {
  /// The revision up to which every cache is complete.
  private func revision(_ resource: ServedResource?) -> Revision {
    max(hub.clock.current, resource?.cache?.lastChange ?? 0)
  }

  /// Whether the caches can answer without waiting.
  func isFresh(_ freshness: Freshness, _ resource: ServedResource) -> Bool {
    switch freshness {
    case .any, .exact: true
    case .latest: storage.servesCurrentReads
    case .notOlderThan(let version): revision(resource) >= version
    }
  }

  /// Waits until the caches can answer. While the store is away they answer with what they have: the result then holds
  /// the warning for the client.
  func freshen(_ freshness: Freshness, _ resource: ServedResource) async throws -> [String] {
    switch freshness {
    case .any: return []
    case .notOlderThan(let version):
      try await reach(version, resource)
      return []
    case .exact: return []
    case .latest:
      if storage.servesCurrentReads { return [] }
      let latest: Revision
      do { latest = try await storage.latestRevision() } catch StorageError.unavailable {
        return [staleWarning]
      } catch StorageError.timeout {
        return [staleWarning]
      }
      try await reach(latest, resource)
      return []
    }
  }

  /// Waits until the caches have reached a revision, three seconds at most.
  func reach(_ version: Revision, _ resource: ServedResource?) async throws {
    if revision(resource) >= version { return }
    let reached = await withTaskGroup(of: Bool.self) { [storage] group in
      group.addTask {
        do { try await storage.reach(version) } catch { return false }
        return true
      }
      group.addTask {
        try? await Task.sleep(for: .seconds(3))
        return false
      }
      defer { group.cancelAll() }
      return await group.next() ?? false
    }
    guard reached || revision(resource) >= version else {
      throw StatusError.tooLargeResourceVersion(version, current: revision(resource))
    }
  }

  /// Changes something. Where other servers write too, the caches may be behind: a change that succeeds was compared with
  /// the store's state, but one that is refused is looked at once more when the caches have caught up.
  func mutate(
    _ resource: ServedResource, _ body: () async throws -> HTTPResponse
  ) async throws -> HTTPResponse {
    if storage.servesCurrentReads { return try await body() }
    let before = hub.clock.current
    do {
      return try await body()
    } catch let error as StatusError where [403, 404, 409, 422].contains(error.code) {
      _ = try await freshen(.latest, resource)
      guard hub.clock.current > before else { throw error }
      return try await body()
    }
  }
}

extension StatusError {
  /// Any error as a client sees it.
  init(of error: any Error) {
    switch error {
    case let status as StatusError: self = status
    case StorageError.unavailable, StorageError.closed:
      self = .serviceUnavailable("the server is currently unable to handle the request: \(error)")
      retryAfterSeconds = 1
    case StorageError.timeout:
      self = .timeout("request did not complete within the allotted timeout: \(error)")
    default: self = .internalError("\(error)")
    }
  }
}
