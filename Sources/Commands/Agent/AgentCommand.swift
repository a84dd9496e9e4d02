import ArgumentParser
import Glibc
import Linux
import Logging
import ServiceLifecycle
import UnixSignals

/// A node of a cluster whose servers are elsewhere.
struct AgentCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agent", abstract: "Run a node of a cluster whose servers are elsewhere.",
    discussion: "\"apus token create\" on a server prints the whole command. What joins is needed once: later starts "
      + "go on with the node's own certificate.")

  @OptionGroup var directories: Directories

  @OptionGroup var nodeOptions: NodeOptions

  @Option(help: "The servers' URLs, by commas.")
  var server: String?

  @Option(help: "The bootstrap token (id.secret) to join with.")
  var token: String?

  @Option(help: "A file that holds the bootstrap token.")
  var tokenFile: String?

  @Option(help: "The pin of the cluster's CA: sha256:<hex of its SubjectPublicKeyInfo>.")
  var caHash: String?

  @Option(help: "This node's name; the host's name in lower case by default.")
  var nodeName: String?

  @Option(help: "This node's address; that of the default route's interface by default.")
  var nodeIP: String?

  @Option(help: "Port on which the kubelet listens.")
  var kubeletPort = 10250

  @Option(
    help: "The socket of a CRI engine that somebody else runs (unix:///…); by default the agent runs containerd.")
  var containerRuntimeEndpoint: String?

  @Option(
    help: "How much to log: trace, debug, info, notice, warning, error or critical.",
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else { throw ValidationError("no such level: \(text)") }
      return level
    })
  var logLevel = Logger.Level.info

  var servers: [String] {
    (server ?? "").split(separator: ",").map { String($0.hasSuffix("/") ? $0.dropLast() : $0) }
  }

  var joinToken: JoinToken? { (token ?? tokenFile.flatMap(Self.read)).flatMap { JoinToken($0) } }

  func validate() throws {
    if let nodeName, !nodeName.allSatisfy({ $0.isLowercase || $0.isNumber || $0 == "-" || $0 == "." }) {
      throw ValidationError("--node-name must consist of lower case letters, digits, '-' and '.'")
    }
    if let endpoint = containerRuntimeEndpoint, !endpoint.hasPrefix("unix://") {
      throw ValidationError("--container-runtime-endpoint must begin with unix://")
    }
    for url in servers where !url.hasPrefix("https://") || url.count <= "https://".count {
      throw ValidationError("--server must name URLs like https://10.0.0.1:6443, not \(url)")
    }
    if token != nil, tokenFile != nil { throw ValidationError("--token and --token-file exclude each other") }
    if let token, JoinToken(token) == nil {
      throw ValidationError(
        "--token must have the form abcdef.0123456789abcdef (the token of a server joins servers, not agents)")
    }
    if let caHash, !Self.isPin(caHash) {
      throw ValidationError("--ca-hash must be sha256: and 64 hexadecimal digits")
    }
  }

  func run() async throws {
    signal(SIGPIPE, SIG_IGN)
    guard getuid() == 0 else { throw ValidationError("a node needs root: it makes namespaces, mounts and containers") }
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = logLevel
      return handler
    }
    let logger = Logger(label: "apus")
    for directory in [directories.dataDir, directories.stateDir] {
      if mkdir(directory, 0o755) != 0, errno != EEXIST {
        throw ValidationError("\(directory): \(String(cString: strerror(errno)))")
      }
    }
    guard let claim = RunningServer(claiming: directories) else {
      throw ValidationError("another server or agent is running in \(directories.dataDir)")
    }
    guard let address = nodeIP ?? HostNetwork.nodeAddress() else {
      throw ValidationError("this machine has no address but the loopback one: name one with --node-ip")
    }
    if let tokenFile, joinToken == nil { throw ValidationError("\(tokenFile) holds no bootstrap token") }
    let parts = try await AgentParts(
      arguments: self, nodeName: nodeName ?? NodeName.ofHost(), nodeAddress: address, logger: logger)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: parts.services.map { .init(service: $0, failureTerminationBehavior: .gracefullyShutdownGroup) },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
    _ = consume claim
    logger.info("stopped; pods go on")
  }

  static func isPin(_ text: String) -> Bool {
    text.hasPrefix("sha256:") && text.utf8.count == 71 && text.dropFirst(7).allSatisfy(\.isHexDigit)
  }

  private static func read(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self).filter { !$0.isWhitespace }
  }
}
