import API
import APIMachinery
import Client
import Logging

/// Puts the certificate that pods trust the API server by into every namespace.
final class RootCAPublisher: Controller {
  static let configMapName = "kube-root-ca.crt"
  static let description =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as "
    + "the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
    + "Kubernetes clusters."

  let name = "root-ca-certificate-publisher-controller"
  private let client: APIClient
  private let namespaces: Informer<Namespace>
  private let maps: Informer<ConfigMap>
  private let queue = WorkQueue<String>("root_ca_cert_publisher")
  private let rootCA: String
  private let logger: Logger

  init(_ context: ControllerContext) {
    client = context.client
    rootCA = context.configuration.rootCA
    namespaces = context.informers.informer(Namespace.self)
    // Only ours: the cluster's other ConfigMaps would be held for nothing.
    maps = context.informers.informer(ConfigMap.self, fieldSelector: "metadata.name=\(Self.configMapName)")
    logger = context.logger(name)
    namespaces.addHandler { [queue] event in
      if case .deleted = event { return }
      queue.add(event.object.metadata.name)
    }
    maps.addHandler { [queue] event in
      if case .added = event { return }
      queue.add(event.object.metadata.namespace)
    }
  }

  func run() async throws {
    try await namespaces.waitForSync()
    try await maps.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  /// What is to be written; nil when it stands there already.
  static func desired(in namespace: String, existing: ConfigMap?, rootCA: String) -> ConfigMap? {
    var map = existing ?? ConfigMap()
    map.metadata.name = configMapName
    map.metadata.namespace = namespace
    map.data = ["ca.crt": rootCA]
    map.metadata.annotations["kubernetes.io/description"] = description
    return map == existing ? nil : map
  }

  func reconcile(_ namespace: String) async throws -> ReconcileResult {
    guard let object = namespaces.lister.get(name: namespace), object.status.phase != "Terminating" else {
      return .done
    }
    let existing = maps.lister.get(namespace: namespace, name: Self.configMapName)
    guard let wanted = Self.desired(in: namespace, existing: existing, rootCA: rootCA) else { return .done }
    do {
      if existing == nil {
        try await client.create(wanted)
      } else {
        try await client.update(wanted)
      }
    } catch let error as StatusError where error.isNamespaceTerminating {
      return .done
    } catch let error as StatusError where existing == nil && error.isAlreadyExists {
      return .requeue
    }
    return .done
  }
}
