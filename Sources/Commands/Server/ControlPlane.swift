import APIServer
import Client
import CloudControllerManager
import ControllerManager
import Logging
import NIOCore
import NIOPosix
import PKI
import Scheduler
import ServiceLifecycle
import Storage

/// The control plane of one server, in order of start: the API server, and the scheduler and the controllers, which reach
/// it in process.
struct ControlPlane: Sendable {
  /// Serves already.
  let server: APIServer
  let port: Int
  /// One decoded object per kind and revision serves every component of the process.
  let informers: InformerFactory
  let services: [any Service]

  init(
    arguments: ServerCommand, nodeName: String, nodeAddress: String, pki: ClusterPKI, storage: any Storage,
    isShared: Bool, logger: @Sendable (String) -> Logger
  ) async throws {
    let directories = arguments.directories
    var configuration = APIServer.Configuration()
    configuration.bindAddress = arguments.bindAddress
    configuration.port = arguments.httpsListenPort
    configuration.advertiseAddress = nodeAddress
    configuration.hostName = nodeName
    configuration.serviceCIDR = arguments.serviceCIDR
    configuration.servingCertificateFile = pki.certificatePath(.apiserver)
    configuration.servingKeyFile = pki.keyPath(.apiserver)
    configuration.clientCAFile = pki.authorityPath
    configuration.kubeletClientCertificateFile = pki.certificatePath(.apiserverKubeletClient)
    configuration.kubeletClientKeyFile = pki.keyPath(.apiserverKubeletClient)
    configuration.kubeletCAFile = pki.authorityPath
    configuration.requestHeaderClientCAFile = pki.frontProxyAuthorityPath
    configuration.requestHeaderAllowedNames = ["front-proxy-client"]
    configuration.requestHeaderUIDHeaders = ["X-Remote-Uid"]
    configuration.proxyClientCertificateFile = pki.certificatePath(.frontProxyClient)
    configuration.proxyClientKeyFile = pki.keyPath(.frontProxyClient)
    configuration.serviceAccountIssuer = "https://kubernetes.default.svc.\(arguments.clusterDomain)"
    configuration.serviceAccountKeyFile = pki.serviceAccountKeyPath
    // A node need not be in anybody's DNS: its address comes first, as kubeadm has it.
    configuration.kubeletPreferredAddressTypes = ["InternalIP", "ExternalIP", "Hostname"]
    configuration.gitVersion = Version.git
    configuration.enabledAdmissionPlugins = ["NodeRestriction"]
    configuration.servesResourceMetrics = true
    try APIServerFlags.apply(arguments: arguments.apiServerArguments, to: &configuration)
    let server = try APIServer(
      configuration: configuration, storage: storage, group: MultiThreadedEventLoopGroup.singleton,
      logger: logger("kube-apiserver"))
    self.server = server
    port = try await server.start()
    try pki.kubeconfig(for: .admin, server: "https://127.0.0.1:\(port)").write(to: directories.adminKubeconfig)

    informers = InformerFactory(
      client: Self.client(server, "system:apus-informers", [UserInfo.mastersGroup]), logger: logger("informers"))

    var controllerConfiguration = ControllerManager.Configuration()
    controllerConfiguration.rootCA = try pki.text(pki.authorityPath)
    controllerConfiguration.serviceAccountKeyPEM = try pki.text(pki.serviceAccountKeyPath)
    controllerConfiguration.clusterCIDR = arguments.clusterCIDR
    controllerConfiguration.localPathDirectory = directories.volumes
    controllerConfiguration.localNodeName = nodeName
    arguments.lifecycle.apply(to: &controllerConfiguration)
    let authority = try pki.authority()
    controllerConfiguration.clusterSigning = .init(
      certificatePEM: authority.certificatePEM, privateKeyPEM: authority.privateKeyPEM)

    let own = informers
    let holder = "\(nodeName)_\(UInt64.random(in: .min ... .max))"
    /// With a store of its own the server leads always; with a shared one it asks, part by part.
    func leading(
      _ name: String, _ client: APIClient,
      _ make: @escaping @Sendable (APIClient, InformerFactory) throws -> @Sendable () async throws -> Void
    ) -> Component {
      guard isShared else { return Component(name) { try await make(client, own)() } }
      let elected = Elected(name: name, client: client, identity: holder, logger: logger(name))
      return Component(name) { try await elected.run { try make(client, $0) } }
    }
    let (schedulerLog, controllerLog) = (logger("kube-scheduler"), logger("kube-controller-manager"))
    let controllerSettings = controllerConfiguration
    let (cloud, cloudLog) = (arguments.cloud, logger("cloud-controller-manager"))

    let bootstrap = ClusterBootstrap(
      client: Self.client(server, "kubernetes-admin", [UserInfo.mastersGroup]),
      authorityPEM: try pki.text(pki.authorityPath),
      server: "https://\(nodeAddress):\(port)",
      settings: ClusterSettings(
        clusterCIDR: arguments.clusterCIDR, serviceCIDR: arguments.serviceCIDR, clusterDNS: arguments.clusterDNS,
        clusterDomain: arguments.clusterDomain, cloudProvider: cloud.cloudProvider.rawValue), logger: logger("apus"))
    let parts: [any Service] = [
      Component("kube-apiserver") {
        try await server.run()
        await storage.close()
      },
      Component("informers", informers.run),
      Component("cluster-bootstrap", bootstrap.run),
      leading("kube-scheduler", Self.client(server, "system:kube-scheduler")) { client, informers in
        Scheduler(client: client, informers: informers, configuration: .init(), logger: schedulerLog).run
      },
      leading(
        "kube-controller-manager", Self.client(server, "system:kube-controller-manager")
      ) { client, informers in
        ControllerManager(
          client: client, informers: informers, configuration: controllerSettings,
          account: { Self.account(server, $0) }, logger: controllerLog
        ).run
      },
      Component(
        "node-role",
        NodeRole(
          client: Self.client(server, "kubernetes-admin", [UserInfo.mastersGroup]), node: nodeName, informers: informers
        ).run),
    ]
    guard cloud.cloudProvider != .none else {
      services = parts
      return
    }
    services =
      parts + [
        leading("cloud-controller-manager", Self.client(server, CloudControllerRights.user)) { client, informers in
          {
            guard let provider = try await cloud.provider(client: client, informers: informers, logger: cloudLog) else {
              return
            }
            try await CloudControllerManager(
              client: client, informers: informers, provider: provider, logger: cloudLog
            ).run()
          }
        }
      ]
  }

  /// An in-process client with a user's rights.
  func client(_ user: String, _ groups: [String] = []) -> APIClient { Self.client(server, user, groups) }

  /// An in-process client that acts as a service account of kube-system. Nobody else can be in this process, so it needs
  /// no token to prove it.
  private static func account(_ server: APIServer, _ name: String) -> APIClient {
    client(
      server, "system:serviceaccount:kube-system:\(name)",
      ["system:serviceaccounts", "system:serviceaccounts:kube-system"])
  }

  private static func client(_ server: APIServer, _ user: String, _ groups: [String] = []) -> APIClient {
    let identity = UserInfo(name: user, groups: groups + [UserInfo.authenticatedGroup])
    return APIClient(transport: server.transport(for: identity), userAgent: "apus/\(Version.git)")
  }
}
