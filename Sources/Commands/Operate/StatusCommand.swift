import API
import ArgumentParser
import Client
import Glibc
import PKI

/// Says whether the cluster in a data directory is up: its API server ready and its nodes Ready.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Say whether the API server and the nodes are ready; on an agent, its own node.")

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

  fileprivate struct State {
    var isReady: Bool
    var text: String
  }

  private func observe() async -> State {
    guard access(directories.adminKubeconfig, R_OK) == 0 else {
      if let state = await observeAgent() { return state }
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

extension StatusCommand {
  /// What an agent knows with its own identity: its servers and its own node. Nil where no agent has joined from.
  private func observeAgent() async -> State? {
    let store = AgentStore(directory: directories.agent)
    guard let authority = store.authority, let identity = store.pair(.client), let servers = try? store.servers,
      !servers.isEmpty
    else { return nil }
    do {
      let info = try CertificateInfo(pem: identity.certificatePEM)
      let name = String(info.commonName.dropFirst("system:node:".count))
      let transport = try Membership(authority: authority, servers: servers, identity: identity).transport()
      let client = APIClient(transport: transport, userAgent: "apus/\(Version.git)")
      let running = RunningServer.pid(directories) != nil
      let node = try await client.get(Node.self, name: name)
      let text = [
        "agent: \(running ? "running" : "not running")", "server: \(transport.currentServer)",
        "node \(name): \(node.isReady ? "Ready" : "NotReady")",
      ].joined(separator: "\n")
      await transport.shutdown()
      return State(isReady: running && node.isReady, text: text)
    } catch let error as StatusError {
      return State(isReady: false, text: "server: \(error.message)")
    } catch {
      return State(isReady: false, text: "server: \(error)")
    }
  }
}

/// A client with the administrator's rights, from the data directory's kubeconfig.
func adminClient(_ directories: Directories) throws -> APIClient {
  let access = try ClusterAccess.kubeconfig(path: directories.adminKubeconfig)
  return APIClient(transport: try HTTPTransport(access), userAgent: "apus/\(Version.git)")
}
