import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Keeps the EndpointSlices of every Service with a selector.
final class EndpointSliceController: Controller {
  let name = "endpointslice-controller"
  private let client: APIClient
  private let services: Informer<Service>
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let slices: Informer<EndpointSlice>
  private let queue = WorkQueue<ObjectKey>("endpoint_slice", baseDelay: .milliseconds(5), maxDelay: .seconds(100))
  private let capacities = Mutex(ZoneCapacity())
  /// Which Services' zones have their parts, by key and family, and what was told where they have not.
  private let hinting = Mutex<[ObjectKey: [TopologyAllocation.Notice]]>([:])
  private let triggers = Mutex(TriggerTimes())
  private let written = WrittenVersions()
  private let recorder: EventRecorder
  private let capacity: Int
  private let workers: Int
  private let logger: Logger

  private static let zoneLabel = "topology.kubernetes.io/zone"

  init(_ context: ControllerContext) {
    client = context.client
    services = context.informers.informer(Service.self)
    pods = context.informers.informer(Pod.self)
    nodes = context.informers.informer(Node.self)
    slices = context.informers.informer(EndpointSlice.self)
    recorder = context.recorder("endpoint-slice-controller")
    capacity = context.configuration.maxEndpointsPerSlice
    workers = context.configuration.workers(.endpointSlice)
    logger = context.logger(name)
    slices.addIndex("service") { slice in
      guard slice.metadata.labels[EndpointSliceDecision.managedByLabel] == EndpointSliceDecision.manager,
        let name = slice.metadata.labels[EndpointSliceDecision.serviceName]
      else { return [] }
      return ["\(slice.metadata.namespace)/\(name)"]
    }
    services.addHandler { [queue] in queue.add($0.object.key) }
    slices.addHandler { [weak self] in self?.sliceChanged($0) }
    nodes.addHandler { [weak self, queue, services] event in
      guard let self else { return }
      let moved = capacities.withLock {
        if case .deleted(let node) = event { $0.forget(node.metadata.name) } else { $0.note(event.object) }
      }
      if moved {
        for service in services.lister.list() where TopologyAllocation.isWanted(service) { queue.add(service.key) }
      }
      // A node's zone is part of every endpoint on it.
      guard case .updated(let old, let new) = event,
        old.metadata.labels[Self.zoneLabel] != new.metadata.labels[Self.zoneLabel]
      else { return }
      for service in services.lister.list() { queue.add(service.key) }
    }
    let batch = context.configuration.endpointSliceBatchPeriod
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
    try await nodes.waitForSync()
    try await slices.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  private func sliceChanged(_ event: InformerEvent<EndpointSlice>) {
    let slice = event.object
    guard slice.metadata.labels[EndpointSliceDecision.managedByLabel] == EndpointSliceDecision.manager,
      let name = slice.metadata.labels[EndpointSliceDecision.serviceName]
    else { return }
    let owner = ObjectKey(namespace: slice.metadata.namespace, name: name)
    if case .deleted = event {
      written.sawDeletion(slice, of: owner)
      queue.add(owner)
    } else if !written.isOwn(slice, of: owner) {
      queue.add(owner)
    }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let service = services.lister.get(key) else {
      triggers.withLock { $0.forget(key) }
      hinting.withLock { $0[key] = nil }
      written.forget(key)
      return .done  // the slices are owned by the Service and go with it
    }
    guard service.spec.type != "ExternalName", !service.spec.selector.isEmpty else { return .done }
    let existing = slices.lister.byIndex("service", key.description)
    // After ten tries something was deleted between our write and our note of it; the cache is right then.
    guard written.isCurrent(key, cached: existing) || queue.numRequeues(key) > 10 else { return .requeue }
    let chosen = PodEndpoints.pods(pods.lister.list(namespace: key.namespace), of: service)
    var zones: [String: String] = [:]
    for node in Set(chosen.map(\.spec.nodeName)) where !node.isEmpty {
      zones[node] = nodes.lister.get(name: node)?.metadata.labels[Self.zoneLabel]
    }
    let trigger = triggers.withLock { $0.next(service, pods: chosen) }
    let decision = EndpointSliceDecision.decide(
      service, pods: chosen, zones: zones, existing: existing.filter { $0.metadata.deletionTimestamp == nil },
      trigger: trigger, capacity: capacity, shares: capacities.withLock { $0.shares })
    tell(decision, service)
    do {
      try await carryOut(decision, key)
    } catch let error as StatusError where error.isNamespaceTerminating {
      return .done
    } catch {
      let text = (error as? StatusError)?.message ?? "\(error)"
      recorder.event(
        service, type: "Warning", reason: "FailedToUpdateEndpointSlices",
        message: "Error updating Endpoint Slices for Service \(key): \(text)")
      throw error
    }
    return .done
  }

  /// Says when a Service's endpoints begin, or cease, to be given to zones, and why they cannot be.
  private func tell(_ decision: EndpointSliceDecision, _ service: Service) {
    let isWanted = TopologyAllocation.isWanted(service)
    let before = hinting.withLock { hinting in
      let before = hinting[service.key]
      hinting[service.key] = isWanted ? decision.notices : nil
      return before
    }
    if isWanted {
      for notice in decision.notices where before?.contains(notice) != true { tell(notice, service) }
      if decision.notices.isEmpty, before?.isEmpty != true {
        let family = service.spec.ipFamilies.first ?? "IPv4"
        tell(
          .init(
            type: "Normal", reason: "TopologyAwareHintsEnabled",
            message: "Topology Aware Hints has been enabled, addressType: \(family)"), service)
      }
    } else if before?.isEmpty == true {
      let family = service.spec.ipFamilies.first ?? "IPv4"
      tell(
        .init(
          type: "Normal", reason: "TopologyAwareHintsDisabled",
          message: "Topology Aware Hints has been disabled, addressType: \(family)"), service)
    }
  }

  private func tell(_ notice: TopologyAllocation.Notice, _ service: Service) {
    recorder.event(service, type: notice.type, reason: notice.reason, message: notice.message)
  }

  private func carryOut(_ decision: EndpointSliceDecision, _ owner: ObjectKey) async throws {
    // Create before update before delete: an endpoint that moves is never missing.
    for slice in decision.create { written.wrote(try await client.create(slice), for: owner) }
    for slice in decision.update { written.wrote(try await client.update(slice), for: owner) }
    for slice in decision.delete {
      try await ignoringNotFound {
        try await client.delete(
          EndpointSlice.self, namespace: slice.metadata.namespace, name: slice.metadata.name)
      }
      written.deleted(slice, for: owner)
      // The informer may have told of the deletion before it was noted.
      if slices.lister.get(slice.key) == nil { written.sawDeletion(slice, of: owner) }
    }
  }
}
