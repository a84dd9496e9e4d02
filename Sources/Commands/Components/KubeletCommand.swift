import ArgumentParser
import CRI
import Client
import GRPC
import Kubelet
import Logging
import PKI
import ServiceLifecycle

/// The kubelet by itself, in place of upstream's kubelet.
struct KubeletCommand: ComponentCommand {
  static let configuration = CommandConfiguration(commandName: "kubelet", abstract: "Run the kubelet, as kubelet.")

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  static let flags = GoFlags(
    component: "kubelet", CommonFlags.base + own,
    elsewhere: [
      "network-plugin": "the container runtime makes the pod network (CNI)",
      "container-runtime": "--container-runtime-endpoint", "cloud-config": "run apus cloud-controller-manager",
      "register-schedulable": "--register-with-taints", "dynamic-config-dir": "--config",
      "bootstrap-kubeconfig": "run apus agent, which asks for its certificate itself",
    ])

  private static let own: [GoFlag] = [
    .text("config", "", "A KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."),
    .text("kubeconfig", "", "Path to a kubeconfig; without it only static pods run."),
    .text("hostname-override", "", "This node's name; the host's by default."),
    .text("node-ip", "", "This node's addresses, separated by commas."),
    .text("container-runtime-endpoint", "unix:///run/containerd/containerd.sock", "The CRI engine's socket."),
    .text("image-service-endpoint", "", "Taken: the engine serves images too."),
    .text("cloud-provider", "", "Empty or external: wait for a cloud controller manager to initialize the node."),
    .text("provider-id", "", "The node's name in its cloud."),
    .list("node-labels", "", "Labels to register with, name=value."),
    .list("register-with-taints", "", "Taints to register with, key=value:effect."),
    .flag("register-node", true, "Make the Node object."),
    .text("root-dir", "/var/lib/kubelet", "Where pods' volumes are kept."),
    .text("cert-dir", "/var/lib/kubelet/pki", "Where a serving certificate is made when none is given."),
    .text("pod-manifest-path", "", "A directory of static pods."),
    .text("address", "0.0.0.0", "The address on which to serve."),
    .integer("port", 10250, "The port on which to serve."),
    .integer("healthz-port", 10248, "The port of /healthz on 127.0.0.1; 0 for none."),
    .text("tls-cert-file", "", "The serving certificate (PEM)."),
    .text("tls-private-key-file", "", "Its key (PEM)."),
    .text("client-ca-file", "", "Who signs clients' certificates (PEM)."),
    .text("cgroup-root", "", "The control group below which pods' groups are made."),
    .text("cgroup-driver", "cgroupfs", "cgroupfs."),
    .list("cluster-dns", "", "The addresses of the cluster's DNS."),
    .text("cluster-domain", "", "The cluster's DNS domain."),
    .text("resolv-conf", "/etc/resolv.conf", "The resolver file of pods that use the node's DNS."),
    .integer("max-pods", 110, "How many pods the node takes."),
    .flag("rotate-certificates", false, "Taken: apus agent renews its certificates."),
    .flag("fail-swap-on", true, "Taken and not used."),
    .text("pod-infra-container-image", "registry.k8s.io/pause:3.10.1", "The sandbox's image, never collected."),
    .text("runtime-cgroups", "", "Taken and not used."), .text("kubelet-cgroups", "", "Taken and not used."),
  ]

