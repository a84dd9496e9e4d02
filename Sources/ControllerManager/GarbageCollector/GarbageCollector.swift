import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Deletes what no owner is left of, and carries out foreground deletion and orphaning.
final class GarbageCollector: Controller {
  let name = "garbage-collector-controller"
  private let client: APIClient
  private let crds: Informer<CustomResourceDefinition>
  private let recorder: EventRecorder
  private let workers: Int
  private let logger: Logger
  private let period: Duration
  private let queue = WorkQueue<OwnerGraph.Work>("garbage_collector", maxDelay: .seconds(60))
  private let refresh = WorkQueue<Int>(
    "garbage_collector_discovery", baseDelay: .milliseconds(100), maxDelay: .seconds(30))
  private let graph = Mutex(OwnerGraph())
  private let discovery = Mutex(Discovery())
  private let monitors = Mutex<[GroupResource: Monitor]>([:])
  private let absent = Mutex<Set<String>>([])

  private struct Monitor: Sendable {
    let informer: Informer<PartialObjectMetadata>
    let task: Task<Void, Never>
  }

  init(_ context: ControllerContext) {
    client = context.client
    recorder = context.recorder("garbage-collector-controller")
    workers = context.configuration.workers(.garbageCollector)
    logger = context.logger(name)
    period = context.configuration.discoveryPeriod
    crds = context.informers.informer(CustomResourceDefinition.self)
    // New kinds are watched soon after their definition is.
    crds.addHandler { [refresh] _ in refresh.add(0, after: .seconds(1)) }
  }

