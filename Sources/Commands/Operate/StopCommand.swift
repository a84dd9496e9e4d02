import ArgumentParser
import ContainerRuntime
import Glibc
import Logging

/// Ends a server or an agent started from a data directory, and on request its pods and their engine.
struct StopCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stop", abstract: "Stop the server or agent; with --pods, its containers and their engine as well.")

  @OptionGroup var directories: Directories

  @Flag(help: "Stop and remove the node's containers, their networks and mounts.")
  var pods = false

  func run() async throws {
    if let pid = RunningServer.pid(directories) {
      kill(pid, SIGTERM)
      for _ in 0..<300 where RunningServer.pid(directories) != nil { try await Task.sleep(for: .milliseconds(100)) }
      if RunningServer.pid(directories) != nil { throw ValidationError("process \(pid) does not end") }
    }
    guard pods else { return }
    await ContainerdSupervisor(
      configuration: directories.containerRuntime, logger: Logger(label: "container-runtime")
    ).tearDown()
    // Pods' own tmpfs volumes are mounts under the kubelet's directory.
    Mounts.unmountAll(below: directories.kubelet)
  }
}
