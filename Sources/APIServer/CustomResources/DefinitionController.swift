import API
import APIMachinery
import Logging
import Synchronization

/// Serves what CustomResourceDefinitions define, keeps their status, and empties those that are deleted: upstream's
/// naming, establishing, discovery and finalizing controllers in one, since they live in the API server.
final class DefinitionController: Sendable {
  static let finalizer = "customresourcecleanup.apiextensions.k8s.io"

  private let registry: Registry
  private let wake: AsyncStream<String>
  private let waker: AsyncStream<String>.Continuation
  private let task = Mutex<Task<Void, Never>?>(nil)

  init(registry: Registry) {
    self.registry = registry
    (wake, waker) = AsyncStream.makeStream()
  }

  /// Serves what is defined already, then follows changes.
  func start() {
    let waker = waker
    registry.subscribe(CustomResourceDefinition.self) { present in
      for definition in present {
        serve(definition)
        waker.yield(definition.metadata.name)
      }
    } handler: { change in
      switch change {
      case .added(let definition), .updated(_, let definition), .deleted(let definition):
        waker.yield(definition.metadata.name)
      }
    }
    task.withLock { $0 = Task { await run() } }
  }

  func stop() {
    waker.finish()
    task.withLock { task in
      task?.cancel()
      task = nil
    }
  }

  private func run() async {
    for await name in wake {
      do {
        try await reconcile(name)
      } catch is CancellationError {
        return
      } catch {
        registry.logger.warning(
          "custom resource definition not settled", metadata: ["name": "\(name)", "error": "\(error)"])
        retry(name, after: .seconds(1))
      }
    }
  }

  private func retry(_ name: String, after delay: Duration) {
    let waker = waker
    // Ends by itself; what it wakes may be gone by then.
    Task {
      try? await Task.sleep(for: delay)
      waker.yield(name)
    }
  }

  // MARK: One definition

  func reconcile(_ name: String) async throws {
    guard let definition = registry.object(CustomResourceDefinition.self, name: name) else {
      if let old = registry.custom.definition(name) {
        registry.custom.set(name, nil)
        for resource in old.resources { resource.cache?.endWatches() }
        // Names that this one held may be wanted by others.
        for other in registry.list(CustomResourceDefinition.self)
        where !DefinitionNames.isTrue(other.status, "NamesAccepted") {
          waker.yield(other.metadata.name)
        }
      }
      return
    }
    let others = registry.list(CustomResourceDefinition.self).filter { $0.spec.group == definition.spec.group }
    let status = DefinitionNames.status(of: definition, others: others, now: registry.now())
    var settled = definition
    settled.status = status
    // Whoever reads that it is established finds it served.
    serve(settled)
    if status != definition.status {
      try await write(name) { object in
        let others = self.registry.list(CustomResourceDefinition.self).filter { $0.spec.group == object.spec.group }
        object.status = DefinitionNames.status(of: object, others: others, now: self.registry.now())
      }
    }
    if definition.metadata.deletionTimestamp != nil, definition.metadata.finalizers.contains(Self.finalizer) {
      try await empty(definition)
    }
  }

  private func serve(_ definition: CustomResourceDefinition) {
    let name = definition.metadata.name
    guard DefinitionNames.isTrue(definition.status, "Established") else { return }
    let names = definition.status.acceptedNames
    let isTerminating = DefinitionNames.isTrue(definition.status, "Terminating")
    let old = registry.custom.definition(name)
    if let old, old.uid == definition.metadata.uid, old.generation == definition.metadata.generation,
      old.names == names, old.isTerminating == isTerminating
    {
      return
    }
    let cache = registry.hub.cache("\(names.plural).\(definition.spec.group)")
    // What was written under an earlier schema is read with care.
    let since = registry.hub.clock.current
    let resources = ServedResource.resources(of: definition, cache: cache, trustedSince: since, registry: registry)
    registry.custom.set(
      name,
      CustomKinds.Definition(
        uid: definition.metadata.uid, generation: definition.metadata.generation, names: names,
        isTerminating: isTerminating, resources: resources))
    if let old, old.generation != definition.metadata.generation { cache.endWatches() }
  }

  private func write(_ name: String, subresource: String = "status", _ change: (inout CustomResourceDefinition) -> Void)
    async throws
  {
    guard let resource = registry.resource(CustomResourceDefinition.self) else { return }
    let context = WriteContext(internal: resource, namespace: "", name: name, subresource: subresource)
    do {
      _ = try await registry.update(context, source: .patch) { old in
        var object = try LiveObject(resource, cached: old)
        object.with(CustomResourceDefinition.self, change)
        object.metadata.resourceVersion = ""
        return object
      }
    } catch let error as StatusError where error.isNotFound {
      // Gone meanwhile.
    }
  }

  // MARK: Deletion

  /// Deletes every object of a definition that is being deleted, and lets the definition go when none is left.
  private func empty(_ definition: CustomResourceDefinition) async throws {
    let name = definition.metadata.name
    let prefix = "\(definition.status.acceptedNames.plural).\(definition.spec.group)"
    let others = registry.list(CustomResourceDefinition.self).contains {
      $0.metadata.name != name && $0.spec.group == definition.spec.group
        && $0.status.acceptedNames.plural == definition.status.acceptedNames.plural
    }
    let now = registry.now()
    if let resource = registry.custom.definition(name)?.resources.first, !others,
      let cache = registry.hub.existing(prefix), cache.count > 0
    {
      try await write(name) {
        DefinitionNames.set(
          &$0.status, "Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress",
          now)
      }
      var request = DeleteRequest()
      request.propagation = nil
      cache.snapshot().objects.forEach(prefix: "") { _, _ in true }
      var remaining: [CachedObject] = []
      cache.snapshot().objects.forEach(prefix: "") { _, object in
        remaining.append(object)
        return true
      }
      for object in remaining where !object.deleting {
        let context = WriteContext(internal: resource, namespace: object.namespace, name: object.name)
        do { _ = try await registry.delete(context, request) } catch let error as StatusError where error.isNotFound {
          // Somebody else was faster.
        }
      }
      if cache.count > 0 {
        // Finalizers hold some of them.
        return retry(name, after: .milliseconds(500))
      }
    }
    try await write(name) {
      DefinitionNames.set(
        &$0.status, "Terminating", "False", "InstanceDeletionCompleted", "removed all instances", now)
    }
    try await write(name, subresource: "") { $0.metadata.finalizers.removeAll { $0 == Self.finalizer } }
  }
}
