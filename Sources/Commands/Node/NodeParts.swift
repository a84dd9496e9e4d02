import Client
import CloudControllerManager
import ClusterDNS
import ContainerRuntime
import KubeProxy
import Kubelet
import Logging
import NIOPosix
import PodNetwork
import ServiceLifecycle

/// What runs on every node, in order of start: engine, pod network, kubelet, proxy and DNS. A server has them in its own
/// process, an agent has nothing else.
struct NodeParts: Sendable {
  /// What the parts are told.
  struct Settings: Sendable {
    var nodeName: String
    var nodeAddress: String
    var directories: Directories
    var kubeletPort: Int
    var clusterCIDR: String
    var clusterDomain: String
    var clusterDNS: String
    var containerRuntimeEndpoint: String?
    var options: NodeOptions
    /// Whether the control plane runs in this process too.
    var isServer = true
    /// PEM files of the kubelet's server.
    var servingCertificateFile: String
    var servingKeyFile: String
    var clientCAFile: String
    /// Who answers for the node, as in `--cloud-provider`.
    var cloudProvider = "metal"
  }

  /// Who the parts are to the API server.
  struct Clients: Sendable {
    /// `system:node:<name>`.
    var node: APIClient
    var proxy: APIClient
    var dns: APIClient
    /// Shared by all of them.
    var informers: InformerFactory
  }

  let services: [any Service]

  init(_ settings: Settings, clients: Clients, logger: @Sendable (String) -> Logger) {
    let directories = settings.directories
    let informers = clients.informers
    let engine = Engine(
      endpoint: settings.containerRuntimeEndpoint, configuration: directories.containerRuntime,
      logger: logger("container-runtime"))

    var configuration = KubeletConfiguration(nodeName: settings.nodeName)
    configuration.rootDirectory = directories.kubelet
    configuration.podLogsDirectory = "\(directories.dataDir)/logs/pods"
    configuration.containerLogsDirectory = nil
    configuration.port = settings.kubeletPort
    configuration.tlsCertificateFile = settings.servingCertificateFile
    configuration.tlsPrivateKeyFile = settings.servingKeyFile
    configuration.clientCAFile = settings.clientCAFile
    configuration.nodeIPs = [settings.nodeAddress]
    configuration.clusterDomain = settings.clusterDomain
    configuration.clusterDNS = [settings.clusterDNS]
    configuration.version = Version.git
    configuration.nodeLabels = settings.options.nodeLabels
    configuration.registerWithTaints = settings.options.nodeTaints
    switch settings.cloudProvider {
    case "none": break
    case "metal": configuration.providerID = "metal://\(settings.nodeName)"
    default:
      configuration.externalCloud = true
      // Nothing runs here before the cloud has said what the machine is.
      configuration.registerWithTaints.append(("node.cloudprovider.kubernetes.io/uninitialized", "true", "NoSchedule"))
    }
    configuration.cgroupRoot = settings.options.podsCgroup
    configuration.podInfraContainerImage = SandboxImage.name
    let kubelet = Kubelet(
      client: clients.node, informers: informers, runtime: engine.runtime, images: engine.images,
      configuration: configuration, logger: logger("kubelet"))

    let network = PodNetwork(
      client: clients.node, informers: informers,
      configuration: .init(
        nodeName: settings.nodeName, nodeAddress: settings.nodeAddress, clusterCIDR: settings.clusterCIDR,
        pluginServesHostPorts: engine.servesHostPorts), plug: engine.plug, logger: logger("pod-network"))

    let proxy = KubeProxy(
      client: clients.proxy, informers: informers,
      configuration: .init(nodeName: settings.nodeName, clusterCIDR: settings.clusterCIDR),
      logger: logger("kube-proxy"))

    let dns = ClusterDNS(
      client: clients.dns, informers: informers,
      configuration: .init(
        domain: settings.clusterDomain, address: settings.nodeAddress, resolvers: ResolverFile.nameServers(),
        serviceAddress: settings.clusterDNS, nodeName: settings.nodeName, makesService: settings.isServer),
      group: MultiThreadedEventLoopGroup.singleton,
      logger: logger("cluster-dns"))

    let announcer = AddressAnnouncer(
      nodeName: settings.nodeName, nodeAddress: settings.nodeAddress, informers: informers,
      logger: logger("address-announcer"))

    let sweeper = VolumeSweeper(
      client: clients.node, informers: informers, nodeName: settings.nodeName, logger: logger("volume-sweeper"))

    services = [
      Component("container-runtime", engine.run),
      Component("pod-network", network.run),
      Component("kubelet") {
        try await engine.waitUntilReady()
        try await kubelet.run()
      },
      Component("kube-proxy", proxy.run),
      Component("cluster-dns", dns.run),
      Component("volume-sweeper", sweeper.run),
      Component("address-announcer", announcer.run),
    ]
  }
}
