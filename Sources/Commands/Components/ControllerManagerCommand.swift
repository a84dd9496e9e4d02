import ArgumentParser
import Client
import ControllerManager
import Logging
import PKI
import ServiceLifecycle

/// The controllers by themselves, in place of upstream's kube-controller-manager.
struct ControllerManagerCommand: ComponentCommand {
  static let configuration = CommandConfiguration(
    commandName: "kube-controller-manager", abstract: "Run the controllers, as kube-controller-manager.")

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  static let flags = GoFlags(
    component: "kube-controller-manager",
    CommonFlags.base + CommonFlags.access + CommonFlags.leaderElection("kube-controller-manager")
      + CommonFlags.serving(port: 10257) + own + endpoints + signers + unused + autoscaling + concurrency,
    elsewhere: [
      "cloud-config": "run apus cloud-controller-manager", "external-cloud-volume-plugin": "use a CSI driver",
      "flex-volume-plugin-dir": "use a CSI driver", "leader-migration-config": "all controllers have one lease",
      "enable-leader-migration": "all controllers have one lease",
    ])

  private static let own: [GoFlag] = [
    .list("controllers", "*", "Controllers to run: names, * for all, -name for all but one."),
    .text("cluster-cidr", "", "The addresses of pods: a range, or one of each family."),
    .text("service-cluster-ip-range", "", "Taken and not used: ServiceCIDR objects say it."),
    .flag("allocate-node-cidrs", false, "Give nodes ranges of --cluster-cidr."),
    .integer("node-cidr-mask-size", 24, "The size of a node's range."),
    .integer("node-cidr-mask-size-ipv4", 24, "The size of a node's IPv4 range."),
    .integer("node-cidr-mask-size-ipv6", 64, "The size of a node's IPv6 range."),
    .text("cidr-allocator-type", "RangeAllocator", "How ranges are given out: RangeAllocator."),
    .text("cluster-name", "kubernetes", "The cluster's name."),
    .text("cluster-signing-cert-file", "", "The authority that signs certificate requests (PEM)."),
    .text("cluster-signing-key-file", "", "Its key (PEM)."),
    .duration("cluster-signing-duration", "8760h0m0s", "How long what it signs is valid at most."),
    .text("root-ca-file", "", "The authority that pods trust the API server by (PEM)."),
    .text("service-account-private-key-file", "", "The key (PEM) that signs tokens in Secrets."),
    .flag("use-service-account-credentials", false, "Each controller acts as a service account of its own."),
    .duration("node-monitor-period", "5s", "How often nodes are looked at."),
    .duration("node-monitor-grace-period", "50s", "How long a node may be silent."),
    .duration("node-startup-grace-period", "1m0s", "How long a new node may be silent."),
    .integer("terminated-pod-gc-threshold", 12500, "How many finished pods are kept."),
    .text("node-eviction-rate", "0.1", "How many nodes of a healthy zone are given up a second."),
    .text("secondary-node-eviction-rate", "0.01", "The same of a large zone in which many nodes are silent."),
    .text(
      "unhealthy-zone-threshold", "0.55", "Which part of a zone's nodes must be silent for it to count as disrupted."),
    .integer("large-cluster-size-threshold", 50, "Up to how many nodes a disrupted zone is left alone."),
    .duration(
      "legacy-service-account-token-clean-up-period", "8760h0m0s", "How long unused tokens in Secrets are kept."),
    .duration("attach-detach-reconcile-sync-period", "1m0s", "How often attachments are looked at again."),
    .flag("disable-attach-detach-reconcile-sync", false, "Look at attachments only when something changes."),
    .flag(
      "disable-force-detach-on-timeout", false, "Keep volumes on lost nodes until they are told to be out of service."),
    .text("cloud-provider", "", "Empty or external."),
    .duration("resource-quota-sync-period", "5m0s", "How often quotas are counted again."),
    .flag("enable-garbage-collector", true, "Delete what nobody owns any more."),
    .duration("min-resync-period", "12h0m0s", "Taken and not used: informers need no resync."),
    .text("cloud-provider-gce-lb-src-cidrs", "", "Taken and not used."),
  ]

  private static let endpoints: [GoFlag] = [
    .integer("max-endpoints-per-slice", 100, "How many endpoints a slice holds."),
    .duration("endpoint-updates-batch-period", "0s", "How long changes are gathered before Endpoints are written."),
    .duration("endpointslice-updates-batch-period", "0s", "How long changes are gathered before slices are written."),
    .integer("mirroring-max-endpoints-per-subset", 1000, "How many addresses of a subset are mirrored."),
    .duration(
      "mirroring-endpointslice-updates-batch-period", "0s", "How long changes are gathered before they are mirrored."),
  ]

  /// Signers by the part of their flags' names. The last signs nothing that the API of today can ask for.
  private static let signerNames = [
    "kube-apiserver-client": "kubernetes.io/kube-apiserver-client",
    "kubelet-client": "kubernetes.io/kube-apiserver-client-kubelet",
    "kubelet-serving": "kubernetes.io/kubelet-serving", "legacy-unknown": "kubernetes.io/legacy-unknown",
  ]

