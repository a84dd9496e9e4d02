import API
import APIMachinery
import Client
import Logging

/// Gives Services of type LoadBalancer their load balancers, keeps them leading to the cluster's nodes, and takes them
/// away with the Services.
final class ServiceController: Controller {
  let name = "service-lb-controller"
  private let client: APIClient
  private let provider: any CloudProvider
  private let services: Informer<Service>
  private let nodes: Informer<Node>
  private let recorder: EventRecorder
  private let configuration: CloudControllerManager.Configuration
  private let logger: Logger
  private let memory = ServiceMemory()
  private let queue = WorkQueue<ObjectKey>("service", baseDelay: .seconds(5), maxDelay: .seconds(300))

  private enum Operation { case ensure, delete }

  init(_ context: CloudContext) {
    client = context.client
    provider = context.provider
    services = context.informers.informer(Service.self)
    nodes = context.informers.informer(Node.self)
    let recorder = context.recorder("service-controller")
    self.recorder = recorder
    configuration = context.configuration
    logger = context.logger(name)
    let classes = provider.loadBalancerClasses
    services.addHandler { [memory, queue] event in
      let service = event.object
      let isDue: Bool
      switch event {
      case .added:
        isDue = ServiceNeeds.wantsLoadBalancer(service, classes: classes) || ServiceNeeds.needsCleanup(service)
      case .updated(let old, let new):
        let (needed, notes) = ServiceNeeds.update(from: old, to: new, classes: classes)
        for note in notes { recorder.event(new, type: "Normal", reason: note.reason, message: note.message) }
        isDue = needed || ServiceNeeds.needsCleanup(new)
      case .deleted:
        // Cleaning up comes before the finalizer goes; only a Service that lost it to somebody else is still known.
        isDue = memory[service.key] != nil
      }
      guard isDue else { return }
      memory.ask(.everything, for: service.key)
      queue.add(service.key)
    }
    nodes.addHandler { [memory, queue] event in
      if case .updated(let old, let new) = event, !ServiceNodes.concerns(from: old, to: new) { return }
      for key in memory.keys {
        memory.ask(.nodes, for: key)
        queue.add(key)
      }
    }
  }

  func run() async throws {
    try await services.waitForSync()
    try await nodes.waitForSync()
    await runWorkers(queue, count: configuration.concurrentServiceSyncs, logger: logger) { [self] key in
      let work = memory.takeWork(key)
      do {
        return try await reconcile(key, work)
      } catch {
        memory.ask(work, for: key)
        throw error
      }
    }
  }

  func reconcile(_ key: ObjectKey, _ work: ServiceMemory.Work = .everything) async throws -> ReconcileResult {
    guard let service = services.lister.get(key) else {
      if let known = memory[key] { try await delete(known) }
      return .done
    }
    if work == .nodes {
      try await updateNodes(service)
      return .done
    }
    if let known = memory[key], known.metadata.uid != service.metadata.uid { try await delete(known) }
    memory[key] = service
    do {
      if try await sync(service) == .delete { memory.forget(key) }
      return .done
    } catch let error as CancellationError {
      throw error
    } catch {
      recorder.event(
        service, type: "Warning", reason: "SyncLoadBalancerFailed",
        message: "Error syncing load balancer: \(text(error))")
      if let failure = error as? SyncFailure, case CloudProviderError.retry(let seconds, _) = failure.cause {
        logger.info("service \(key) is tried again in \(seconds) s: \(text(error))")
        memory.ask(.everything, for: key)
        return .after(.seconds(seconds))
      }
      throw error
    }
  }

  // MARK: One Service

  private func sync(_ service: Service) async throws -> Operation {
    let operation: Operation
    var status = LoadBalancerStatus()
    if !ServiceNeeds.wantsLoadBalancer(service, classes: provider.loadBalancerClasses)
      || ServiceNeeds.needsCleanup(service)
    {
      operation = .delete
      let existing = try await step("failed to check if load balancer exists before cleanup") {
        try await provider.loadBalancer(cluster: configuration.clusterName, service)
      }
      if existing != nil {
        recorder.event(service, type: "Normal", reason: "DeletingLoadBalancer", message: "Deleting load balancer")
        do {
          try await step("failed to delete load balancer") {
            try await provider.deleteLoadBalancer(cluster: configuration.clusterName, service)
          }
        } catch let error as SyncFailure where error.isImplementedElsewhere {
          return operation
        }
      }
      try await step("failed to remove load balancer cleanup finalizer") {
        try await setFinalizer(false, on: service)
      }
      recorder.event(service, type: "Normal", reason: "DeletedLoadBalancer", message: "Deleted load balancer")
    } else {
      operation = .ensure
      recorder.event(service, type: "Normal", reason: "EnsuringLoadBalancer", message: "Ensuring load balancer")
      try await step("failed to add load balancer cleanup finalizer") { try await setFinalizer(true, on: service) }
      let nodes = ServiceNodes.eligible(nodes.lister.list())
      if nodes.isEmpty { warnOfNoNodes(service) }
      memory.lead(service.key, to: nodes)
      do {
        status = try await step("failed to ensure load balancer") {
          try await provider.ensureLoadBalancer(cluster: configuration.clusterName, service, nodes: nodes)
        }
      } catch let error as SyncFailure where error.isImplementedElsewhere {
        logger.debug("the load balancer of \(service.key) is another controller's")
        return operation
      }
      recorder.event(service, type: "Normal", reason: "EnsuredLoadBalancer", message: "Ensured load balancer")
    }
    try await step("failed to update load balancer status") { try await client.patchStatus(of: service, status) }
    return operation
  }

