import APIMachinery
import ArgumentParser
import Client
import KubeProxy
import Logging
import ServiceLifecycle

/// The service proxy by itself, in place of upstream's kube-proxy in nftables mode.
struct ProxyCommand: ComponentCommand {
  static let configuration = CommandConfiguration(
    commandName: "kube-proxy", abstract: "Run the service proxy, as kube-proxy.")

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  static let flags = GoFlags(
    component: "kube-proxy",
    CommonFlags.base + CommonFlags.access + [
      .text("config", "", "A KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)."),
      .text("proxy-mode", "nftables", "How the kernel is programmed: nftables."),
      .text("hostname-override", "", "This node's name; the host's by default."),
      .text("cluster-cidr", "", "The addresses of pods: traffic from elsewhere to a Service is masqueraded."),
      .text("healthz-bind-address", "0.0.0.0:10256", "Where health checks are answered; empty for nowhere."),
      .text("metrics-bind-address", "127.0.0.1:10249", "Where metrics are answered; empty for nowhere."),
      .duration("nftables-min-sync-period", "20ms", "The shortest time between two changes of the kernel's rules."),
      .duration("nftables-sync-period", "30s", "Taken and not used: changes are made as they come."),
      .flag("masquerade-all", false, "Must be false."),
      .text("detect-local-mode", "ClusterCIDR", "How a pod's address is known: ClusterCIDR."),
      .list("nodeport-addresses", "", "Must be empty: node ports are served on every address of the node."),
      .duration("conntrack-tcp-timeout-established", "24h0m0s", "Taken and not used: the kernel's setting stays."),
      .duration("conntrack-tcp-timeout-close-wait", "1h0m0s", "Taken and not used: the kernel's setting stays."),
      .integer("conntrack-max-per-core", 32768, "Taken and not used: the kernel's setting stays."),
      .integer("conntrack-min", 131_072, "Taken and not used: the kernel's setting stays."),
      .duration("config-sync-period", "15m0s", "Taken and not used: informers need no resync."),
      .integer("oom-score-adj", -999, "Taken and not used."),
    ],
    elsewhere: [
      "iptables-min-sync-period": "--nftables-min-sync-period", "ipvs-scheduler": "nftables mode picks at random",
      "iptables-sync-period": "--nftables-sync-period", "cleanup": "nft delete table ip apus-proxy",
      "init-only": "the kernel is prepared at each start",
    ])

  func services(
    _ given: FlagValues, logger: @escaping @Sendable (String) -> Logger
  ) async throws -> [any Service] {
    var values = given
    if let path = values.path("config") {
      let file = try ConfigFile(path, kind: "KubeProxyConfiguration", apiVersion: "kubeproxy.config.k8s.io/v1alpha1")
      values.fill("kubeconfig", file.value("clientConnection", "kubeconfig")?.stringValue)
      values.fill("proxy-mode", file.value("mode")?.stringValue)
      values.fill("hostname-override", file.value("hostnameOverride")?.stringValue)
      values.fill("cluster-cidr", file.value("clusterCIDR")?.stringValue)
      values.fill("healthz-bind-address", file.value("healthzBindAddress")?.stringValue)
      values.fill("metrics-bind-address", file.value("metricsBindAddress")?.stringValue)
      values.fill("nftables-min-sync-period", file.value("nftables", "minSyncPeriod")?.stringValue)
      values.fill("detect-local-mode", file.value("detectLocalMode")?.stringValue)
    }
    let mode = values.text("proxy-mode")
    guard mode.isEmpty || mode == "nftables" else {
      throw FlagError("--proxy-mode=\(mode) is not served by apus: nftables is the only mode")
    }
    guard ["", "ClusterCIDR"].contains(values.text("detect-local-mode")) else {
      throw FlagError("--detect-local-mode must be ClusterCIDR")
    }
    if values.flag("masquerade-all") { throw FlagError("--masquerade-all is not served by apus") }
    guard values.list("nodeport-addresses").isEmpty else {
      throw FlagError("--nodeport-addresses is not served by apus: node ports are served on every address")
    }
    let client = try CommonFlags.client(values, component: "kube-proxy")
    let informers = InformerFactory(client: client, logger: logger("informers"))
    var configuration = KubeProxy.Configuration(
      nodeName: values.path("hostname-override") ?? NodeName.ofHost(), clusterCIDR: values.text("cluster-cidr"),
      minSyncPeriod: values.duration("nftables-min-sync-period"))
    configuration.healthzBindAddress = values.text("healthz-bind-address")
    configuration.metricsBindAddress = values.text("metrics-bind-address")
    let proxy = KubeProxy(
      client: client, informers: informers, configuration: configuration, logger: logger("kube-proxy"))
    return [Component("informers", informers.run), Component("kube-proxy", proxy.run)]
  }
}
