import API
import APIMachinery
import Client
import Logging

/// Empties namespaces that are being deleted, then lets them go.
final class NamespaceController: Controller {
  let name = "namespace-controller"
  private let client: APIClient
  private let namespaces: Informer<Namespace>
  private let queue = WorkQueue<ObjectKey>("namespace", baseDelay: .milliseconds(100), maxDelay: .seconds(60))
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time

  private static let finalizer = "kubernetes"

  init(_ context: ControllerContext) {
    client = context.client
    namespaces = context.informers.informer(Namespace.self)
    workers = context.configuration.workers(.namespace)
    logger = context.logger(name)
    now = context.now
    namespaces.addHandler { [queue] event in
      let namespace = event.object
      if namespace.metadata.deletionTimestamp != nil { queue.add(namespace.key) }
    }
  }

  func run() async throws {
    try await namespaces.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard namespaces.lister.get(key) != nil else { return .done }
    var namespace: Namespace
    do {
      namespace = try await client.get(Namespace.self, name: key.name)
    } catch let error as StatusError where error.isNotFound {
      return .done
    }
    guard namespace.metadata.deletionTimestamp != nil else { return .done }
    if namespace.status.phase != "Terminating" {
      namespace.status.phase = "Terminating"
      namespace = try await client.updateStatus(namespace)
    }
    guard namespace.spec.finalizers.contains(Self.finalizer) else { return .done }

    let findings = await empty(key.name)
    let conditions = findings.conditions(from: namespace.status.conditions, now: now())
    if conditions != namespace.status.conditions {
      namespace.status.conditions = conditions
      namespace = try await client.updateStatus(namespace)
    }
    guard findings.isEmpty else {
      if !findings.deletionFailures.isEmpty || !findings.discoveryFailures.isEmpty { return .requeue }
      // What remains is on its way out: pods within their grace, objects held by finalizers.
      return .after(.seconds(1))
    }
    namespace.spec.finalizers.removeAll { $0 == Self.finalizer }
    try await ignoringNotFound { try await client.put(namespace, subresource: "finalize") }
    return .done
  }

  /// Deletes everything, pods before all else: they may need what else is there to stop in good order.
  private func empty(_ namespace: String) async -> NamespaceFindings {
    var findings = NamespaceFindings()
    let discovery: Discovery
    do {
      discovery = try await Discovery.fetch(client)
    } catch {
      findings.discoveryFailures.append("\(error)")
      return findings
    }
    findings.discoveryFailures = discovery.failures.map { "\($0.groupVersion): \($0.message)" }
    let deletable = discovery.resources.filter { $0.location.namespaced && $0.verbs.contains("delete") }
    let isPods: (Discovery.Resource) -> Bool = { $0.location.group.isEmpty && $0.location.resource == "pods" }
    for resource in deletable where isPods(resource) { await empty(namespace, resource, &findings) }
    guard findings.remaining.isEmpty else { return findings }
    for resource in deletable where !isPods(resource) { await empty(namespace, resource, &findings) }
    return findings
  }

  private func empty(
    _ namespace: String, _ resource: Discovery.Resource, _ findings: inout NamespaceFindings
  ) async {
    do {
      guard resource.verbs.contains("list") else { return }
      let before = try await list(namespace, resource)
      if before.isEmpty { return }
      if resource.verbs.contains("deletecollection") {
        try await client.deleteCollection(resource.location, namespace: namespace, options: .background)
      } else {
        for object in before {
          try await ignoringNotFound {
            try await client.delete(
              resource.location, namespace: namespace, name: object.metadata.name, options: .background)
          }
        }
      }
      let after = try await list(namespace, resource)
      guard !after.isEmpty else { return }
      findings.remaining["\(resource.location.resource).\(resource.location.group)"] = after.count
      for finalizer in after.flatMap(\.metadata.finalizers) { findings.finalizers[finalizer, default: 0] += 1 }
    } catch let error as StatusError where error.code == 404 || error.code == 405 {
      // The kind went away since discovery, or cannot be listed: nothing of it can be left.
    } catch {
      findings.deletionFailures.append((error as? StatusError)?.message ?? "\(error)")
    }
  }

  private func list(_ namespace: String, _ resource: Discovery.Resource) async throws -> [PartialObjectMetadata] {
    let path = resource.location.path(namespace: namespace)
    let body = try await client.raw("GET", path, accept: PartialObjectMetadata.listAccept)
    return try KindList<PartialObjectMetadata>.decode(body).items
  }
}
