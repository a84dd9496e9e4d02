import API
import APIMachinery
import Storage

// Where other servers write to the same store, this one's caches may be behind what they have acknowledged.
extension Registry {
  /// Waits until the caches have every write that was acknowledged, by any server, before this call.
  func catchUp() async throws {
    if storage.servesCurrentReads { return }
    let latest = try await storage.latestRevision()
    if storage.currentRevision >= latest { return }
    try await withThrowingTaskGroup(of: Void.self) { [storage] group in
      group.addTask { try await storage.reach(latest) }
      group.addTask {
        try await Task.sleep(for: .seconds(3))
        throw StatusError.tooLargeResourceVersion(latest, current: storage.currentRevision)
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// Whether an object in the cache is what the store has. A change that comes to nothing must ask: nothing is written
  /// that would be compared.
  func isCurrent(_ object: CachedObject, _ resource: ServedResource) async throws -> Bool {
    if storage.servesCurrentReads { return true }
    return try await storage.get(storageKey(resource, object.key))?.modRevision == object.revision
  }

  /// Waits for the change that was faster to come into the cache.
  func awaitChange(of old: CachedObject, _ resource: ServedResource) async throws {
    guard resource.cache?.object(old.key)?.revision == old.revision else { return }
    if storage.servesCurrentReads { try await Task.sleep(for: .milliseconds(1)) } else { try await catchUp() }
  }
}
