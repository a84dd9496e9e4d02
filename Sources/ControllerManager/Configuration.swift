extension ControllerManager {
  /// What can be set, with upstream's defaults.
  public struct Configuration: Sendable {
    /// Which controllers run: names, `*` for all that are on by default, `-name` for all but that. All of them, unless
    /// told otherwise, with those that upstream leaves off.
    public var controllers = ["*"] + ControllerNames.offByDefault.sorted()
    /// Whether several instances share the work by a Lease.
    public var leaderElect = false
    /// What this instance calls itself in the Lease.
    public var identity = "apus"
    /// The certificate that pods trust the API server by, PEM; empty: no `kube-root-ca.crt` is published.
    public var rootCA = ""
    /// The addresses that nodes' pod ranges are cut from.
    public var clusterCIDR = "10.244.0.0/16"
    /// Whether nodes get pod ranges.
    public var allocateNodeCIDRs = true
    /// How large a node's range is.
    public var nodeCIDRMaskSize = 24
    /// How often nodes are looked at.
    public var nodeMonitorPeriod: Duration = .seconds(5)
    /// How long a node may be silent before its conditions become Unknown.
    public var nodeMonitorGracePeriod: Duration = .seconds(50)
    /// How long a new node may take to report for the first time.
    public var nodeStartupGracePeriod: Duration = .seconds(60)
    /// How many finished pods are kept.
    public var terminatedPodThreshold = 12_500
    /// How often pods are collected.
    public var podGCPeriod: Duration = .seconds(20)
    /// How long a node must be missing before its pods are collected.
    public var podGCQuarantine: Duration = .seconds(40)
    /// How often quotas are counted again though nothing seems to have changed.
    public var quotaSyncPeriod: Duration = .seconds(300)
    /// How many endpoints a slice holds.
    public var maxEndpointsPerSlice = 100
    /// How often the garbage collector asks what kinds there are.
    public var discoveryPeriod: Duration = .seconds(30)
    /// The name of the storage class that the local-path provisioner serves; empty: none is made.
    public var localPathStorageClass = "local-path"
    /// The provisioner's name.
    public var localPathProvisioner = "apus.dev/local-path"
    /// The directory under which it makes volumes on every node.
    public var localPathDirectory = "/var/lib/apus/volumes"
    /// The node whose disk this process sees: volumes on it are deleted with their objects.
    public var localNodeName: String?
    /// The certificate (PEM) and key (PEM) that sign kubelets' certificate requests.
    public var clusterSigning: Signing?
    /// How long signed certificates are valid, at most.
    public var clusterSigningDuration: Duration = .seconds(365 * 24 * 3600)

    /// A certificate authority.
    public struct Signing: Sendable {
      /// The authority's certificate, PEM.
      public var certificatePEM: String
      /// Its key, PEM.
      public var privateKeyPEM: String

      /// Makes an authority from its parts.
      public init(certificatePEM: String, privateKeyPEM: String) {
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
      }
    }

    /// Upstream's defaults.
    public init() {}

    /// Whether a controller is to run: the first word about it counts.
    public func isEnabled(_ name: String) -> Bool {
      for entry in controllers {
        if entry == name { return true }
        if entry == "-\(name)" { return false }
      }
      return controllers.contains("*") && !ControllerNames.offByDefault.contains(name)
    }
  }
}
