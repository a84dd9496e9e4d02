/// The names that `--controllers` takes.
public enum ControllerNames {
  /// Controllers that `*` does not name: bootstrapping of nodes is for clusters that want it, and three are Apus's own,
  /// which upstream's controller manager does not have.
  public static let offByDefault: Set<String> = [
    "bootstrap-signer-controller", "token-cleaner-controller", "selinux-warning-controller",
    "kubelet-serving-certificate-approver", "local-path-provisioner", "node-endpoints-controller",
  ]

  /// Upstream's older names, which unit files and kubeadm's manifests still have.
  static let aliases: [String: String] = [
    "attachdetach": "persistentvolume-attach-detach-controller",
    "bootstrapsigner": "bootstrap-signer-controller",
    "cloud-node-lifecycle": "cloud-node-lifecycle-controller",
    "clusterrole-aggregation": "clusterrole-aggregation-controller",
    "cronjob": "cronjob-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "daemonset": "daemonset-controller",
    "deployment": "deployment-controller",
    "disruption": "disruption-controller",
    "endpoint": "endpoints-controller",
    "endpointslice": "endpointslice-controller",
    "endpointslicemirroring": "endpointslice-mirroring-controller",
    "ephemeral-volume": "ephemeral-volume-controller",
    "garbagecollector": "garbage-collector-controller",
    "horizontalpodautoscaling": "horizontal-pod-autoscaler-controller",
    "job": "job-controller",
    "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner-controller",
    "namespace": "namespace-controller",
    "nodeipam": "node-ipam-controller",
    "nodelifecycle": "node-lifecycle-controller",
    "persistentvolume-binder": "persistentvolume-binder-controller",
    "persistentvolume-expander": "persistentvolume-expander-controller",
    "podgc": "pod-garbage-collector-controller",
    "pv-protection": "persistentvolume-protection-controller",
    "pvc-protection": "persistentvolumeclaim-protection-controller",
    "replicaset": "replicaset-controller",
    "replicationcontroller": "replicationcontroller-controller",
    "resource-claim-controller": "resourceclaim-controller",
    "resourcequota": "resourcequota-controller",
    "root-ca-cert-publisher": "root-ca-certificate-publisher-controller",
    "route": "node-route-controller",
    "service": "service-lb-controller",
    "serviceaccount": "serviceaccount-controller",
    "serviceaccount-token": "serviceaccount-token-controller",
    "statefulset": "statefulset-controller",
    "storage-version-gc": "storageversion-garbage-collector-controller",
    "tokencleaner": "token-cleaner-controller",
    "ttl": "ttl-controller",
    "ttl-after-finished": "ttl-after-finished-controller",
  ]

  /// Upstream's names that never had another.
  private static let withoutAlias: Set<String> = [
    "device-taint-eviction-controller", "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "podcertificaterequest-cleaner-controller", "selinux-warning-controller", "service-cidr-controller",
    "storage-version-migrator-controller", "taint-eviction-controller",
    "validatingadmissionpolicy-status-controller", "volumeattributesclass-protection-controller",
  ]

  /// Whether upstream or Apus has a controller of that name.
  public static func isKnown(_ name: String) -> Bool {
    withoutAlias.contains(name) || aliases.values.contains(name)
      || ControllerManager.entries.contains { $0.name == name }
  }

  /// A list of names, `*` and `-name` with today's names in place of older ones.
  public static func canonical(_ list: [String]) -> [String] {
    list.map { entry in
      let isOff = entry.hasPrefix("-")
      let name = isOff ? String(entry.dropFirst()) : entry
      return (isOff ? "-" : "") + (aliases[name] ?? name)
    }
  }

  /// The first thing wrong with a list, in upstream's words; nil when all names are known.
  public static func objection(_ list: [String]) -> String? {
    canonical(list).map { $0.hasPrefix("-") ? String($0.dropFirst()) : $0 }
      .first { $0 != "*" && !isKnown($0) }
      .map { "\"\($0)\" is not in the list of known controllers" }
  }
}
