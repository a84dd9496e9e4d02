import API
import APIMachinery
import Client
import Logging

/// Keeps as many pods as a ReplicaSet, or a ReplicationController, asks for.
final class ReplicaController<Owner: ReplicaOwner>: Controller {
  let name: String
  private let client: APIClient
  private let owners: Informer<Owner>
  private let pods: Informer<Pod>
  private let queue: WorkQueue<ObjectKey>
  private let expectations = Expectations()
  private let control: PodControl
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext, name: String, component: String, workers: ControllerManager.ConcurrentSyncs) {
    self.name = name
    self.workers = context.configuration.workers(workers)
    client = context.client
    owners = context.informers.informer(Owner.self)
    pods = context.informers.informer(Pod.self)
    queue = WorkQueue(name)
    control = PodControl(client: context.client, recorder: context.recorder(component))
    logger = context.logger(name)
    now = context.now
    PodIndexes.add(to: pods)
    owners.addIndex("controller") { $0.metadata.controllerOwner.map { [$0.uid] } ?? [] }
    owners.addHandler { [queue] in queue.add($0.object.key) }
    pods.addHandler { [weak self] in self?.podChanged($0) }
  }

  func run() async throws {
    try await owners.waitForSync()
    try await pods.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  // MARK: Events

  private func podChanged(_ event: InformerEvent<Pod>) {
    switch event {
    case .added(let pod):
      if pod.metadata.deletionTimestamp != nil { return podGone(pod) }
      if let owner = owner(of: pod) {
        expectations.created(owner)
        add(owner)
      } else if pod.metadata.controllerOwner == nil {
        enqueueThoseSelecting(pod)
      }
    case .updated(let old, let new):
      guard OwnersView.differs(old, new) else { return }
      if new.metadata.deletionTimestamp != nil {
        podGone(new)
        if old.metadata.labels != new.metadata.labels { podGone(old) }
        return
      }
      let before = owner(of: old)
      let after = owner(of: new)
      if let before, before != after { queue.add(before) }
      if let after {
        add(after)
      } else if new.metadata.controllerOwner == nil,
        old.metadata.labels != new.metadata.labels || old.metadata.controllerOwner != nil
      {
        enqueueThoseSelecting(new)
      }
    case .deleted(let pod):
      podGone(pod)
    }
  }

  private func podGone(_ pod: Pod) {
    guard let owner = owner(of: pod) else { return }
    expectations.deleted(owner, pod.metadata.uid)
    add(owner)
  }

  /// What was asked for and has now been seen lets the next step begin at once.
  private func add(_ key: ObjectKey) {
    let size = owners.lister.get(key)?.desiredReplicas ?? 0
    queue.add(key, size: size, urgent: size < 250 || expectations.isDone(key))
  }

  /// The owner's key, if the pod's controller is of our kind. The owner itself may be gone by now.
  private func owner(of pod: Pod) -> ObjectKey? {
    guard let reference = pod.metadata.controllerOwner, reference.kind == Owner.kind,
      reference.apiVersion == Owner.apiVersion
    else { return nil }
    return ObjectKey(namespace: pod.metadata.namespace, name: reference.name)
  }

  private func enqueueThoseSelecting(_ pod: Pod) {
    for owner in owners.lister.list(namespace: pod.metadata.namespace) {
      guard let selector = try? owner.podSelector(), !selector.isEmpty else { continue }
      if selector.matches(pod.metadata.labels) { queue.add(owner.key) }
    }
  }

  // MARK: Reconcile

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let owner = owners.lister.get(key) else {
      expectations.forget(key)
      return .done
    }
    let mayAct = expectations.satisfied(key)
    let selector = try owner.podSelector()
    let all = PodIndexes.candidates(pods.lister, owner: owner.metadata)
    let claims = Claims(
      of: all.filter(\.isActive), owner: owner.metadata.uid, selector: selector,
      isDeleting: owner.metadata.deletionTimestamp != nil)
    let active = try await Claimer<Owner>(client: client).carryOut(claims, for: owner)
    let terminating = all.count {
      $0.isBeingDeleted && !$0.isTerminal && $0.metadata.isControlled(by: owner.metadata.uid)
    }

    var failure: (any Error)?
    if mayAct {
      switch ReplicaDecision.action(owner, active: active, related: related(to: owner), now: now()) {
      case .nothing: break
      case .create(let count): failure = await create(count, owner)
      case .delete(let victims): failure = await delete(victims, owner)
      }
    }

    let status = ReplicaDecision.status(
      owner, active: active, terminating: terminating, failure: failure, now: now())
    try await write(status, of: owner)
    if let failure { throw failure }
    if let seconds = ReplicaDecision.nextAvailability(owner, active: active, now: now()) {
      return .after(.seconds(seconds + 1))
    }
    return .done
  }

  /// The active pods of all owners that share this one's own controller.
  private func related(to owner: Owner) -> [Pod] {
    guard let parent = owner.metadata.controllerOwner else {
      return pods.lister.byIndex("controller", owner.metadata.uid)
    }
    return owners.lister.byIndex("controller", parent.uid)
      .flatMap { pods.lister.byIndex("controller", $0.metadata.uid) }
  }

  private func create(_ count: Int, _ owner: Owner) async -> (any Error)? {
    let key = owner.key
    expectations.expect(key, creations: count)
    let template = PodControl.pod(from: owner.podTemplate, for: owner)
    let (succeeded, error) = await slowStart(count: count) { [control] _ in
      try await control.create(template, for: owner)
    }
    // Those that were not made will not be seen.
    if succeeded < count { expectations.created(key, count: count - succeeded) }
    if let status = error as? StatusError, status.isNamespaceTerminating { return nil }
    return error
  }

  private func delete(_ victims: [Pod], _ owner: Owner) async -> (any Error)? {
    let key = owner.key
    expectations.expect(key, deletions: victims.map(\.metadata.uid))
    return await inParallel(count: victims.count) { [control, expectations] index in
      do {
        try await control.delete(victims[index], for: owner)
      } catch {
        expectations.deleted(key, victims[index].metadata.uid)
        if (error as? StatusError)?.isNotFound != true { throw error }
      }
    }.first
  }

  private func write(_ status: ReplicaStatus, of owner: Owner) async throws {
    var owner = owner
    for attempt in 0..<2 {
      var changed = owner
      changed.replicaStatus = status
      // Read back: a kind that has no place for a field must not look changed for ever.
      if changed.replicaStatus == owner.replicaStatus { return }
      do {
        try await client.updateStatus(changed)
        return
      } catch let error as StatusError where error.isConflict && attempt == 0 {
        owner = try await client.get(Owner.self, namespace: owner.metadata.namespace, name: owner.metadata.name)
      } catch let error as StatusError where error.isNotFound {
        return
      }
    }
  }
}
