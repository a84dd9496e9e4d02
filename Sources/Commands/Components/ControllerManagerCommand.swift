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
      + CommonFlags.serving(port: 10257) + own + autoscaling + concurrency,
    elsewhere: [
      "cloud-config": "run apus cloud-controller-manager", "external-cloud-volume-plugin": "use a CSI driver",
      "flex-volume-plugin-dir": "use a CSI driver", "leader-migration-config": "all controllers have one lease",
      "enable-leader-migration": "all controllers have one lease",
    ])

  private static let own: [GoFlag] = [
    .list("controllers", "*", "Controllers to run: names, * for all, -name for all but one."),
    .text("cluster-cidr", "", "The addresses of pods."),
    .text("service-cluster-ip-range", "", "Taken and not used: ServiceCIDR objects say it."),
    .flag("allocate-node-cidrs", false, "Give nodes ranges of --cluster-cidr."),
    .integer("node-cidr-mask-size", 24, "The size of a node's range."),
    .integer("node-cidr-mask-size-ipv4", 24, "The size of a node's IPv4 range."),
    .text("cidr-allocator-type", "RangeAllocator", "How ranges are given out: RangeAllocator."),
    .text("cluster-name", "kubernetes", "The cluster's name."),
    .text("cluster-signing-cert-file", "", "The authority that signs certificate requests (PEM)."),
    .text("cluster-signing-key-file", "", "Its key (PEM)."),
    .duration("cluster-signing-duration", "8760h0m0s", "How long what it signs is valid at most."),
    .text("root-ca-file", "", "The authority that pods trust the API server by (PEM)."),
    .text("service-account-private-key-file", "", "Taken and not used: the API server signs tokens."),
    .flag("use-service-account-credentials", false, "Each controller acts as a service account of its own."),
    .duration("node-monitor-period", "5s", "How often nodes are looked at."),
    .duration("node-monitor-grace-period", "50s", "How long a node may be silent."),
    .duration("node-startup-grace-period", "1m0s", "How long a new node may be silent."),
    .integer("terminated-pod-gc-threshold", 12500, "How many finished pods are kept."),
    .text("node-eviction-rate", "0.1", "Taken and not used: taints evict by their own times."),
    .text("cloud-provider", "", "Empty or external."),
    .integer("max-endpoints-per-slice", 100, "How many endpoints a slice holds."),
    .duration("min-resync-period", "12h0m0s", "Taken and not used: informers need no resync."),
    .text("cloud-provider-gce-lb-src-cidrs", "", "Taken and not used."),
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
    .integer("concurrent-horizontal-pod-autoscaler-syncs", 5, "Autoscalers looked at at one time."),
  ]

  private static let concurrency: [GoFlag] = [
    "deployment", "replicaset", "endpoint", "service", "job", "cron-job", "daemonset", "statefulset", "namespace",
    "gc", "resource-quota", "serviceaccount-token", "service-endpoint", "ttl-after-finished", "rc",
  ].map { .integer("concurrent-\($0)-syncs", 5, "Taken and not used: a controller does as much at once as it may.") }

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
    settings.terminatedPodThreshold = values.integer("terminated-pod-gc-threshold")
    settings.maxEndpointsPerSlice = values.integer("max-endpoints-per-slice")
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
    if let certificate = values.path("cluster-signing-cert-file"), let key = values.path("cluster-signing-key-file") {
      settings.clusterSigning = .init(
        certificatePEM: try text(certificate, "cluster-signing-cert-file"),
        privateKeyPEM: try text(key, "cluster-signing-key-file"))
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