  /// A Service that went without its finalizer, or gave its name to another: what it had must go.
  private func delete(_ service: Service) async throws {
    if !ServiceNeeds.wantsLoadBalancer(service, classes: provider.loadBalancerClasses) {
      return memory.forget(service.key)
    }
    recorder.event(service, type: "Normal", reason: "DeletingLoadBalancer", message: "Deleting load balancer")
    do {
      try await provider.deleteLoadBalancer(cluster: configuration.clusterName, service)
    } catch {
      recorder.event(
        service, type: "Warning", reason: "DeleteLoadBalancerFailed",
        message: "Error deleting load balancer: \(text(error))")
      throw error
    }
    recorder.event(service, type: "Normal", reason: "DeletedLoadBalancer", message: "Deleted load balancer")
    memory.forget(service.key)
  }

  private func setFinalizer(_ wanted: Bool, on service: Service) async throws {
    var live = service
    for attempt in 0... {
      guard live.metadata.finalizers.contains(ServiceNeeds.finalizer) != wanted else { return }
      var finalizers = live.metadata.finalizers.filter { $0 != ServiceNeeds.finalizer }
      if wanted { finalizers.append(ServiceNeeds.finalizer) }
      let patch = JSONValue.object([
        "metadata": .object([
          "resourceVersion": .string(live.metadata.resourceVersion),
          "finalizers": .array(finalizers.map { .string($0) }),
        ])
      ])
      let (namespace, name) = (service.metadata.namespace, service.metadata.name)
      do {
        try await client.patch(Service.self, namespace: namespace, name: name, .merge(patch.encoded()))
        return
      } catch let error as StatusError where error.isNotFound && !wanted {
        return
      } catch let error as StatusError where error.isConflict && attempt < 5 {
        live = try await client.get(Service.self, namespace: namespace, name: name)
        guard live.metadata.uid == service.metadata.uid else { throw error }
      }
    }
  }

  // MARK: Nodes

  private func updateNodes(_ service: Service) async throws {
    guard ServiceNeeds.wantsLoadBalancer(service, classes: provider.loadBalancerClasses),
      service.metadata.deletionTimestamp == nil
    else { return }
    let nodes = ServiceNodes.eligible(nodes.lister.list())
    let before = memory.lead(service.key, to: nodes) ?? []
    if ServiceNodes.same(before, nodes) { return }
    do {
      try await provider.updateLoadBalancer(cluster: configuration.clusterName, service, nodes: nodes)
    } catch CloudProviderError.implementedElsewhere {
      return
    } catch {
      // A load balancer that is gone needs no nodes.
      let existing: LoadBalancerStatus?
      do {
        existing = try await provider.loadBalancer(cluster: configuration.clusterName, service)
      } catch let other {
        logger.warning("failed to check if load balancer exists for service \(service.key): \(text(other))")
        existing = LoadBalancerStatus()
      }
      guard existing != nil else { return }
      memory.forgetNodes(service.key)
      recorder.event(
        service, type: "Warning", reason: "UpdateLoadBalancerFailed",
        message: "Error updating load balancer with new hosts \(ServiceNodes.names(nodes)) [node names limited, "
          + "total number of nodes: \(nodes.count)], error: \(text(error))")
      throw error
    }
    if nodes.isEmpty {
      warnOfNoNodes(service)
    } else {
      recorder.event(
        service, type: "Normal", reason: "UpdatedLoadBalancer", message: "Updated load balancer with new hosts")
    }
  }

  private func warnOfNoNodes(_ service: Service) {
    recorder.event(
      service, type: "Warning", reason: "UnAvailableLoadBalancer",
      message: "There are no available nodes for LoadBalancer")
  }
}

/// A step that failed, and why.
private struct SyncFailure: Error, CustomStringConvertible {
  let step: String
  let cause: any Error

  var description: String { "\(step): \(text(cause))" }

  var isImplementedElsewhere: Bool {
    if case CloudProviderError.implementedElsewhere = cause { return true }
    return false
  }
}

private func step<Value>(_ name: String, _ body: () async throws -> Value) async throws -> Value {
  do {
    return try await body()
  } catch let error as CancellationError {
    throw error
  } catch {
    throw SyncFailure(step: name, cause: error)
  }
}
