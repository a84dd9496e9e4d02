extension BootstrapPolicy {
  /// Roles for people and for anybody who looks around.
  static let generalRoles = """
    = cluster-admin
    *; *; *
    *; *
    = system:discovery
    get; /livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*
    = system:monitoring
    get; /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz
    = system:basic-user
    create; authorization.k8s.io; selfsubjectaccessreviews selfsubjectrulesreviews
    create; authentication.k8s.io; selfsubjectreviews
    = system:public-info-viewer
    get; /livez /readyz /healthz /version /version/
    = admin
    @ from admin
    = edit
    @ to admin
    @ from edit
    = view
    @ to edit
    @ from view
    = system:aggregated-metrics-reader
    @ to view
    get list watch; metrics.k8s.io; pods nodes
    = system:aggregate-to-admin
    @ to admin
    create; authorization.k8s.io; localsubjectaccessreviews
    RW; rbac.authorization.k8s.io; roles rolebindings
    = system:aggregate-to-edit
    @ to edit
    R; core; pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy
    impersonate; core; serviceaccounts
    W; core; pods pods/attach pods/proxy pods/exec pods/portforward
    create; core; pods/eviction
    W; core; replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy \
    persistentvolumeclaims configmaps secrets events
    create; core; serviceaccounts/token
    W; apps; statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback \
    replicasets replicasets/scale
    W; autoscaling; horizontalpodautoscalers
    W; batch; jobs cronjobs
    W; extensions; daemonsets deployments deployments/scale deployments/rollback ingresses replicasets \
    replicasets/scale replicationcontrollers/scale networkpolicies
    W; policy; poddisruptionbudgets
    W; networking.k8s.io; networkpolicies ingresses
    RW; coordination.k8s.io; leases
    W; resource.k8s.io; resourceclaims resourceclaimtemplates
    = system:aggregate-to-view
    @ to view
    R; core; pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status \
    endpoints persistentvolumeclaims persistentvolumeclaims/status configmaps
    R; core; limitranges resourcequotas bindings events pods/status resourcequotas/status namespaces/status \
    replicationcontrollers/status pods/log
    R; core; namespaces
    R; discovery.k8s.io; endpointslices
    R; apps; controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status \
    deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale
    R; autoscaling; horizontalpodautoscalers horizontalpodautoscalers/status
    R; batch; jobs cronjobs cronjobs/status jobs/status
    R; extensions; daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses \
    ingresses/status replicasets replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies
    R; policy; poddisruptionbudgets poddisruptionbudgets/status
    R; networking.k8s.io; networkpolicies ingresses ingresses/status
    R; resource.k8s.io; resourceclaims resourceclaims/status resourceclaimtemplates
    = system:heapster
    R; core; events pods nodes namespaces
    R; extensions; deployments
    """

  /// Roles for the parts of a cluster other than controllers.
  static let componentRoles = """
    = system:node
    create; authentication.k8s.io; tokenreviews
    create; authorization.k8s.io; subjectaccessreviews localsubjectaccessreviews
    R; core; services
    create get list watch; core; nodes
    update patch; core; nodes/status
    update patch; core; nodes
    create update patch; core events.k8s.io; events
    R; core; pods
    create delete; core; pods
    update patch; core; pods/status
    create; core; pods/eviction
    R; core; secrets configmaps
    get; core; persistentvolumeclaims persistentvolumes
    get; core; endpoints
    create get list watch; certificates.k8s.io; certificatesigningrequests
    get create update patch delete; coordination.k8s.io; leases
    get; storage.k8s.io; volumeattachments
    create; core; serviceaccounts/token
    get update patch; core; persistentvolumeclaims/status
    R; storage.k8s.io; csidrivers
    get create update patch delete; storage.k8s.io; csinodes
    R; node.k8s.io; runtimeclasses
    get; resource.k8s.io; resourceclaims
    deletecollection; resource.k8s.io; resourceslices
    get list watch create update patch delete; resource.k8s.io; resourceslices
    R; certificates.k8s.io; clustertrustbundles
    R create; certificates.k8s.io; podcertificaterequests
    get; core; serviceaccounts
    = system:node-problem-detector
    get; core; nodes
    patch; core; nodes/status
    EVENTS
    = system:kubelet-api-admin
    R; core; nodes
    proxy; core; nodes
    *; core; nodes/proxy nodes/metrics nodes/stats nodes/log nodes/spec nodes/checkpoint nodes/configz nodes/healthz \
    nodes/pods
    = system:node-bootstrapper
    create get list watch; certificates.k8s.io; certificatesigningrequests
    = system:auth-delegator
    create; authentication.k8s.io; tokenreviews
    create; authorization.k8s.io; subjectaccessreviews
    = system:kube-aggregator
    R; core; services endpoints
    = system:kube-controller-manager
    EVENTS
    create; coordination.k8s.io; leases
    get update; coordination.k8s.io; leases; kube-controller-manager
    create; core; secrets serviceaccounts
    delete; core; secrets
    get; core; namespaces secrets serviceaccounts configmaps
    update; core; secrets serviceaccounts
    create; authentication.k8s.io; tokenreviews
    create; authorization.k8s.io; subjectaccessreviews
    list watch; *; *
    create; core; serviceaccounts/token
    = system:kube-dns
    list watch; core; endpoints services
    = system:persistent-volume-provisioner
    get list watch create delete; core; persistentvolumes
    get list watch update; core; persistentvolumeclaims
    R; storage.k8s.io; storageclasses
    watch; core; events
    EVENTS
    = system:certificates.k8s.io:certificatesigningrequests:nodeclient
    create; certificates.k8s.io; certificatesigningrequests/nodeclient
    = system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
    create; certificates.k8s.io; certificatesigningrequests/selfnodeclient
    = system:volume-scheduler
    get list watch update patch; core; persistentvolumes
    R; storage.k8s.io; storageclasses
    get list watch update patch; core; persistentvolumeclaims
    = system:certificates.k8s.io:legacy-unknown-approver
    approve; certificates.k8s.io; signers; kubernetes.io/legacy-unknown
    = system:certificates.k8s.io:kubelet-serving-approver
    approve; certificates.k8s.io; signers; kubernetes.io/kubelet-serving
    = system:certificates.k8s.io:kube-apiserver-client-approver
    approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client
    = system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
    approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client-kubelet
    = system:service-account-issuer-discovery
    get; /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/
    = system:node-proxier
    list watch; core; services
    R; core; nodes
    EVENTS
    list watch; discovery.k8s.io; endpointslices
    list watch; networking.k8s.io; servicecidrs
    = system:kube-scheduler
    EVENTS
    create; coordination.k8s.io; leases
    get update; coordination.k8s.io; leases; kube-scheduler
    R; core; nodes
    get list watch delete; core; pods
    create; core; bindings pods/binding
    patch update; core; pods/status
    R; core; replicationcontrollers services
    R; apps extensions; replicasets
    R; apps; statefulsets
    R; policy; poddisruptionbudgets
    R; core; persistentvolumeclaims persistentvolumes
    create; authentication.k8s.io; tokenreviews
    create; authorization.k8s.io; subjectaccessreviews
    R; storage.k8s.io; csinodes
    R; core; namespaces
    R; storage.k8s.io; csidrivers
    R; storage.k8s.io; csistoragecapacities
    R; storage.k8s.io; volumeattachments
    R; resource.k8s.io; deviceclasses
    get list watch patch update; resource.k8s.io; resourceclaims
    patch update; resource.k8s.io; resourceclaims/status
    R; resource.k8s.io; resourceslices
    update; core; pods/finalizers
    """

  /// Roles that live in one namespace.
  static let namespaceRoles = [
    (
      "kube-system",
      """
      = extension-apiserver-authentication-reader
      R; core; configmaps; extension-apiserver-authentication
      = system:controller:bootstrap-signer
      R; core; secrets
      = system:controller:cloud-provider
      create get list watch; core; configmaps
      = system:controller:token-cleaner
      get list watch delete; core; secrets
      EVENTS
      = system::leader-locking-kube-controller-manager
      watch; core; configmaps
      get update; core; configmaps; kube-controller-manager
      = system::leader-locking-kube-scheduler
      watch; core; configmaps
      get update; core; configmaps; kube-scheduler
      """
    ),
    (
      "kube-public",
      """
      = system:controller:bootstrap-signer
      R; core; configmaps
      update; core; configmaps; cluster-info
      EVENTS
      """
    ),
  ]
}
