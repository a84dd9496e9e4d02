import API
import CRI
import Logging

/// Rotates container logs that have grown too large.
struct LogRotation: Sendable {
  let engine: any ContainerEngine
  let maxSize: Int64
  let maxFiles: Int
  let logger: Logger

  /// One round over all running containers.
  func run() async {
    var filter = CRIContainerFilter()
    filter.state.state = .containerRunning
    guard let containers = try? await engine.listContainers(filter) else { return }
    for container in containers {
      guard let status = try? await engine.containerStatus(container.id), !status.logPath.isEmpty,
        let size = Files.size(status.logPath), size >= maxSize
      else { continue }
      do {
        try await rotate(status.logPath, container.id)
      } catch {
        logger.warning("rotating a log failed", metadata: ["log": "\(status.logPath)", "error": "\(describe(error))"])
      }
    }
  }

  /// Gives the log a name with the time in it, has the runtime begin a new one, and drops the oldest.
  func rotate(_ path: String, _ id: String) async throws {
    let directory = Files.directory(of: path)
    let name = Files.name(of: path)
    let old = try Files.list(directory).filter { $0.hasPrefix(name + ".") }
    // The current file and the one about to be made count as well.
    for excess in old.dropLast(max(maxFiles - 2, 0)) { try Files.remove("\(directory)/\(excess)") }
    let stamp = Time.now.description.filter(\.isNumber)
    let rotated = "\(directory)/\(name).\(stamp.prefix(8))-\(stamp.dropFirst(8))"
    try Files.rename(path, rotated)
    do {
      try await engine.reopenContainerLog(id)
    } catch {
      // Without a new file the container would go on writing into the rotated one unseen.
      try Files.rename(rotated, path)
      throw error
    }
  }
}
