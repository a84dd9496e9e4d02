extension ControllerManager {
  /// What can be set, with upstream's defaults.
  public struct Configuration: Sendable {
    /// Which controllers run: names, `*` for all that are on by default, `-name` for all but that. All of them, unless
    /// told otherwise, with those that upstream leaves off.
    public var controllers = ["*"] + ControllerNames.offByDefault.sorted()
    /// How many objects are worked on at once, where that is not upstream's default.
    public var concurrency: [ConcurrentSyncs: Int] = [:]
    /// Whether several instances share the work by a Lease.
    public var leaderElect = false
    /// What this instance calls itself in the Lease.
    public var identity = "apus"
    /// The certificate that pods trust the API server by, PEM; empty: no `kube-root-ca.crt` is published.
    public var rootCA = ""
    /// The key that signs tokens in Secrets, PEM; nil: such Secrets are not filled.
    public var serviceAccountKeyPEM: String?
    /// The addresses that nodes' pod ranges are cut from: one range, or one of each family with a comma between them.
    public var clusterCIDR = "10.244.0.0/16"
    /// Whether nodes get pod ranges.
    public var allocateNodeCIDRs = true
    /// How large a node's range is.
    public var nodeCIDRMaskSize = 24
    /// The same for IPv6.
    public var nodeCIDRMaskSizeIPv6 = 64
    /// How often nodes are looked at.
    public var nodeMonitorPeriod: Duration = .seconds(5)
    /// How long a node may be silent before its conditions become Unknown.
    public var nodeMonitorGracePeriod: Duration = .seconds(50)
    /// How long a new node may take to report for the first time.
    public var nodeStartupGracePeriod: Duration = .seconds(60)
    /// How many nodes of a healthy zone may be given up a second.
    public var nodeEvictionRate = 0.1
    /// How many of a large zone in which many nodes are silent.
    public var secondaryNodeEvictionRate = 0.01
    /// Which part of a zone's nodes must be silent for the zone to count as disrupted.
    public var unhealthyZoneThreshold = 0.55
    /// Up to this many nodes a disrupted zone is small: then none of its nodes is given up.
    public var largeClusterSizeThreshold = 50
    /// How often attachments are compared with the world though nothing seems to have changed; nil: never.
    public var attachDetachSyncPeriod: Duration? = .seconds(60)
    /// Whether volumes that do not unmount are detached after six minutes all the same.
    public var forceDetachOnTimeout = true
    /// How long a token Secret must be unused before it is marked, and then again before it is deleted.
    public var legacyTokenCleanUpPeriod: Duration = .seconds(365 * 24 * 3600)
    /// How many finished pods are kept.
    public var terminatedPodThreshold = 12_500
    /// How often pods are collected.
    public var podGCPeriod: Duration = .seconds(20)
    /// How long a node must be missing before its pods are collected.
    public var podGCQuarantine: Duration = .seconds(40)
    /// How often quotas are counted again though nothing seems to have changed.
    public var quotaSyncPeriod: Duration = .seconds(300)
    /// How pods are scaled by their figures.
    public var autoscaling = Autoscaling()
    /// How many endpoints a slice holds.
    public var maxEndpointsPerSlice = 100
    /// How long changes of pods are gathered before Endpoints are written.
    public var endpointsBatchPeriod: Duration = .zero
    /// How long changes of pods are gathered before slices are written.
    public var endpointSliceBatchPeriod: Duration = .zero
    /// How many addresses of a subset are mirrored in slices.
    public var maxMirroredEndpoints = 1000
    /// How long changes of Endpoints are gathered before they are mirrored.
    public var mirroringBatchPeriod: Duration = .zero
    /// Whether what nobody owns any more is deleted.
    public var collectsGarbage = true
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
    /// Authorities for single signers, by their names, in place of `clusterSigning`.
    public var signers: [String: Signing] = [:]
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
