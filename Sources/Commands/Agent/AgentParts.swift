import APIMachinery
import Client
import Logging
import PKI
import ServiceLifecycle

/// Everything that `apus agent` runs: the node's parts over HTTP, and what keeps its membership.
struct AgentParts: Sendable {
  let services: [any Service]

  init(arguments: AgentCommand, nodeName: String, nodeAddress: String, logger: Logger) async throws {
    let level = logger.logLevel
    let log: @Sendable (String) -> Logger = { label in
      var own = Logger(label: label)
      own.logLevel = level
      return own
    }
    let store = AgentStore(directory: arguments.directories.agent)
    let member = try await Membership.establish(
      .init(
        nodeName: nodeName, servers: arguments.servers, token: arguments.joinToken, pin: arguments.caHash), store,
      logger: log("agent"))
    let transport = try member.transport()
    let client = APIClient(transport: transport, userAgent: "apus/\(Version.git)")
    let settings = try await Self.settings(client, store, logger: log("agent"))
    try Self.ensureServingCertificate(store, nodeName: nodeName, nodeAddress: nodeAddress)

    let informers = InformerFactory(client: client, logger: log("informers"))
    let node = NodeParts(
      .init(
        nodeName: nodeName, nodeAddress: nodeAddress, directories: arguments.directories,
        kubeletPort: arguments.kubeletPort, clusterCIDR: settings.clusterCIDR, clusterDomain: settings.clusterDomain,
        clusterDNS: settings.clusterDNS, containerRuntimeEndpoint: arguments.containerRuntimeEndpoint,
        options: arguments.nodeOptions, isServer: false, servingCertificateFile: store.path(.serving),
        servingKeyFile: store.path(.serving), clientCAFile: store.authorityPath,
        cloudProvider: settings.cloudProvider),
      clients: .init(node: client, proxy: client, dns: client, informers: informers), logger: log)
    let list = ServerList(
      store: store, transport: transport, nodeName: nodeName, named: arguments.servers, informers: informers,
      logger: log("agent"))
    let keeper = CertificateKeeper(
      store: store, requester: CertificateRequester(client: client, nodeName: nodeName), transport: transport,
      addresses: [nodeAddress], logger: log("agent"))
    services =
      [
        Component("informers", informers.run), Component("servers", list.run), Component("certificates", keeper.run),
      ] + node.services
  }

  /// The cluster's settings: asked for, or those of the last time while no server answers, so that a node whose servers
  /// are away goes on with its pods.
  private static func settings(
    _ client: APIClient, _ store: AgentStore, logger: Logger
  ) async throws -> ClusterSettings {
    while true {
      do {
        let settings = try await ClusterSettings.fetch(client)
        if settings != store.settings { try store.save(settings) }
        return settings
      } catch let error as AgentError {
        throw error
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        if let known = store.settings { return known }
        logger.warning("the cluster's settings cannot be read yet", metadata: ["error": "\(error)"])
        try await Task.sleep(for: .seconds(1))
      }
    }
  }

  /// The kubelet serves from its first moment, with a certificate that nobody trusts until the cluster has signed one:
  /// that needs the node to be registered with its addresses.
  private static func ensureServingCertificate(_ store: AgentStore, nodeName: String, nodeAddress: String) throws {
    if let found = store.pair(.serving), let info = try? CertificateInfo(pem: found.certificatePEM),
      info.isValid(at: .now)
    {
      return
    }
    let own = try CertificateAuthority.create(commonName: "\(nodeName)-ca", validity: 24 * 3600)
    try store.save(
      own.issue(
        CertificateRequest(
          commonName: nodeName, dnsNames: [nodeName], ipAddresses: [nodeAddress], usages: [.serverAuth],
          validity: 24 * 3600)), as: .serving)
  }
}
