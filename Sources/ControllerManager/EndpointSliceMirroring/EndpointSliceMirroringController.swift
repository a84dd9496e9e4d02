import API
import APIMachinery
import Client
import Logging

/// Mirrors Endpoints of Services without a selector in EndpointSlices, for those who read nothing else.
final class EndpointSliceMirroringController: Controller {
  let name = "endpointslice-mirroring-controller"
  private let client: APIClient
  private let services: Informer<Service>
  private let endpoints: Informer<Endpoints>
  private let slices: Informer<EndpointSlice>
  private let queue = WorkQueue<ObjectKey>("endpoint_slice_mirroring", maxDelay: .seconds(100))
  private let written = WrittenVersions()
  private let workers: Int
  private let maxEndpoints: Int
  private let logger: Logger

  init(_ context: ControllerContext) {
    client = context.client
    services = context.informers.informer(Service.self)
    endpoints = context.informers.informer(Endpoints.self)
    slices = context.informers.informer(EndpointSlice.self)
    maxEndpoints = context.configuration.maxMirroredEndpoints
    workers = context.configuration.workers(.endpointSliceMirroring)
    logger = context.logger(name)
    slices.addIndex("mirrored") { slice in
      guard slice.metadata.labels[EndpointSliceDecision.managedByLabel] == EndpointSliceMirror.manager,
        let name = slice.metadata.labels[EndpointSliceDecision.serviceName]
      else { return [] }
      return ["\(slice.metadata.namespace)/\(name)"]
    }
    services.addHandler { [queue] in queue.add($0.object.key) }
    let batch = context.configuration.mirroringBatchPeriod
    endpoints.addHandler { [queue] in queue.add($0.object.key, after: batch) }
    slices.addHandler { [queue] event in
      let slice = event.object
      guard slice.metadata.labels[EndpointSliceDecision.managedByLabel] == EndpointSliceMirror.manager,
        let name = slice.metadata.labels[EndpointSliceDecision.serviceName]
      else { return }
      queue.add(ObjectKey(namespace: slice.metadata.namespace, name: name))
    }
  }

  func run() async throws {
    try await services.waitForSync()
    try await endpoints.waitForSync()
    try await slices.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    let present = slices.lister.byIndex("mirrored", "\(key.namespace)/\(key.name)")
    guard let written = endpoints.lister.get(key),
      EndpointSliceMirror.isWanted(written, services.lister.get(key))
    else {
      for slice in present { try await delete(slice) }
      self.written.forget(key)
      return .done
    }
    // A slice that was just made may not be seen yet, and would be made again.
    guard self.written.isCurrent(key, cached: present) || queue.numRequeues(key) > 10 else { return .requeue }
    let mirror = EndpointSliceMirror.decide(written, slices: present, maxEndpoints: maxEndpoints)
    for slice in mirror.create { self.written.wrote(try await client.create(slice), for: key) }
    for slice in mirror.update { self.written.wrote(try await client.update(slice), for: key) }
    for slice in mirror.delete { try await delete(slice) }
    return .done
  }

  private func delete(_ slice: EndpointSlice) async throws {
    try await ignoringNotFound {
      try await client.delete(
        EndpointSlice.self, namespace: slice.metadata.namespace, name: slice.metadata.name,
        options: .uid(slice.metadata.uid))
    }
  }
}