  private static let signers = signerNames.keys.sorted().flatMap { name -> [GoFlag] in
    [
      .text("cluster-signing-\(name)-cert-file", "", "The authority of this signer (PEM)."),
      .text("cluster-signing-\(name)-key-file", "", "Its key (PEM)."),
    ]
  }

  private static let unused: [GoFlag] = [
    .duration("namespace-sync-period", "5m0s", "Taken and not used: informers need no resync."),
    .duration("pvclaimbinder-sync-period", "15s", "Taken and not used: informers need no resync."),
    .duration("controller-start-interval", "0s", "Taken and not used: controllers start together."),
    .duration("controller-shutdown-timeout", "10s", "Taken and not used: controllers end at once."),
    .flag("enable-dynamic-provisioning", true, "Taken and not used: classes say it."),
    .flag("enable-hostpath-provisioner", false, "Taken and not used."),
    .flag("configure-cloud-routes", true, "Taken and not used: run apus cloud-controller-manager."),
    .duration("route-reconciliation-period", "10s", "Taken and not used: run apus cloud-controller-manager."),
    .text("requestheader-client-ca-file", "", "Taken and not used: nobody speaks for others here."),
    .list("requestheader-allowed-names", "", "Taken and not used."),
    .list("requestheader-username-headers", "", "Taken and not used."),
    .list("requestheader-uid-headers", "", "Taken and not used."),
    .list("requestheader-group-headers", "", "Taken and not used."),
    .list("requestheader-extra-headers-prefix", "", "Taken and not used."),
    .integer("pv-recycler-increment-timeout-nfs", 30, "Taken and not used: volumes are not recycled."),
    .integer("pv-recycler-minimum-timeout-nfs", 300, "Taken and not used."),
    .integer("pv-recycler-minimum-timeout-hostpath", 60, "Taken and not used."),
    .integer("pv-recycler-timeout-increment-hostpath", 30, "Taken and not used."),
    .text("pv-recycler-pod-template-filepath-nfs", "", "Taken and not used."),
    .text("pv-recycler-pod-template-filepath-hostpath", "", "Taken and not used."),
  ]

  private static let autoscaling: [GoFlag] = [
    .duration("horizontal-pod-autoscaler-sync-period", "15s", "The time between two looks at an autoscaler."),
    .duration(
      "horizontal-pod-autoscaler-downscale-stabilization", "5m0s", "How long the highest recommendation holds."),
    .text("horizontal-pod-autoscaler-tolerance", "0.1", "How far from one a ratio may be before anything is scaled."),
    .duration(
      "horizontal-pod-autoscaler-cpu-initialization-period", "5m0s",
      "How long after a start processor time counts only of ready pods."),
    .duration(
      "horizontal-pod-autoscaler-initial-readiness-delay", "30s",
      "How long after a start an unready pod is held to have never been ready."),
  ]

  private static let concurrency = ControllerManager.ConcurrentSyncs.allCases.map {
    GoFlag.integer($0.rawValue, $0.defaultCount, "How many objects are worked on at once.")
  }

  private static func rate(_ values: FlagValues, _ name: String) throws -> Double {
    guard let rate = Double(values.text(name)), rate >= 0 else { throw FlagError("--\(name) must be a number") }
    return rate
  }

