import Storage
import StorageSQLite
import Testing

@Suite struct ConformanceTests {
  @Test(arguments: StorageConformance.cases)
  func sqlite(_ requirement: StorageConformance.Case) async throws {
    let scratch = try Scratch()
    let store = try scratch.open()
    try await requirement.run(store)
    await store.close()
  }

  /// The same with nearly nothing kept in memory, so that history comes from the log, and with tiny batches.
  @Test(arguments: StorageConformance.cases)
  func sqliteFromTheLog(_ requirement: StorageConformance.Case) async throws {
    let scratch = try Scratch()
    let store = try scratch.open {
      $0.recentEvents = 1
      $0.batchOperations = 2
      $0.checkpointPages = 1
    }
    try await requirement.run(store)
    await store.close()
  }
}
