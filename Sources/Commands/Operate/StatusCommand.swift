import API
import ArgumentParser
import Client
import Glibc

/// Says whether the cluster in a data directory is up: its API server ready and its nodes Ready.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Say whether the API server and the nodes are ready.")

  @OptionGroup var directories: Directories

  @Option(help: "Wait up to that many seconds for everything to be ready.")
  var wait = 0

  func run() async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(wait)
    var state = await observe()
    while !state.isReady, clock.now < deadline {
      try await Task.sleep(for: .milliseconds(100))
      state = await observe()
    }
    print(state.text)
    if !state.isReady { throw ExitCode.failure }
  }

  private struct State {
    var isReady: Bool
    var text: String
  }

  private func observe() async -> State {
    guard access(directories.adminKubeconfig, R_OK) == 0 else {
      return State(isReady: false, text: "no cluster in \(directories.dataDir)")
    }
    do {
      let client = try adminClient(directories)
      _ = try await client.raw("GET", "/readyz")
      let nodes = try await client.list(Node.self).items
      let lines = nodes.map { "node \($0.metadata.name): \($0.isReady ? "Ready" : "NotReady")" }
      let ready = !nodes.isEmpty && nodes.allSatisfy(\.isReady)
      return State(
        isReady: ready, text: (["API server: ready"] + (lines.isEmpty ? ["no nodes"] : lines)).joined(separator: "\n"))
    } catch {
      return State(isReady: false, text: "API server: \(error)")
    }
  }
}

/// A client with the administrator's rights, from the data directory's kubeconfig.
func adminClient(_ directories: Directories) throws -> APIClient {
  let access = try ClusterAccess.kubeconfig(path: directories.adminKubeconfig)
  return APIClient(transport: try HTTPTransport(access), userAgent: "apus/\(Version.git)")
}