  func run() async throws {
    defer {
      for monitor in monitors.withLock({ Array($0.values) }) { monitor.task.cancel() }
    }
    refresh.add(0)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await runWorkers(refresh, count: 1, logger: logger) { [self] _ in
          try await updateMonitors()
          return .after(period)
        }
      }
      group.addTask { [self] in
        // Until every kind has been seen once, an owner may be missing only because nobody has looked.
        while !Task.isCancelled, !isComplete { try? await Task.sleep(for: .milliseconds(50)) }
        await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
      }
    }
  }

  private var isComplete: Bool {
    monitors.withLock { monitors in !monitors.isEmpty && monitors.values.allSatisfy { $0.informer.hasSynced } }
  }

  // MARK: Watching

  private func updateMonitors() async throws {
    let found = try await Discovery.fetch(client)
    discovery.withLock { $0 = found }
    var wanted: [GroupResource: Discovery.Resource] = [:]
    for resource in found.resources
    where resource.verbs.isSuperset(of: ["delete", "list", "watch"]) && resource.location.resource != "events" {
      wanted[resource.groupResource] = resource
    }
    let known = monitors.withLock { Set($0.keys) }
    for (key, resource) in wanted where !known.contains(key) { start(key, resource) }
    // Groups that could not be read are not gone.
    let failed = Set(found.failures.map { GroupVersion(apiVersion: $0.groupVersion).group })
    for key in known where wanted[key] == nil && !failed.contains(key.group) {
      monitors.withLock { $0.removeValue(forKey: key) }?.task.cancel()
    }
  }

  private func start(_ key: GroupResource, _ resource: Discovery.Resource) {
    let informer = Informer<PartialObjectMetadata>(
      client: client, location: resource.location, accept: PartialObjectMetadata.watchAccept,
      listAccept: PartialObjectMetadata.listAccept, logger: logger,
      transform: { object in
        // The graph needs no more, and there is one of these for every object of the cluster.
        let full = object.metadata
        object.metadata = ObjectMeta {
          $0.name = full.name
          $0.namespace = full.namespace
          $0.uid = full.uid
          $0.resourceVersion = full.resourceVersion
          $0.ownerReferences = full.ownerReferences
          $0.finalizers = full.finalizers
          $0.deletionTimestamp = full.deletionTimestamp
        }
      })
    let apiVersion = resource.location.apiVersion
    informer.addHandler { [weak self] event in
      guard let self else { return }
      let work: [OwnerGraph.Work]
      switch event {
      case .added(let object), .updated(_, let object):
        work = graph.withLock { $0.observe(object.metadata, apiVersion: apiVersion, kind: resource.kind) }
      case .deleted(let object):
        _ = absent.withLock { $0.insert(object.metadata.uid) }
        work = graph.withLock { $0.forget(uid: object.metadata.uid) }
      }
      for item in work { queue.add(item) }
    }
    // Informers come and go with the kinds; `run` cancels those that are left.
    let task = Task { await informer.run() }
    monitors.withLock { $0[key] = Monitor(informer: informer, task: task) }
  }

  // MARK: Working

  func reconcile(_ work: OwnerGraph.Work) async throws -> ReconcileResult {
    switch work {
    case .delete(let uid): try await collect(uid)
    case .orphan(let uid): try await orphan(uid)
    }
    return .done
  }

  private func collect(_ uid: String) async throws {
    guard let node = graph.withLock({ $0.nodes[uid] }) else { return }
    if node.isBeingDeleted, !node.isDeletingDependents { return }
    guard let resource = resource(node.identity) else {
      if node.isVirtual { return }  // a kind nobody serves (yet): its dependents are left alone
      throw CollectorError(message: "no resource serves \(node.identity.kind) of \(node.identity.apiVersion)")
    }
    guard let live = try await fetch(node.identity, resource), live.uid == uid else {
      noteAbsent(uid)
      for item in graph.withLock({ $0.forget(uid: uid) }) { queue.add(item) }
      return
    }
    if node.isDeletingDependents {
      let blocking = graph.withLock { $0.blocking(uid) }
      if blocking.isEmpty {
        try await removeFinalizer(OwnerGraph.foreground, node.identity, resource)
      } else {
        for dependent in blocking where !dependent.isDeletingDependents {
          queue.add(.delete(uid: dependent.identity.uid))
        }
      }
      return
    }
    guard !live.ownerReferences.isEmpty else { return }
    var states: [String: CollectionDecision.OwnerState] = [:]
    for owner in live.ownerReferences { states[owner.uid] = try await state(of: owner, for: node.identity) }
    let (hasDependents, hasDeleting) = graph.withLock { graph in
      let dependents = graph.nodes[uid]?.dependents ?? []
      return (!dependents.isEmpty, dependents.contains { graph.nodes[$0]?.isDeletingDependents == true })
    }
    switch CollectionDecision.decide(
      live, owners: states, hasDependents: hasDependents, hasDeletingDependents: hasDeleting)
    {
    case .keep(let references):
      if !references.isEmpty { try await removeOwners(references, of: live, node.identity, resource) }
    case .delete(let policy, let unblock):
      if unblock { try await unblockOwners(of: live, node.identity, resource) }
      var options = DeleteOptions.uid(uid)
      options.propagationPolicy = policy
      options.preconditions?.resourceVersion = unblock ? nil : live.resourceVersion
      try await ignoringNotFound {
        try await client.delete(
          resource.location, namespace: live.namespace, name: live.name, options: options)
      }
    }
  }

  private func orphan(_ uid: String) async throws {
    guard
      let (node, dependents) = graph.withLock({ graph -> (OwnerGraph.Node, [OwnerGraph.Node])? in
        guard let node = graph.nodes[uid] else { return nil }
        return (node, node.dependents.compactMap { graph.nodes[$0] })
      }), let resource = resource(node.identity)
    else { return }
    for dependent in dependents {
      guard let location = self.resource(dependent.identity) else { continue }
      guard let live = try await fetch(dependent.identity, location), live.uid == dependent.identity.uid,
        live.ownerReferences.contains(where: { $0.uid == uid })
      else { continue }
      try await removeOwners([uid], of: live, dependent.identity, location)
    }
    try await removeFinalizer(OwnerGraph.orphan, node.identity, resource)
  }

  // MARK: Looking up

  private func resource(_ identity: OwnerGraph.Identity) -> Discovery.Resource? {
    let kind = GroupVersionKind(apiVersion: identity.apiVersion, kind: identity.kind)
    return discovery.withLock { $0.byKind[kind] }
  }

  private func fetch(_ identity: OwnerGraph.Identity, _ resource: Discovery.Resource) async throws -> ObjectMeta? {
    let namespace = resource.location.namespaced ? identity.namespace : ""
    do {
      let body = try await client.raw(
        "GET", resource.location.path(namespace: namespace, name: identity.name),
        accept: PartialObjectMetadata.watchAccept)
      return try PartialObjectMetadata.decode(body).metadata
    } catch let error as StatusError where error.isNotFound {
      return nil
    }
  }

  private func state(
    of owner: OwnerReference, for dependent: OwnerGraph.Identity
  ) async throws -> CollectionDecision.OwnerState {
    if absent.withLock({ $0.contains(owner.uid) }) { return .absent }
    let identity = OwnerGraph.Identity(
      apiVersion: owner.apiVersion, kind: owner.kind, namespace: dependent.namespace, name: owner.name, uid: owner.uid)
    guard let resource = resource(identity) else {
      throw CollectorError(message: "no resource serves owner \(owner.kind) of \(owner.apiVersion)")
    }
    if resource.location.namespaced, dependent.namespace.isEmpty {
      // A cluster-wide object cannot be owned from within a namespace; which one, nobody could say.
      var reference = ObjectReference()
      reference.apiVersion = dependent.apiVersion
      reference.kind = dependent.kind
      reference.name = dependent.name
      reference.uid = dependent.uid
      recorder.event(
        reference, type: "Warning", reason: "OwnerRefInvalidNamespace",
        message: "ownerRef [\(owner.apiVersion)/\(owner.kind), namespace: \(dependent.namespace), "
          + "name: \(owner.name), uid: \(owner.uid)] does not exist in namespace \"\(dependent.namespace)\"")
      return .solid
    }
    guard let live = try await fetch(identity, resource), live.uid == owner.uid else {
      noteAbsent(owner.uid)
      return .absent
    }
    return live.deletionTimestamp != nil && live.finalizers.contains(OwnerGraph.foreground) ? .waiting : .solid
  }

  /// UIDs never come back; the memory is only bounded, not kept right.
  private func noteAbsent(_ uid: String) {
    absent.withLock { absent in
      if absent.count >= 4096 { absent.removeAll() }
      absent.insert(uid)
    }
  }

  // MARK: Writing

  private func patch(
    _ change: JSONValue, _ identity: OwnerGraph.Identity, _ resource: Discovery.Resource
  ) async throws {
    let namespace = resource.location.namespaced ? identity.namespace : ""
    try await ignoringNotFound {
      try await client.raw(
        "PATCH", resource.location.path(namespace: namespace, name: identity.name), body: change.encoded(),
        contentType: "application/merge-patch+json")
    }
  }

  private func removeFinalizer(
    _ finalizer: String, _ identity: OwnerGraph.Identity, _ resource: Discovery.Resource
  ) async throws {
    guard let live = try await fetch(identity, resource), live.uid == identity.uid,
      live.finalizers.contains(finalizer)
    else { return }
    let rest = live.finalizers.filter { $0 != finalizer }.map(JSONValue.string)
    try await patch(
      metadata(live, ["finalizers": .array(rest)]), identity, resource)
  }

  private func removeOwners(
    _ uids: [String], of live: ObjectMeta, _ identity: OwnerGraph.Identity, _ resource: Discovery.Resource
  ) async throws {
    let rest = live.ownerReferences.filter { !uids.contains($0.uid) }
    try await writeOwners(rest, of: live, identity, resource)
  }

  private func unblockOwners(
    of live: ObjectMeta, _ identity: OwnerGraph.Identity, _ resource: Discovery.Resource
  ) async throws {
    let open = live.ownerReferences.map { owner in
      var owner = owner
      if owner.blockOwnerDeletion == true { owner.blockOwnerDeletion = false }
      return owner
    }
    try await writeOwners(open, of: live, identity, resource)
  }

  private func writeOwners(
    _ owners: [OwnerReference], of live: ObjectMeta, _ identity: OwnerGraph.Identity, _ resource: Discovery.Resource
  ) async throws {
    let list = try owners.map { try JSONValue(parsing: $0.encoded()) }
    try await patch(metadata(live, ["ownerReferences": .array(list)]), identity, resource)
  }

  /// A patch of metadata that fails if the object is not the one that was read.
  private func metadata(_ live: ObjectMeta, _ fields: [String: JSONValue]) -> JSONValue {
    var fields = fields
    fields["resourceVersion"] = .string(live.resourceVersion)
    fields["uid"] = .string(live.uid)
    return .object(["metadata": .object(fields)])
  }
}

/// Something that may be different next time.
struct CollectorError: Error, CustomStringConvertible {
  let message: String
  var description: String { message }
}
