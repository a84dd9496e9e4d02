/// What a kubelet is told at its start; the defaults are upstream's.
public struct KubeletConfiguration: Sendable {
  /// The name of the Node object, and of this host in events.
  public var nodeName: String
  /// State of pods: volumes, termination logs, `/etc/hosts` files.
  public var rootDirectory = "/var/lib/kubelet"
  /// Where the runtime writes container logs, one directory a pod.
  public var podLogsDirectory = "/var/log/pods"
  /// Where links with readable names to container logs are kept; nil for none.
  public var containerLogsDirectory: String? = "/var/log/containers"
  /// What `/logs/` serves.
  public var systemLogsDirectory = "/var/log"
  /// A directory of pod manifests (JSON), run without an API server; nil for none.
  public var staticPodPath: String?
  /// How often the static pod directory is read.
  public var fileCheckFrequency: Duration = .seconds(20)

  /// The HTTPS server's address and port; port 0 takes any.
  public var address = "0.0.0.0"
  public var port = 10250
  /// PEM files of the serving certificate; nil leaves the server off.
  public var tlsCertificateFile: String?
  public var tlsPrivateKeyFile: String?
  /// How often the files of the certificate are looked at for a renewed one.
  public var certificateCheckPeriod: Duration = .seconds(1)
  /// PEM file of the CA whose client certificates are accepted.
  public var clientCAFile: String?

  /// Addresses of this host, first one first; empty: found out.
  public var nodeIPs: [String] = []
  /// Labels that the Node registers with, beside the well-known ones.
  public var nodeLabels: [String: String] = [:]
  /// Taints that the Node registers with.
  public var registerWithTaints: [(key: String, value: String, effect: String)] = []
  /// Whether to create the Node object.
  public var registerNode = true
  /// Sets `spec.providerID`.
  public var providerID = ""
  /// Whether a cloud controller manager says what the node's addresses are, as with upstream's `--cloud-provider=external`.
  public var externalCloud = false

  /// How often the whole of a pod is looked at even when nothing happened.
  public var syncFrequency: Duration = .seconds(60)
  /// How often the runtime is asked for its containers.
  public var plegRelistPeriod: Duration = .seconds(1)
  /// How often the node's status is computed, and sent if it changed.
  public var nodeStatusUpdateFrequency: Duration = .seconds(10)
  /// How often the node's status is sent though nothing changed.
  public var nodeStatusReportFrequency: Duration = .seconds(300)
  public var nodeLeaseDurationSeconds: Int32 = 40

  public var maxPods = 110
  public var podPidsLimit: Int64 = -1
  /// Names of the service of the API server in environments (`KUBERNETES_SERVICE_HOST`) come from this namespace.
  public var masterServiceNamespace = "default"

  public var clusterDomain = "cluster.local"
  public var clusterDNS: [String] = []
  /// The resolver file handed to pods with dnsPolicy Default.
  public var resolverConfig = "/etc/resolv.conf"

  public var serializeImagePulls = true
  public var imageMinimumGCAge: Duration = .seconds(120)
  public var imageGCHighThresholdPercent = 85
  public var imageGCLowThresholdPercent = 80
  /// The sandbox image, never collected.
  public var podInfraContainerImage = "registry.k8s.io/pause:3.10.1"
  public var maxPerPodContainerCount = 1
  public var minimumContainerTTL: Duration = .zero

  public var containerLogMaxSize: Int64 = 10 << 20
  public var containerLogMaxFiles = 5
  public var containerLogMonitorInterval: Duration = .seconds(10)

  public var crashLoopBackOffMax: Duration = .seconds(300)
  public var runtimeRequestTimeout: Duration = .seconds(120)
  public var streamingConnectionIdleTimeout: Duration = .seconds(14400)

  public var cpuCFSQuota = true
  public var cpuCFSQuotaPeriodMicroseconds: Int64 = 100_000
  /// The cgroup under which pods' cgroups are made; nil leaves the place to the runtime.
  public var cgroupRoot: String?
  public var seccompDefault = false
  /// Resources kept from pods: `cpu`, `memory`, `ephemeral-storage` as quantities.
  public var systemReserved: [String: String] = [:]
  public var kubeReserved: [String: String] = [:]
  /// Below this much available memory the node reports MemoryPressure.
  public var evictionMemoryAvailable = "100Mi"
  /// Below this share of free disk the node reports DiskPressure.
  public var evictionNodeFSAvailablePercent = 10
  public var enableServer = true
  public var version = "v1.36.0"

  /// A configuration with upstream's defaults.
  public init(nodeName: String) { self.nodeName = nodeName }
}
