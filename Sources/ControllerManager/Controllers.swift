import API

extension ControllerManager {
  /// A controller's name, the service account in kube-system whose rights it needs, and how it is made.
  typealias Entry = (name: String, account: String, make: @Sendable (ControllerContext) -> (any Controller)?)

  /// Every controller, in the order in which they start. The accounts are upstream's, whose API server gives each the
  /// role `system:controller:<account>`; without one a controller acts as the controller manager.
  static let entries: [Entry] = [
    (
      "node-ipam-controller", "node-controller",
      { $0.configuration.allocateNodeCIDRs ? NodeIPAMController($0) : nil }
    ),
    ("serviceaccount-controller", "service-account-controller", { ServiceAccountController($0) }),
    (
      "root-ca-certificate-publisher-controller", "root-ca-cert-publisher",
      { $0.configuration.rootCA.isEmpty ? nil : RootCAPublisher($0) }
    ),
    ("deployment-controller", "deployment-controller", { DeploymentController($0) }),
    (
      "replicaset-controller", "replicaset-controller",
      {
        ReplicaController<ReplicaSet>(
          $0, name: "replicaset-controller", component: "replicaset-controller", workers: .replicaSet)
      }
    ),
    (
      "replicationcontroller-controller", "replication-controller",
      {
        ReplicaController<ReplicationController>(
          $0, name: "replicationcontroller-controller", component: "replication-controller",
          workers: .replicationController)
      }
    ),
    ("statefulset-controller", "statefulset-controller", { StatefulSetController($0) }),
    ("daemonset-controller", "daemon-set-controller", { DaemonSetController($0) }),
    ("job-controller", "job-controller", { JobController($0) }),
    ("cronjob-controller", "cronjob-controller", { CronJobController($0) }),
    (
      "horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler",
      { HorizontalPodAutoscalerController($0) }
    ),
    ("disruption-controller", "disruption-controller", { DisruptionController($0) }),
    ("certificatesigningrequest-signing-controller", "certificate-controller", { CertificateController($0) }),
    (
      "kubelet-serving-certificate-approver", "kubelet-serving-certificate-approver",
      { ServingCertificateApprover($0) }
    ),
    ("bootstrap-signer-controller", "bootstrap-signer", { BootstrapSigner($0) }),
    ("token-cleaner-controller", "token-cleaner", { TokenCleaner($0) }),
    ("endpointslice-controller", "endpointslice-controller", { EndpointSliceController($0) }),
    (
      "endpointslice-mirroring-controller", "endpointslicemirroring-controller",
      { EndpointSliceMirroringController($0) }
    ),
    ("node-endpoints-controller", "endpointslice-controller", { NodeEndpointsController($0) }),
    ("endpoints-controller", "endpoint-controller", { EndpointsController($0) }),
    ("node-lifecycle-controller", "node-controller", { NodeLifecycleController($0) }),
    ("taint-eviction-controller", "node-controller", { TaintEvictionController($0) }),
    ("ttl-controller", "ttl-controller", { TTLController($0) }),
    ("service-cidr-controller", "service-cidrs-controller", { ServiceCIDRController($0) }),
    // It makes the tokens by which accounts are known, and so has none itself.
    ("serviceaccount-token-controller", "", { ServiceAccountTokenController($0) }),
    (
      "legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner",
      { LegacyTokenCleaner($0) }
    ),
    (
      "certificatesigningrequest-cleaner-controller", "certificate-controller", { CertificateRequestCleaner($0) }
    ),
    ("ephemeral-volume-controller", "ephemeral-volume-controller", { EphemeralVolumeController($0) }),
    ("persistentvolume-attach-detach-controller", "attachdetach-controller", { AttachDetachController($0) }),
    ("persistentvolume-expander-controller", "expand-controller", { VolumeExpander($0) }),
    (
      "volumeattributesclass-protection-controller", "volumeattributesclass-protection-controller",
      { VolumeAttributesClassProtection($0) }
    ),
    ("pod-garbage-collector-controller", "pod-garbage-collector", { PodGCController($0) }),
    ("persistentvolume-binder-controller", "persistent-volume-binder", { PersistentVolumeController($0) }),
    (
      "persistentvolumeclaim-protection-controller", "pvc-protection-controller",
      { VolumeProtectionController($0) }
    ),
    ("local-path-provisioner", "local-path-provisioner", { LocalPathProvisioner($0) }),
    (
      "clusterrole-aggregation-controller", "clusterrole-aggregation-controller",
      { ClusterRoleAggregationController($0) }
    ),
    ("resourcequota-controller", "resourcequota-controller", { ResourceQuotaController($0) }),
    ("namespace-controller", "namespace-controller", { NamespaceController($0) }),
    (
      "garbage-collector-controller", "generic-garbage-collector",
      { $0.configuration.collectsGarbage ? GarbageCollector($0) : nil }
    ),
  ]

  /// Controllers of upstream's that are part of one of ours: that runs when either is named, and does what is.
  static let parts: [String: String] = [
    "certificatesigningrequest-signing-controller": "certificatesigningrequest-approving-controller",
    "job-controller": "ttl-after-finished-controller",
    "persistentvolumeclaim-protection-controller": "persistentvolume-protection-controller",
  ]

  /// The controllers that the configuration names.
  static func make(_ context: ControllerContext) -> [any Controller] {
    let configuration = context.configuration
    return entries.filter { entry in
      configuration.isEnabled(entry.name) || parts[entry.name].map(configuration.isEnabled) ?? false
    }
    .compactMap { $0.make($0.account.isEmpty ? context : context.acting(as: $0.account)) }
  }
}
