import APIServer
import Client
import ClusterDNS
import ContainerRuntime
import ControllerManager
import KubeProxy
import Kubelet
import Logging
import NIOCore
import NIOPosix
import PKI
import Scheduler
import ServiceLifecycle
import StorageSQLite

/// Everything that `apus server` runs, in order of start: a component stands behind those it needs. On SIGTERM they end
/// in the opposite order; pods and their engine go on.
struct OneNode: Sendable {
  let services: [any Service]

  init(arguments: ServerCommand, nodeName: String, nodeAddress: String, logger: Logger) async throws {
    let directories = arguments.directories
    let group = MultiThreadedEventLoopGroup.singleton
    func log(_ label: String) -> Logger {
      var own = Logger(label: label)
      own.logLevel = logger.logLevel
      return own
    }

    let pki = ClusterPKI(directory: directories.pki)
    try pki.ensure(
      .init(
        nodeName: nodeName,
        serverNames: ["localhost", nodeName] + arguments.serverNames.filter { !Self.isAddress($0) },
        serverIPs: ["127.0.0.1", nodeAddress, Self.firstAddress(of: arguments.serviceCIDR)]
          + arguments.serverNames.filter(Self.isAddress),
        nodeIPs: [nodeAddress, "127.0.0.1"], clusterDomain: arguments.clusterDomain))

    // The engine needs nobody and takes longest: it starts beside the control plane.
    let engine = Engine(
      endpoint: arguments.containerRuntimeEndpoint, configuration: directories.containerRuntime,
      logger: log("container-runtime"))

    let storage = try SQLiteStorage(directory: directories.store, logger: log("store"))
    var serverConfiguration = APIServer.Configuration()
    serverConfiguration.bindAddress = arguments.bindAddress
    serverConfiguration.port = arguments.httpsListenPort
    serverConfiguration.advertiseAddress = nodeAddress
    serverConfiguration.serviceCIDR = arguments.serviceCIDR
    serverConfiguration.servingCertificateFile = pki.certificatePath(.apiserver)
    serverConfiguration.servingKeyFile = pki.keyPath(.apiserver)
    serverConfiguration.clientCAFile = pki.authorityPath
    serverConfiguration.kubeletClientCertificateFile = pki.certificatePath(.apiserverKubeletClient)
    serverConfiguration.kubeletClientKeyFile = pki.keyPath(.apiserverKubeletClient)
    serverConfiguration.kubeletCAFile = pki.authorityPath
    serverConfiguration.serviceAccountIssuer = "https://kubernetes.default.svc.\(arguments.clusterDomain)"
    serverConfiguration.serviceAccountKeyFile = pki.serviceAccountKeyPath
    // A node need not be in anybody's DNS: its address comes first, as kubeadm has it.
    serverConfiguration.kubeletPreferredAddressTypes = ["InternalIP", "ExternalIP", "Hostname"]
    serverConfiguration.gitVersion = Version.git
    let server = try APIServer(
      configuration: serverConfiguration, storage: storage, group: group, logger: log("kube-apiserver"))
    let port = try await server.start()
    try pki.kubeconfig(for: .admin, server: "https://127.0.0.1:\(port)").write(to: directories.adminKubeconfig)

    func client(_ user: String, _ groups: [String] = []) -> APIClient {
      let identity = UserInfo(name: user, groups: groups + [UserInfo.authenticatedGroup])
      return APIClient(transport: server.transport(for: identity), userAgent: "apus/\(Version.git)")
    }
    // One decoded object per kind and revision serves every component of the process.
    let informers = InformerFactory(
      client: client("system:apus-informers", [UserInfo.mastersGroup]), logger: log("informers"))

    let scheduler = Scheduler(
      client: client("system:kube-scheduler"), informers: informers, configuration: .init(),
      logger: log("kube-scheduler"))

    var controllerConfiguration = ControllerManager.Configuration()
    controllerConfiguration.rootCA = try pki.text(pki.authorityPath)
    controllerConfiguration.clusterCIDR = arguments.clusterCIDR
    controllerConfiguration.localPathDirectory = directories.volumes
    controllerConfiguration.localNodeName = nodeName
    let authority = try pki.authority()
    controllerConfiguration.clusterSigning = .init(
      certificatePEM: authority.certificatePEM, privateKeyPEM: authority.privateKeyPEM)
    let controllers = ControllerManager(
      client: client("system:kube-controller-manager", [UserInfo.mastersGroup]), informers: informers,
      configuration: controllerConfiguration, logger: log("kube-controller-manager"))

    let nodeClient = client("system:node:\(nodeName)", [UserInfo.nodesGroup])
    var kubeletConfiguration = KubeletConfiguration(nodeName: nodeName)
    kubeletConfiguration.rootDirectory = directories.kubelet
    kubeletConfiguration.podLogsDirectory = "\(directories.dataDir)/logs/pods"
    kubeletConfiguration.containerLogsDirectory = nil
    kubeletConfiguration.port = arguments.kubeletPort
    kubeletConfiguration.tlsCertificateFile = pki.certificatePath(.kubelet)
    kubeletConfiguration.tlsPrivateKeyFile = pki.keyPath(.kubelet)
    kubeletConfiguration.clientCAFile = pki.authorityPath
    kubeletConfiguration.nodeIPs = [nodeAddress]
    kubeletConfiguration.clusterDomain = arguments.clusterDomain
    kubeletConfiguration.clusterDNS = [arguments.clusterDNS]
    kubeletConfiguration.version = Version.git
    kubeletConfiguration.cgroupRoot = "/kubepods"
    kubeletConfiguration.podInfraContainerImage = SandboxImage.name
    let kubelet = Kubelet(
      client: nodeClient, informers: informers, runtime: engine.runtime, images: engine.images,
      configuration: kubeletConfiguration, logger: log("kubelet"))

    let proxy = KubeProxy(
      client: client("system:kube-proxy"), informers: informers,
      configuration: .init(nodeName: nodeName, clusterCIDR: arguments.clusterCIDR), logger: log("kube-proxy"))

    let dns = ClusterDNS(
      client: client("system:apus-dns", [UserInfo.mastersGroup]), informers: informers,
      configuration: .init(
        domain: arguments.clusterDomain, address: nodeAddress, resolvers: ResolverFile.nameServers(),
        serviceAddress: arguments.clusterDNS), group: group, logger: log("cluster-dns"))

    services = [
      Component("kube-apiserver") {
        try await server.run()
        await storage.close()
      },
      Component("informers", informers.run),
      Component("kube-scheduler", scheduler.run),
      Component("kube-controller-manager", controllers.run),
      Component("container-runtime", engine.run),
      Component(
        "node-role",
        NodeRole(client: client("kubernetes-admin", [UserInfo.mastersGroup]), node: nodeName, informers: informers).run),
      Component("pod-network") { try await engine.followPodCIDRs(of: nodeName, informers) },
      Component("kubelet") {
        try await engine.waitUntilReady()
        try await kubelet.run()
      },
      Component("kube-proxy", proxy.run),
      Component("cluster-dns", dns.run),
    ]
  }

  private static func isAddress(_ text: String) -> Bool { (try? SocketAddress(ipAddress: text, port: 0)) != nil }

  /// The address that the Service `kubernetes` gets: the first of the range.
  static func firstAddress(of range: String) -> String {
    let parts = range.split(separator: "/")[0].split(separator: ".").compactMap { UInt32($0) }
    guard parts.count == 4 else { return "10.96.0.1" }
    let value = parts.reduce(0) { $0 << 8 | $1 } + 1
    return [24, 16, 8, 0].map { String(value >> $0 & 0xff) }.joined(separator: ".")
  }
}
