import APIServer

/// Flags of kube-apiserver that `apus server` takes too, as `--kube-apiserver-arg flag=value`.
enum APIServerFlags {
  static let shared: [GoFlag] =
    [
      .text("audit-policy-file", "", "What is written down about which requests."),
      .text("audit-log-path", "", "Where it is written; - is standard output."),
      .text("audit-log-format", "json", "json or legacy."),
      .integer("audit-log-maxsize", 100, "Megabytes of a log before the next is begun."),
      .integer("audit-log-maxbackup", 0, "How many old logs are kept; 0 is all."),
      .integer("audit-log-maxage", 0, "How many days old logs are kept; 0 is for ever."),
      .text("audit-webhook-config-file", "", "A kubeconfig of the webhook that gets it too."),
      .duration("audit-webhook-batch-max-wait", "30s", "How long it may wait for a full batch."),
      .duration("audit-webhook-initial-backoff", "10s", "How long to wait before trying the webhook again."),
      .text("encryption-provider-config", "", "How what is stored is encrypted."),
      .flag("encryption-provider-config-automatic-reload", false, "Whether that is read again when it changes."),
      .flag("enable-priority-and-fairness", true, "Whether FlowSchemas share out what the server can do at one time."),
      .list("enable-admission-plugins", "", "Plugins to run beside those that run by default."),
      .list("disable-admission-plugins", "", "Plugins that run by default and are not to run."),
    ] + APIServerAccessFlags.all

  static func apply(_ values: FlagValues, to settings: inout APIServer.Configuration) throws {
    try APIServerAccessFlags.apply(values, to: &settings)
    settings.flags = values.all
    settings.audit.policyFile = values.path("audit-policy-file")
    settings.audit.logPath = values.text("audit-log-path")
    settings.audit.logFormat = values.text("audit-log-format")
    settings.audit.maxSize = values.integer("audit-log-maxsize")
    settings.audit.maxBackups = values.integer("audit-log-maxbackup")
    settings.audit.maxAge = values.integer("audit-log-maxage")
    settings.audit.webhookFile = values.path("audit-webhook-config-file")
    settings.audit.webhookMaxWait = values.duration("audit-webhook-batch-max-wait")
    settings.audit.webhookInitialBackoff = values.duration("audit-webhook-initial-backoff")
    settings.priorityAndFairness = values.flag("enable-priority-and-fairness")
    settings.encryptionFile = values.path("encryption-provider-config")
    settings.reloadsEncryption = values.flag("encryption-provider-config-automatic-reload")
    settings.enabledAdmissionPlugins.formUnion(try plugins(values, "enable-admission-plugins"))
    settings.disabledAdmissionPlugins = try plugins(values, "disable-admission-plugins")
    if let both = settings.enabledAdmissionPlugins.intersection(settings.disabledAdmissionPlugins).min() {
      throw FlagError("[\(both)] in enable-admission-plugins and disable-admission-plugins overlapped")
    }
  }

  /// Takes what `apus server` was told.
  static func apply(arguments: [String], to settings: inout APIServer.Configuration) throws {
    let flags = GoFlags(component: "kube-apiserver", shared)
    guard case .run(let values) = try flags.parse(arguments.map { $0.hasPrefix("--") ? $0 : "--" + $0 }) else {
      throw FlagError("--kube-apiserver-arg takes flag=value")
    }
    try apply(values, to: &settings)
  }

  private static func plugins(_ values: FlagValues, _ flag: String) throws -> Set<String> {
    let names = values.list(flag)
    if let other = names.first(where: { !upstreamPlugins.contains($0) }) {
      throw FlagError("\(flag) plugin \"\(other)\" is unknown")
    }
    // One that does nothing is no matter; one that is asked for and not here must not be passed over.
    let here = APIServerConfiguration.admissionPlugins.union(["AlwaysAdmit"])
    if flag.hasPrefix("enable"), let missing = names.first(where: { !here.contains($0) }) {
      throw FlagError("\(flag) plugin \"\(missing)\" is not served by apus")
    }
    return Set(names)
  }

  /// Upstream's plugins.
  private static let upstreamPlugins: Set<String> = [
    "AlwaysAdmit", "AlwaysDeny", "AlwaysPullImages", "CertificateApproval", "CertificateSigning",
    "CertificateSubjectRestriction", "ClusterTrustBundleAttest", "DefaultIngressClass", "DefaultStorageClass",
    "DefaultTolerationSeconds", "DenyServiceExternalIPs", "EventRateLimit", "ExtendedResourceToleration",
    "ImagePolicyWebhook", "LimitPodHardAntiAffinityTopology", "LimitRanger", "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook", "NamespaceAutoProvision", "NamespaceExists", "NamespaceLifecycle", "NodeRestriction",
    "OwnerReferencesPermissionEnforcement", "PersistentVolumeClaimResize", "PodNodeSelector", "PodSecurity",
    "PodTolerationRestriction", "PodTopologyLabels", "Priority", "ResourceQuota", "RuntimeClass", "ServiceAccount",
    "StorageObjectInUseProtection", "TaintNodesByCondition", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook",
  ]

}
