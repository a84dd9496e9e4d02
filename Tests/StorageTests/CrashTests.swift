import Foundation
import Storage
import StorageSQLite
import Testing

/// The server is killed while it writes; what it had acknowledged must be there.
@Suite struct CrashTests {
  private static let variable = "STORE_CRASH_DIRECTORY"

  /// Runs in the child process only: writes without end, and notes every acknowledgement outside the store.
  @Test(.enabled(if: ProcessInfo.processInfo.environment[variable] != nil))
  func crashChild() async throws {
    let directory = try #require(ProcessInfo.processInfo.environment[Self.variable])
    var configuration = SQLiteStorage.Configuration()
    configuration.compactionInterval = 30
    configuration.checkpointPages = 20
    let store = try SQLiteStorage(directory: directory + "/store", logger: quiet, configuration: configuration)
    let acknowledged = open(directory + "/acknowledged", O_WRONLY | O_APPEND | O_CREAT, 0o600)
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<8 {
        group.addTask {
          var round = 0
          while let outcome = try? await store.put(
            "/p/\(writer)/\(round % 50)", Array("\(writer) \(round)".utf8), if: .any)
          {
            guard case .committed(let value, _) = outcome else { return }
            let line = "\(value.modRevision) \(writer) \(round)\n"
            _ = write(acknowledged, line, line.utf8.count)
            round += 1
          }
        }
      }
    }
  }

  @Test func nothingAcknowledgedIsLost() async throws {
    let scratch = try Scratch()
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/proc/\(getpid())/exe").resolvingSymlinksInPath()
    child.arguments = ["--testing-library", "swift-testing", "--filter", "crashChild"]
    child.environment = ProcessInfo.processInfo.environment.merging([Self.variable: scratch.path]) { $1 }
    child.standardOutput = FileHandle.nullDevice
    child.standardError = FileHandle.nullDevice
    try child.run()
    let log = scratch.path + "/acknowledged"
    #expect(try await eventually { (try? String(contentsOfFile: log, encoding: .utf8))?.count ?? 0 > 20_000 })
    kill(child.processIdentifier, SIGKILL)
    child.waitUntilExit()
    #expect(child.terminationReason == .uncaughtSignal)

    // Per key the acknowledged write of the highest revision; the store may be ahead of it, never behind.
    var newest: [String: (revision: Revision, round: Int)] = [:]
    var highest: Revision = 0
    for line in try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n") {
      let parts = line.split(separator: " ").compactMap { Int($0) }
      try #require(parts.count == 3)
      let key = "/p/\(parts[1])/\(parts[2] % 50)"
      highest = max(highest, Revision(parts[0]))
      if newest[key].map({ $0.revision < Revision(parts[0]) }) ?? true { newest[key] = (Revision(parts[0]), parts[2]) }
    }
    let store = try SQLiteStorage(directory: scratch.path + "/store", logger: quiet)
    #expect(store.currentRevision >= highest)
    #expect(newest.count > 8)
    for (key, write) in newest {
      let found = try #require(try await store.get(key))
      #expect(found.modRevision >= write.revision)
      if found.modRevision == write.revision {
        #expect(String(decoding: found.value, as: UTF8.self).hasSuffix(" \(write.round)"))
      }
    }
    await store.close()
  }
}
