import APIServer
import Logging
import NIOCore
import PKI
import ServiceLifecycle

/// Everything that `apus server` runs, in order of start: a component stands behind those it needs. On SIGTERM they end
/// in the opposite order; pods and their engine go on.
struct ServerParts: Sendable {
  let services: [any Service]

  init(arguments: ServerCommand, nodeName: String, nodeAddress: String, logger: Logger) async throws {
    let directories = arguments.directories
    let level = logger.logLevel
    let log: @Sendable (String) -> Logger = { label in
      var own = Logger(label: label)
      own.logLevel = level
      return own
    }

    let pki = ClusterPKI(directory: directories.pki)
    let isShared = arguments.datastore.endpoints != nil
    let storage = try await StoreSelection.open(
      datastore: arguments.datastore.endpoints, tls: arguments.datastore.tls, directory: directories.store,
      logger: log("store"))
    if isShared {
      try await SharedKeys(storage: storage, pki: pki, tokenPath: directories.serverToken, logger: logger)
        .settle(given: arguments.serverToken.given())
    }
    let identity = ClusterPKI.Identity(
      nodeName: nodeName,
      serverNames: ["localhost", nodeName] + arguments.serverNames.filter { !Self.isAddress($0) },
      serverIPs: ["127.0.0.1", nodeAddress, Self.firstAddress(of: arguments.serviceCIDR)]
        + arguments.serverNames.filter(Self.isAddress),
      nodeIPs: [nodeAddress, "127.0.0.1"], clusterDomain: arguments.clusterDomain)
    try pki.ensure(identity)

    let controlPlane = try await ControlPlane(
      arguments: arguments, nodeName: nodeName, nodeAddress: nodeAddress, pki: pki, storage: storage,
      isShared: isShared, logger: log)
    let node = NodeParts(
      .init(
        nodeName: nodeName, nodeAddress: nodeAddress, directories: directories, kubeletPort: arguments.kubeletPort,
        clusterCIDR: arguments.clusterCIDR, clusterDomain: arguments.clusterDomain, clusterDNS: arguments.clusterDNS,
        containerRuntimeEndpoint: arguments.containerRuntimeEndpoint, options: arguments.nodeOptions,
        servingCertificateFile: pki.certificatePath(.kubelet), servingKeyFile: pki.keyPath(.kubelet),
        clientCAFile: pki.authorityPath, cloudProvider: arguments.cloud.cloudProvider.rawValue),
      clients: .init(
        node: controlPlane.client("system:node:\(nodeName)", [UserInfo.nodesGroup]),
        proxy: controlPlane.client("system:kube-proxy"),
        dns: controlPlane.client("system:apus-dns", [UserInfo.mastersGroup]), informers: controlPlane.informers),
      logger: log)
    let renewal = ServerCertificates(
      pki: pki, identity: identity, server: controlPlane.server, logger: log("certificates"))
    services = controlPlane.services + [Component("certificates", renewal.run)] + node.services
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
