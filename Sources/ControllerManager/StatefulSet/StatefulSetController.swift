import API
import APIMachinery
import Client
import Logging

/// Keeps pods with names, storage and an order.
final class StatefulSetController: Controller {
  let name = "statefulset-controller"
  private let client: APIClient
  private let sets: Informer<StatefulSet>
  private let pods: Informer<Pod>
  private let revisions: Informer<ControllerRevision>
  private let recorder: EventRecorder
  private let written = WrittenVersions()
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("statefulset")

  init(_ context: ControllerContext) {
    client = context.client
    sets = context.informers.informer(StatefulSet.self)
    pods = context.informers.informer(Pod.self)
    revisions = context.informers.informer(ControllerRevision.self)
    recorder = context.recorder("statefulset-controller")
    logger = context.logger(name)
    now = context.now
    revisions.addIndex("controller") { $0.metadata.controllerOwner.map { [$0.uid] } ?? [] }
    sets.addHandler { [queue] in queue.add($0.object.key) }
    pods.addHandler { [weak self] in self?.podChanged($0) }
  }

  func run() async throws {
    try await sets.waitForSync()
    try await pods.waitForSync()
    try await revisions.waitForSync()
    await runWorkers(queue, count: 5, logger: logger) { [self] in try await reconcile($0) }
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    if let owner = pod.metadata.controllerOwner {
      guard owner.kind == StatefulSet.kind else { return }
      let key = ObjectKey(namespace: pod.metadata.namespace, name: owner.name)
      if case .deleted = event { written.sawDeletion(pod, of: key) }
      queue.add(key)
    } else {
      for set in sets.lister.list(namespace: pod.metadata.namespace)
      where StatefulSetPod.ordinal(pod, of: set) != nil {
        queue.add(set.key)
      }
    }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard var set = sets.lister.get(key) else {
      written.forget(key)
      return .done
    }
    let selector = try set.spec.selector.selector()
    let mine = pods.lister.list(namespace: key.namespace)
    guard written.isCurrent(key, cached: mine) || queue.numRequeues(key) > 10 else { return .requeue }
    let claims = Claims(
      of: mine, owner: set.metadata.uid, selector: selector, isDeleting: set.metadata.deletionTimestamp != nil,
      mayAdopt: { StatefulSetPod.ordinal($0, of: set) != nil })
    let owned = try await Claimer<StatefulSet>(client: client).carryOut(claims, for: set)

    let existing = revisions.lister.byIndex("controller", set.metadata.uid)
    let update: ControllerRevision
    do {
      update = try await Revisions.carryOut(
        try Revisions.plan(
          set.spec.template, for: set, collisions: set.status.collisionCount, existing: existing), client: client)
    } catch is RevisionCollision {
      set.status.collisionCount = (set.status.collisionCount ?? 0) + 1
      try await client.updateStatus(set)
      return .requeue
    }
    let current = existing.first { $0.metadata.name == set.status.currentRevision } ?? update
    let history = StatefulSetDecision.History(
      currentTemplate: Revisions.template(current) ?? set.spec.template, currentRevision: current.metadata.name,
      updateRevision: update.metadata.name)
    let decision = StatefulSetDecision.decide(set, pods: owned, history: history, now: now())
    var failure: (any Error)?
    do {
      for action in decision.actions { try await carryOut(action, set) }
    } catch {
      failure = error
    }
    if decision.status != set.status {
      set.status = decision.status
      try await ignoringNotFound { try await client.updateStatus(set) }
    }
    if let failure { throw failure }
    try await trim(existing + [update], set, owned)
    return waitsForAvailability(set, owned) ? .after(.seconds(1)) : .done
  }

  private func waitsForAvailability(_ set: StatefulSet, _ pods: [Pod]) -> Bool {
    set.spec.minReadySeconds > 0
      && pods.contains { $0.isReady && !$0.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now()) }
  }

  private func carryOut(_ action: StatefulSetDecision.Action, _ set: StatefulSet) async throws {
    switch action {
    case .create(let ordinal, let pod):
      try await makeClaims(set, ordinal)
      do {
        let made = try await client.create(pod)
        written.wrote(made, for: set.key)
        tell(set, "SuccessfulCreate", "create Pod \(pod.metadata.name) in StatefulSet \(set.metadata.name) successful")
      } catch let error as StatusError where error.isAlreadyExists {
        return
      } catch let error as StatusError {
        let text = "create Pod \(pod.metadata.name) in StatefulSet \(set.metadata.name) failed error: \(error.message)"
        if !error.isNamespaceTerminating { tell(set, "FailedCreate", text, type: "Warning") }
        throw error
      }
    case .claims(let ordinal):
      try await makeClaims(set, ordinal)
    case .delete(let pod):
      try await ignoringNotFound {
        try await client.delete(
          Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, options: .uid(pod.metadata.uid))
        tell(set, "SuccessfulDelete", "delete Pod \(pod.metadata.name) in StatefulSet \(set.metadata.name) successful")
      }
    case .identify(let pod):
      try await ignoringNotFound { try await client.update(pod) }
    }
  }

  private func makeClaims(_ set: StatefulSet, _ ordinal: Int) async throws {
    for claim in StatefulSetPod.claims(set, ordinal) {
      do {
        try await client.create(claim)
        tell(
          set, "SuccessfulCreate",
          "create Claim \(claim.metadata.name) Pod \(StatefulSetPod.name(set, ordinal)) in StatefulSet "
            + "\(set.metadata.name) success")
      } catch let error as StatusError where error.isAlreadyExists {
        continue
      }
    }
  }

  private func trim(_ revisions: [ControllerRevision], _ set: StatefulSet, _ pods: [Pod]) async throws {
    var inUse = Set(pods.compactMap { $0.metadata.labels[Revisions.hashLabel] })
    inUse.formUnion([set.status.currentRevision, set.status.updateRevision])
    for revision in Revisions.surplus(revisions, inUse: inUse, limit: Int(set.spec.revisionHistoryLimit ?? 10)) {
      try await ignoringNotFound {
        try await client.delete(
          ControllerRevision.self, namespace: revision.metadata.namespace, name: revision.metadata.name)
      }
    }
  }

  private func tell(_ set: StatefulSet, _ reason: String, _ message: String, type: String = "Normal") {
    recorder.event(set, type: type, reason: reason, message: message)
  }
}
