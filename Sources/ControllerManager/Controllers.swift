import API

extension ControllerManager {
  /// Every controller, in the order in which they start.
  static func make(_ context: ControllerContext) -> [any Controller] {
    let all: [(name: String, make: () -> (any Controller)?)] = [
      (
        "node-ipam-controller",
        { context.configuration.allocateNodeCIDRs ? NodeIPAMController(context) : nil }
      ),
      ("serviceaccount-controller", { ServiceAccountController(context) }),
      ("root-ca-certificate-publisher-controller", { RootCAPublisher(context) }),
      ("deployment-controller", { DeploymentController(context) }),
      (
        "replicaset-controller",
        {
          ReplicaController<ReplicaSet>(
            context, name: "replicaset-controller", component: "replicaset-controller", workers: 5)
        }
      ),
      (
        "replicationcontroller-controller",
        {
          ReplicaController<ReplicationController>(
            context, name: "replicationcontroller-controller", component: "replication-controller", workers: 5)
        }
      ),
      ("statefulset-controller", { StatefulSetController(context) }),
      ("daemonset-controller", { DaemonSetController(context) }),
      ("job-controller", { JobController(context) }),
      ("certificatesigningrequest-signing-controller", { CertificateController(context) }),
      ("kubelet-serving-certificate-approver", { ServingCertificateApprover(context) }),
      ("bootstrap-signer-controller", { BootstrapSigner(context) }),
      ("token-cleaner-controller", { TokenCleaner(context) }),
      ("endpointslice-controller", { EndpointSliceController(context) }),
      ("endpoints-controller", { EndpointsController(context) }),
      ("node-lifecycle-controller", { NodeLifecycleController(context) }),
      ("taint-eviction-controller", { TaintEvictionController(context) }),
      ("pod-garbage-collector-controller", { PodGCController(context) }),
      ("persistentvolume-binder-controller", { PersistentVolumeController(context) }),
      ("persistentvolumeclaim-protection-controller", { VolumeProtectionController(context) }),
      ("local-path-provisioner", { LocalPathProvisioner(context) }),
      ("namespace-controller", { NamespaceController(context) }),
      ("garbage-collector-controller", { GarbageCollector(context) }),
    ]
    return all.filter { context.configuration.isEnabled($0.name) }
      .filter { $0.name != "root-ca-certificate-publisher-controller" || !context.configuration.rootCA.isEmpty }
      .compactMap { $0.make() }
  }
}
