extension CloudControllerManager {
  /// What can be set, with upstream's defaults.
  public struct Configuration: Sendable {
    /// Which controllers run: names, `*` for all, `-name` for all but that.
    public var controllers = ["*"]
    /// Whether several instances share the work by a Lease.
    public var leaderElect = false
    /// What this instance calls itself in the Lease.
    public var identity = "apus"
    /// The Lease's namespace.
    public var leaseNamespace = "kube-system"
    /// The Lease's name.
    public var leaseName = "cloud-controller-manager"
    /// How long others wait for a leader that is silent.
    public var leaseDuration: Duration = .seconds(15)
    /// How long a leader tries to renew before it gives up.
    public var renewDeadline: Duration = .seconds(10)
    /// How long to wait between attempts.
    public var retryPeriod: Duration = .seconds(2)
    /// The cluster's name, as the cloud knows it.
    public var clusterName = "kubernetes"
    /// The addresses of pods, ranges separated by commas.
    public var clusterCIDR = ""
    /// Whether nodes' ranges are to be known to the cloud.
    public var allocateNodeCIDRs = false
    /// Whether routes to nodes' ranges are made in the cloud, if `allocateNodeCIDRs` is set too.
    public var configureCloudRoutes = true
    /// How often nodes' addresses are asked for.
    public var nodeStatusUpdateFrequency: Duration = .seconds(300)
    /// How often nodes that are not ready are asked for.
    public var nodeMonitorPeriod: Duration = .seconds(5)
    /// How often routes are compared.
    public var routeReconciliationPeriod: Duration = .seconds(10)
    /// How many Services are worked on at a time.
    public var concurrentServiceSyncs = 1
    /// How many nodes are worked on at a time.
    public var concurrentNodeSyncs = 1

    /// Upstream's defaults.
    public init() {}

    /// Whether a controller is to run, by its name or the shorter one that upstream knows as well.
    public func isEnabled(_ name: String) -> Bool {
      let names = [name] + CloudControllerManager.aliases.filter { $0.value == name }.map(\.key)
      if names.contains(where: { controllers.contains("-\($0)") }) { return false }
      return controllers.contains("*") || names.contains { controllers.contains($0) }
    }
  }

  /// The controllers' names, in the order in which they start.
  public static let knownControllers = [
    "cloud-node-controller", "cloud-node-lifecycle-controller", "service-lb-controller", "node-route-controller",
  ]

  /// Names that upstream keeps for old command lines.
  public static let aliases = [
    "cloud-node": "cloud-node-controller", "cloud-node-lifecycle": "cloud-node-lifecycle-controller",
    "service": "service-lb-controller", "route": "node-route-controller",
  ]
}
