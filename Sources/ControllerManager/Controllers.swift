import API

extension ControllerManager {
  /// Every controller, in the order in which they start.
  static func make(_ context: ControllerContext) -> [any Controller] {
    let all: [(name: String, make: () -> any Controller)] = [
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
      ("endpointslice-controller", { EndpointSliceController(context) }),
      ("endpoints-controller", { EndpointsController(context) }),
      ("namespace-controller", { NamespaceController(context) }),
      ("garbage-collector-controller", { GarbageCollector(context) }),
    ]
    return all.filter { context.configuration.isEnabled($0.name) }
      .filter { $0.name != "root-ca-certificate-publisher-controller" || !context.configuration.rootCA.isEmpty }
      .map { $0.make() }
  }
}