  func services(
    _ values: FlagValues, logger: @escaping @Sendable (String) -> Logger
  ) async throws -> [any Service] {
    guard ["", "external"].contains(values.text("cloud-provider")) else {
      throw FlagError("--cloud-provider must be external: run apus cloud-controller-manager for a cloud")
    }
    guard values.text("cidr-allocator-type") == "RangeAllocator" else {
      throw FlagError("--cidr-allocator-type must be RangeAllocator")
    }
    var settings = ControllerManager.Configuration()
    if let problem = ControllerNames.objection(values.list("controllers")) { throw FlagError(problem) }
    settings.controllers = ControllerNames.canonical(values.list("controllers"))
    settings.allocateNodeCIDRs = values.flag("allocate-node-cidrs")
    if let range = values.path("cluster-cidr") {
      settings.clusterCIDR = range
    } else if settings.allocateNodeCIDRs {
      throw FlagError("--allocate-node-cidrs needs --cluster-cidr")
    }
    settings.nodeCIDRMaskSize = values.integer(
      values.isSet("node-cidr-mask-size-ipv4") ? "node-cidr-mask-size-ipv4" : "node-cidr-mask-size")
    settings.nodeMonitorPeriod = values.duration("node-monitor-period")
    settings.nodeMonitorGracePeriod = values.duration("node-monitor-grace-period")
    settings.nodeStartupGracePeriod = values.duration("node-startup-grace-period")
    settings.nodeEvictionRate = try Self.rate(values, "node-eviction-rate")
    settings.secondaryNodeEvictionRate = try Self.rate(values, "secondary-node-eviction-rate")
    settings.unhealthyZoneThreshold = try Self.rate(values, "unhealthy-zone-threshold")
    settings.largeClusterSizeThreshold = values.integer("large-cluster-size-threshold")
    settings.legacyTokenCleanUpPeriod = values.duration("legacy-service-account-token-clean-up-period")
    settings.attachDetachSyncPeriod =
      values.flag("disable-attach-detach-reconcile-sync") ? nil : values.duration("attach-detach-reconcile-sync-period")
    settings.forceDetachOnTimeout = !values.flag("disable-force-detach-on-timeout")
    for kind in ControllerManager.ConcurrentSyncs.allCases {
      let count = values.integer(kind.rawValue)
      guard count > 0 else { throw FlagError("--\(kind.rawValue) must be greater than 0, but got \(count)") }
      settings.concurrency[kind] = count
    }
    settings.terminatedPodThreshold = values.integer("terminated-pod-gc-threshold")
    settings.nodeCIDRMaskSizeIPv6 = values.integer("node-cidr-mask-size-ipv6")
    settings.quotaSyncPeriod = values.duration("resource-quota-sync-period")
    settings.collectsGarbage = values.flag("enable-garbage-collector")
    settings.maxEndpointsPerSlice = values.integer("max-endpoints-per-slice")
    settings.endpointsBatchPeriod = values.duration("endpoint-updates-batch-period")
    settings.endpointSliceBatchPeriod = values.duration("endpointslice-updates-batch-period")
    settings.maxMirroredEndpoints = values.integer("mirroring-max-endpoints-per-subset")
    settings.mirroringBatchPeriod = values.duration("mirroring-endpointslice-updates-batch-period")
    settings.autoscaling.syncPeriod = values.duration("horizontal-pod-autoscaler-sync-period")
    settings.autoscaling.downscaleStabilization = values.seconds("horizontal-pod-autoscaler-downscale-stabilization")
    guard let tolerance = Double(values.text("horizontal-pod-autoscaler-tolerance")), tolerance >= 0 else {
      throw FlagError("--horizontal-pod-autoscaler-tolerance must be a number that is not negative")
    }
    settings.autoscaling.tolerance = tolerance
    settings.autoscaling.cpuInitializationPeriod = Int64(
      values.seconds("horizontal-pod-autoscaler-cpu-initialization-period"))
    settings.autoscaling.initialReadinessDelay = Int64(
      values.seconds("horizontal-pod-autoscaler-initial-readiness-delay"))
    settings.autoscaling.workers = max(1, values.integer("concurrent-horizontal-pod-autoscaler-syncs"))
    settings.clusterSigningDuration = values.duration("cluster-signing-duration")
    // A provisioner of `apus server`'s own; upstream's controller manager has none.
    settings.localPathStorageClass = ""
    if let path = values.path("root-ca-file") { settings.rootCA = try text(path, "root-ca-file") }
    if let path = values.path("service-account-private-key-file") {
      settings.serviceAccountKeyPEM = try text(path, "service-account-private-key-file")
    }
    if let certificate = values.path("cluster-signing-cert-file"), let key = values.path("cluster-signing-key-file") {
      settings.clusterSigning = .init(
        certificatePEM: try text(certificate, "cluster-signing-cert-file"),
        privateKeyPEM: try text(key, "cluster-signing-key-file"))
    }
    for (part, signer) in Self.signerNames {
      let flag = "cluster-signing-\(part)"
      guard let certificate = values.path("\(flag)-cert-file"), let key = values.path("\(flag)-key-file") else {
        continue
      }
      settings.signers[signer] = .init(
        certificatePEM: try text(certificate, "\(flag)-cert-file"), privateKeyPEM: try text(key, "\(flag)-key-file"))
    }
    let client = try CommonFlags.client(values, component: "kube-controller-manager")
    let health = ComponentHealth(name: "kube-controller-manager")
    let informers = InformerFactory(client: client, logger: logger("informers"))
    var account: (@Sendable (String) -> APIClient)?
    if values.flag("use-service-account-credentials") {
      let accounts = AccountClients(
        root: client, anonymous: try HTTPTransport(CommonFlags.clusterAccess(values).withoutCredentials))
      account = { accounts.client($0) }
    }
    let controllers = ControllerManager(
      client: client, informers: informers, configuration: settings, account: account,
      logger: logger("kube-controller-manager"))
    let process = LeadingProcess(values: values, client: client, logger: logger("leader-election"), health: health)
    return [
      try ComponentServer.service(values, health: health, logger: logger("serving")),
      Component("informers", informers.run),
      Component("kube-controller-manager") { try await process.run(controllers.run) },
    ].compactMap { $0 }
  }

  private func text(_ path: String, _ flag: String) throws -> String {
    guard let text = try AtomicFile.readText(path) else { throw FlagError("--\(flag): \(path) does not exist") }
    return text
  }
}
