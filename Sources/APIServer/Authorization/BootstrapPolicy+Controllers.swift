extension BootstrapPolicy {
  /// A role for each controller; its account in `kube-system` is bound to it.
  static let controllerRoles = """
    = system:controller:attachdetach-controller
    list watch; core; persistentvolumes persistentvolumeclaims
    R; core; nodes
    patch update; core; nodes/status
    list watch; core; pods
    EVENTS
    get create delete list watch; storage.k8s.io; volumeattachments
    R; storage.k8s.io; csidrivers
    R; storage.k8s.io; csinodes
    = system:controller:clusterrole-aggregation-controller
    escalate get list watch update patch; rbac.authorization.k8s.io; clusterroles
    = system:controller:cronjob-controller
    get list watch update; batch; cronjobs
    get list watch create update delete patch; batch; jobs
    update; batch; cronjobs/status
    update; batch; cronjobs/finalizers
    list watch delete; core; pods
    EVENTS
    = system:controller:daemon-set-controller
    R; extensions apps; daemonsets
    update; extensions apps; daemonsets/status
    update; extensions apps; daemonsets/finalizers
    list watch; core; nodes
    list watch create delete patch; core; pods
    create; core; pods/binding
    get list watch create delete update patch; apps; controllerrevisions
    EVENTS
    = system:controller:deployment-controller
    get list watch update; extensions apps; deployments
    update; extensions apps; deployments/status
    update; extensions apps; deployments/finalizers
    get list watch create update patch delete; apps extensions; replicasets
    get list watch update; core; pods
    EVENTS
    = system:controller:disruption-controller
    R; extensions apps; deployments
    R; apps extensions; replicasets
    R; core; replicationcontrollers
    R; policy; poddisruptionbudgets
    R; apps; statefulsets
    update; policy; poddisruptionbudgets/status
    patch update; core; pods/status
    get; *; */scale
    EVENTS
    = system:controller:endpoint-controller
    R; core; services pods
    get list watch create update delete; core; endpoints
    create; core; endpoints/restricted
    EVENTS
    = system:controller:endpointslice-controller
    R; core; services pods nodes
    update; core; services/finalizers
    get list watch create update delete; discovery.k8s.io; endpointslices
    EVENTS
    = system:controller:endpointslicemirroring-controller
    R; core; services endpoints
    update; core; services/finalizers
    update; core; endpoints/finalizers
    get list watch create update delete; discovery.k8s.io; endpointslices
    EVENTS
    = system:controller:expand-controller
    get list watch update patch; core; persistentvolumes
    update patch; core; persistentvolumeclaims/status
    R; core; persistentvolumeclaims
    EVENTS
    get; core; services
    = system:controller:ephemeral-volume-controller
    R; core; pods
    update; core; pods/finalizers
    get list watch create; core; persistentvolumeclaims
    EVENTS
    = system:controller:resource-claim-controller
    R; core; pods
    update; core; pods/finalizers
    get list watch create delete; resource.k8s.io; resourceclaims
    update patch; resource.k8s.io; resourceclaims resourceclaims/status
    update patch; core; pods/status
    EVENTS
    = system:controller:device-taint-eviction-controller
    get list watch delete; core; pods
    update patch; core; pods/status
    R; resource.k8s.io; resourceclaims
    R; resource.k8s.io; resourceslices
    R; resource.k8s.io; deviceclasses
    R; resource.k8s.io; devicetaintrules
    EVENTS
    = system:controller:generic-garbage-collector
    get list watch patch update delete; *; *
    EVENTS
    = system:controller:horizontal-pod-autoscaler
    R; autoscaling; horizontalpodautoscalers
    update; autoscaling; horizontalpodautoscalers/status
    get update; *; */scale
    list watch; core; pods
    list watch; metrics.k8s.io; pods
    R; custom.metrics.k8s.io; *
    R; external.metrics.k8s.io; *
    EVENTS
    = system:controller:job-controller
    get list watch update patch; batch; jobs
    update; batch; jobs/status
    update; batch; jobs/finalizers
    list watch create delete patch; core; pods
    EVENTS
    = system:controller:namespace-controller
    get list watch delete; core; namespaces
    update; core; namespaces/finalize namespaces/status
    get list watch delete deletecollection; *; *
    = system:controller:node-controller
    get list watch update delete patch; core; nodes
    patch update; core; nodes/status
    patch update; core; pods/status
    list watch get delete; core; pods
    EVENTS
    = system:controller:persistent-volume-binder
    get list watch update create delete; core; persistentvolumes
    update; core; persistentvolumes/status
    get list watch update; core; persistentvolumeclaims
    update; core; persistentvolumeclaims/status
    list watch get create delete; core; pods
    R; storage.k8s.io; storageclasses
    list watch; core; nodes
    EVENTS
    watch; core; events
    get; core; services
    """

  /// The rest of the controllers' roles, apart only to keep literals short.
  static let lateControllerRoles = """
    = system:controller:pod-garbage-collector
    list watch delete; core; pods
    R; core; nodes
    patch; core; pods/status
    = system:controller:replicaset-controller
    get list watch update; apps extensions; replicasets
    update; apps extensions; replicasets/status
    update; apps extensions; replicasets/finalizers
    list watch patch create delete; core; pods
    EVENTS
    = system:controller:replication-controller
    get list watch update; core; replicationcontrollers
    update; core; replicationcontrollers/status
    update; core; replicationcontrollers/finalizers
    list watch patch create delete; core; pods
    EVENTS
    = system:controller:resourcequota-controller
    list watch; *; *
    update; core; resourcequotas/status
    EVENTS
    = system:controller:route-controller
    list watch; core; nodes
    patch; core; nodes/status
    EVENTS
    = system:controller:service-account-controller
    create; core; serviceaccounts
    EVENTS
    = system:controller:service-controller
    R; core; services
    patch update; core; services/status
    list watch; core; nodes
    EVENTS
    = system:controller:service-cidrs-controller
    get list watch patch update; networking.k8s.io; servicecidrs
    patch update; networking.k8s.io; servicecidrs/finalizers
    patch update; networking.k8s.io; servicecidrs/status
    R; networking.k8s.io; ipaddresses
    EVENTS
    = system:controller:statefulset-controller
    list watch; core; pods
    R; apps; statefulsets
    update; apps; statefulsets/status
    update; apps; statefulsets/finalizers
    get create delete update patch; core; pods
    get create delete update patch list watch; apps; controllerrevisions
    get create list watch; core; persistentvolumeclaims
    update delete; core; persistentvolumeclaims
    update; core; pods/finalizers
    EVENTS
    = system:controller:ttl-controller
    update patch list watch; core; nodes
    EVENTS
    = system:controller:certificate-controller
    get list watch delete; certificates.k8s.io; certificatesigningrequests
    update; certificates.k8s.io; certificatesigningrequests/status certificatesigningrequests/approval
    approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client-kubelet
    sign; certificates.k8s.io; signers; kubernetes.io/legacy-unknown kubernetes.io/kube-apiserver-client \
    kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving
    create; authorization.k8s.io; subjectaccessreviews
    EVENTS
    = system:controller:podcertificaterequestcleaner
    get list watch delete; certificates.k8s.io; podcertificaterequests
    = system:controller:pvc-protection-controller
    get list watch update; core; persistentvolumeclaims
    R; core; pods
    EVENTS
    = system:controller:pv-protection-controller
    get list watch update; core; persistentvolumes
    EVENTS
    = system:controller:volumeattributesclass-protection-controller
    R; core; persistentvolumeclaims
    R; core; persistentvolumes
    get list watch update; storage.k8s.io; volumeattributesclasses
    EVENTS
    = system:controller:ttl-after-finished-controller
    get list watch delete; batch; jobs
    EVENTS
    = system:controller:root-ca-cert-publisher
    create update; core; configmaps
    EVENTS
    = system:controller:kube-apiserver-serving-clustertrustbundle-publisher
    attest; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-serving
    create update delete list watch; certificates.k8s.io; clustertrustbundles
    EVENTS
    = system:controller:validatingadmissionpolicy-status-controller
    R; admissionregistration.k8s.io; validatingadmissionpolicies
    get patch update; admissionregistration.k8s.io; validatingadmissionpolicies/status
    EVENTS
    = system:controller:legacy-service-account-token-cleaner
    get; core; configmaps; kube-apiserver-legacy-service-account-token-tracking
    patch delete; core; secrets
    = system:controller:storage-version-migrator-controller
    list watch create patch; *; *
    update; storagemigration.k8s.io; storageversionmigrations/status
    = system:controller:selinux-warning-controller
    EVENTS
    R; core; persistentvolumes
    R; core; persistentvolumeclaims
    R; core; pods
    R; storage.k8s.io; csidrivers
    """
}
