import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Keeps the Endpoints object of every Service with a selector.
final class EndpointsController: Controller {
  let name = "endpoints-controller"
  private let client: APIClient
  private let services: Informer<Service>
  private let pods: Informer<Pod>
  private let endpoints: Informer<Endpoints>
  private let queue = WorkQueue<ObjectKey>("endpoint")
  private let triggers = Mutex(TriggerTimes())
  private let recorder: EventRecorder
  private let workers: Int
  private let logger: Logger

  init(_ context: ControllerContext) {
    client = context.client
    services = context.informers.informer(Service.self)
    pods = context.informers.informer(Pod.self)
    endpoints = context.informers.informer(Endpoints.self)
    recorder = context.recorder("endpoint-controller")
    workers = context.configuration.workers(.endpoints)
    logger = context.logger(name)
    services.addHandler { [queue] in queue.add($0.object.key) }
    endpoints.addHandler { [queue] in if case .deleted(let gone) = $0 { queue.add(gone.key) } }
    let batch = context.configuration.endpointsBatchPeriod
    pods.addHandler { [queue, services] event in
      var concerned = [event.object]
      if case .updated(let old, let new) = event {
        guard PodEndpoints.differ(old, new) else { return }
        concerned.append(old)
      }
      for pod in concerned {
        let all = services.lister.list(namespace: pod.metadata.namespace)
        for service in PodEndpoints.services(all, selecting: pod) { queue.add(service.key, after: batch) }
      }
    }
  }

  func run() async throws {
    try await services.waitForSync()
    try await pods.waitForSync()
    try await endpoints.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let service = services.lister.get(key) else {
      triggers.withLock { $0.forget(key) }
      // Endpoints that nobody made for a Service are not ours to delete: look whether this one is.
      if endpoints.lister.get(key) != nil {
        try await ignoringNotFound { try await client.delete(Endpoints.self, namespace: key.namespace, name: key.name) }
      }
      return .done
    }
    if service.spec.type == "ExternalName" {
      if endpoints.lister.get(key) != nil {
        try await ignoringNotFound { try await client.delete(Endpoints.self, namespace: key.namespace, name: key.name) }
      }
      return .done
    }
    // Without a selector the endpoints are somebody else's.
    guard !service.spec.selector.isEmpty else { return .done }
    let chosen = PodEndpoints.pods(pods.lister.list(namespace: key.namespace), of: service)
    let trigger = triggers.withLock { $0.next(service, pods: chosen) }
    let existing = endpoints.lister.get(key)
    guard
      let wanted = EndpointsDecision.desired(for: service, pods: chosen, existing: existing, trigger: trigger)
    else { return .done }
    do {
      if existing == nil {
        try await client.create(wanted)
      } else {
        try await client.update(wanted)
      }
    } catch let error as StatusError where error.isNamespaceTerminating {
      return .done
    } catch let error as StatusError {
      if existing == nil {
        recorder.event(
          service, type: "Warning", reason: "FailedToCreateEndpoint",
          message: "Failed to create endpoint for service \(key): \(error.message)")
      } else if !error.isConflict {
        recorder.event(
          service, type: "Warning", reason: "FailedToUpdateEndpoint",
          message: "Failed to update endpoint \(key): \(error.message)")
      }
      throw error
    }
    return .done
  }
}
