import Foundation
import Logging
import Storage
import StorageSQLite
import Testing

let quiet = Logger(label: "store", factory: { _ in SwiftLogNoOpLogHandler() })

/// A directory that goes when the test does.
final class Scratch: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("store-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  func open(_ change: (inout SQLiteStorage.Configuration) -> Void = { _ in }) throws -> SQLiteStorage {
    var configuration = SQLiteStorage.Configuration()
    change(&configuration)
    return try SQLiteStorage(directory: path, logger: quiet, configuration: configuration)
  }
}

func commit(_ outcome: WriteOutcome) throws -> StoredValue {
  guard case .committed(let value, _) = outcome else {
    Issue.record("not committed: \(outcome)")
    throw StorageError.engine("not committed")
  }
  return value
}

/// Waits for something that happens on another thread without being announced.
func eventually(_ condition: () throws -> Bool) async throws -> Bool {
  for _ in 0..<500 {
    if try condition() { return true }
    try await Task.sleep(for: .milliseconds(10))
  }
  return false
}
