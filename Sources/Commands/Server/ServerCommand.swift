import ArgumentParser
import Glibc
import Linux
import Logging
import ServiceLifecycle
import UnixSignals

/// A whole control plane and a node in one process.
struct ServerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "server", abstract: "Run a control plane and a node in this process.")

  @OptionGroup var directories: Directories

  @OptionGroup var nodeOptions: NodeOptions

  @OptionGroup var lifecycle: NodeLifecycleOptions

  @OptionGroup var cloud: CloudControllerOptions

  @Option(help: "This node's name; the host's name in lower case by default.")
  var nodeName: String?

  @Option(help: "This node's address; that of the default route's interface by default.")
  var nodeIP: String?

  @OptionGroup var datastore: DatastoreOptions

  @OptionGroup var serverToken: ServerTokenOptions

  @Option(help: "Address on which the API server listens.")
  var bindAddress = "0.0.0.0"

  @Option(help: "Port on which the API server listens.")
  var httpsListenPort = 6443

  @Option(help: "Port on which the kubelet listens.")
  var kubeletPort = 10250

  @Option(name: .customLong("tls-san"), help: "A further name or address for the API server's certificate.")
  var serverNames: [String] = []

  @Option(name: .customLong("cluster-cidr"), help: "Addresses of pods.")
  var clusterCIDR = "10.244.0.0/16"

  @Option(name: .customLong("service-cidr"), help: "Addresses of Services.")
  var serviceCIDR = "10.96.0.0/12"

  @Option(name: .customLong("cluster-dns"), help: "Address of the Service kube-dns.")
  var clusterDNS = "10.96.0.10"

  @Option(help: "The cluster's DNS domain.")
  var clusterDomain = "cluster.local"

  @Option(
    help: "The socket of a CRI engine that somebody else runs (unix:///…); by default the server runs containerd.")
  var containerRuntimeEndpoint: String?

  @Option(
    name: .customLong("kube-apiserver-arg"),
    help: """
      A flag of kube-apiserver, as flag=value: about audit, encryption, admission plugins, authentication and \
      authorization.
      """
  )
  var apiServerArguments: [String] = []

  @Option(
    help: "How much to log: trace, debug, info, notice, warning, error or critical.",
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else { throw ValidationError("no such level: \(text)") }
      return level
    })
  var logLevel = Logger.Level.info

  func validate() throws {
    if let nodeName, !nodeName.allSatisfy({ $0.isLowercase || $0.isNumber || $0 == "-" || $0 == "." }) {
      throw ValidationError("--node-name must consist of lower case letters, digits, '-' and '.'")
    }
    if let endpoint = containerRuntimeEndpoint, !endpoint.hasPrefix("unix://") {
      throw ValidationError("--container-runtime-endpoint must begin with unix://")
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
      throw ValidationError("another server is running in \(directories.dataDir)")
    }
    guard let address = nodeIP ?? HostNetwork.nodeAddress() else {
      throw ValidationError("this machine has no address but the loopback one: name one with --node-ip")
    }
    let cluster = try await ServerParts(
      arguments: self, nodeName: nodeName ?? NodeName.ofHost(), nodeAddress: address, logger: logger)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: cluster.services.map { .init(service: $0, failureTerminationBehavior: .gracefullyShutdownGroup) },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
    _ = consume claim
    logger.info("stopped; pods go on")
  }
}