  func services(
    _ given: FlagValues, logger: @escaping @Sendable (String) -> Logger
  ) async throws -> [any Service] {
    var values = given
    var settings = KubeletConfiguration(nodeName: "")
    if let path = values.path("config") { try KubeletConfigFile(path).fill(&settings, &values) }
    settings.nodeName = values.path("hostname-override") ?? NodeName.ofHost()
    settings.nodeIPs = values.list("node-ip")
    settings.rootDirectory = values.text("root-dir")
    settings.staticPodPath = values.path("pod-manifest-path")
    settings.address = values.text("address")
    settings.port = values.integer("port")
    settings.registerNode = values.flag("register-node")
    settings.nodeLabels = values.map("node-labels")
    settings.registerWithTaints = try values.list("register-with-taints").map(Self.taint)
    settings.providerID = values.text("provider-id")
    switch values.text("cloud-provider") {
    case "": break
    case "external":
      settings.externalCloud = true
      settings.registerWithTaints.append(("node.cloudprovider.kubernetes.io/uninitialized", "true", "NoSchedule"))
    case let other: throw FlagError("--cloud-provider=\(other) is not served: external or nothing")
    }
    settings.clientCAFile = values.path("client-ca-file")
    settings.cgroupRoot = values.path("cgroup-root")
    guard values.text("cgroup-driver") == "cgroupfs" else { throw FlagError("--cgroup-driver must be cgroupfs") }
    settings.clusterDNS = values.list("cluster-dns")
    if let domain = values.path("cluster-domain") { settings.clusterDomain = domain }
    settings.resolverConfig = values.text("resolv-conf")
    settings.maxPods = values.integer("max-pods")
    settings.podInfraContainerImage = values.text("pod-infra-container-image")
    settings.version = Version.git
    (settings.tlsCertificateFile, settings.tlsPrivateKeyFile) = try serving(values, settings)

    guard values.path("kubeconfig") != nil else {
      throw FlagError("--kubeconfig must be specified: a kubelet without an API server is not served")
    }
    let endpoint = values.text("container-runtime-endpoint")
    guard endpoint.hasPrefix("unix://") || endpoint.hasPrefix("/") else {
      throw FlagError("--container-runtime-endpoint must begin with unix://")
    }
    let channel = GRPCChannel(
      unixSocket: endpoint.hasPrefix("/") ? endpoint : String(endpoint.dropFirst("unix://".count)),
      logger: logger("container-runtime"))
    let client = try CommonFlags.client(values, component: "kubelet")
    let informers = InformerFactory(client: client, logger: logger("informers"))
    let kubelet = Kubelet(
      client: client, informers: informers, runtime: RuntimeService(channel: channel),
      images: ImageService(channel: channel), configuration: settings, logger: logger("kubelet"))
    return [
      HealthPort.service(values.integer("healthz-port"), logger: logger("healthz")),
      Component("informers", informers.run),
      Component("kubelet", kubelet.run),
    ].compactMap { $0 }
  }

  /// `key=value:effect`.
  static func taint(_ text: String) throws -> (key: String, value: String, effect: String) {
    let halves = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
    guard halves.count == 2, effects.contains(halves[1]) else {
      throw FlagError("--register-with-taints: invalid taint spec: \(text)")
    }
    let pair = halves[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return (pair[0], pair.count > 1 ? pair[1] : "", halves[1])
  }

  /// The serving certificate's files; a certificate of its own, as upstream makes one, when none are given.
  private func serving(_ values: FlagValues, _ settings: KubeletConfiguration) throws -> (String, String) {
    if let certificate = values.path("tls-cert-file"), let key = values.path("tls-private-key-file") {
      return (certificate, key)
    }
    let directory = values.text("cert-dir")
    let (certificate, key) = ("\(directory)/kubelet.crt", "\(directory)/kubelet.key")
    if try AtomicFile.readText(certificate) != nil, try AtomicFile.readText(key) != nil { return (certificate, key) }
    let made = try CertificateAuthority.create(commonName: "\(settings.nodeName)-ca").issue(
      CertificateRequest(
        commonName: settings.nodeName, dnsNames: [settings.nodeName],
        ipAddresses: settings.nodeIPs.isEmpty ? ["127.0.0.1"] : settings.nodeIPs, usages: [.serverAuth]))
    try AtomicFile.makeDirectory(directory, mode: 0o755)
    try AtomicFile.write(made.privateKeyPEM, to: key)
    try AtomicFile.write(made.certificatePEM, to: certificate, mode: 0o644)
    return (certificate, key)
  }
}
