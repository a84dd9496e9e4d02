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
  private let claims: Informer<PersistentVolumeClaim>
  private let revisions: Informer<ControllerRevision>
  private let recorder: EventRecorder
  private let written = WrittenVersions()
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("statefulset")

  init(_ context: ControllerContext) {
    client = context.client
    sets = context.informers.informer(StatefulSet.self)
    pods = context.informers.informer(Pod.self)
    claims = context.informers.informer(PersistentVolumeClaim.self)
    revisions = context.informers.informer(ControllerRevision.self)
    recorder = context.recorder("statefulset-controller")
    workers = context.configuration.workers(.statefulSet)
    logger = context.logger(name)
    now = context.now
    PodIndexes.add(to: pods)
    PodIndexes.add(to: revisions)
    sets.addHandler { [queue] in queue.add($0.object.key) }
    pods.addHandler { [weak self] in self?.podChanged($0) }
    claims.addHandler { [queue, sets] event in
      let claim = event.object
      for set in sets.lister.list(namespace: claim.metadata.namespace)
      where StatefulSetPod.owns(set, claim: claim.metadata.name) { queue.add(set.key) }
    }
  }

  func run() async throws {
    try await sets.waitForSync()
    try await pods.waitForSync()
    try await claims.waitForSync()
    try await revisions.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    if case .updated(let old, _) = event, let owner = old.metadata.controllerOwner, owner.kind == StatefulSet.kind,
      owner.uid != pod.metadata.controllerOwner?.uid
    {
      queue.add(ObjectKey(namespace: pod.metadata.namespace, name: owner.name))
    }
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
    let candidates = PodIndexes.candidates(pods.lister, owner: set.metadata)
    guard written.isCurrent(key, cached: candidates) || queue.numRequeues(key) > 10 else { return .requeue }
    let isDeleting = set.metadata.deletionTimestamp != nil
    let claimer = Claimer<StatefulSet>(client: client)
    // Upstream takes revisions that nobody owns, but lets none go.
    var ofRevisions = Claims(
      of: PodIndexes.candidates(revisions.lister, owner: set.metadata), owner: set.metadata.uid, selector: selector,
      isDeleting: isDeleting)
    ofRevisions.release = []
    let existing = try await claimer.carryOut(ofRevisions, for: set)
    let owned = try await claimer.carryOut(
      Claims(
        of: candidates, owner: set.metadata.uid, selector: selector, isDeleting: isDeleting,
        isMember: { StatefulSetPod.ordinal($0, of: set) != nil }), for: set)

    let update: ControllerRevision
    do {
      update = try await Revisions.carryOut(
        try Revisions.plan(
          set.spec.template, for: set, collisions: set.status.collisionCount, existing: existing,
          style: .statefulSet), client: client)
    } catch is RevisionCollision {
      set.status.collisionCount = (set.status.collisionCount ?? 0) + 1
      try await client.updateStatus(set)
      return .requeue
    }
    let current = existing.first { $0.metadata.name == set.status.currentRevision } ?? update
    let history = StatefulSetDecision.History(
      currentTemplate: Revisions.template(current) ?? set.spec.template, currentRevision: current.metadata.name,
      updateRevision: update.metadata.name)
    let decision = StatefulSetDecision.decide(
      set, pods: owned, claims: claims(of: set, owned), history: history, now: now())
    let failure = await carryOut(decision, set)
    if decision.status != set.status {
      set.status = decision.status
      try await ignoringNotFound { try await client.updateStatus(set) }
    }
    try await trim(existing, set, owned)
    if let failure { throw failure }
    return owned.secondsToAvailability(minReadySeconds: set.spec.minReadySeconds, now: now())
      .map { .after(.seconds($0)) } ?? .done
  }

  private func claims(of set: StatefulSet, _ pods: [Pod]) -> [String: PersistentVolumeClaim] {
    guard !set.spec.volumeClaimTemplates.isEmpty else { return [:] }
    let ordinals = Set(StatefulSetPod.ordinals(set)).union(pods.compactMap { StatefulSetPod.ordinal($0, of: set) })
    var found: [String: PersistentVolumeClaim] = [:]
    for name in ordinals.flatMap({ StatefulSetPod.claimNames(set, $0) }) {
      found[name] = claims.lister.get(namespace: set.metadata.namespace, name: name)
    }
    return found
  }

  // MARK: Acting

  private func carryOut(_ decision: StatefulSetDecision, _ set: StatefulSet) async -> (any Error)? {
    for phase in decision.phases {
      if decision.isOrdered {
        for action in phase {
          do { try await carryOut(action, set) } catch { return error }
        }
      } else {
        let (_, error) = await slowStart(count: phase.count) { [self] in try await carryOut(phase[$0], set) }
        if let error { return error }
      }
    }
    return nil
  }

  private func carryOut(_ action: StatefulSetDecision.Action, _ set: StatefulSet) async throws {
    switch action {
    case .create(let ordinal, let pod):
      try await tellingPod("create", pod, set) {
        try await makeClaims(set, ordinal)
        written.wrote(try await client.create(pod), for: set.key)
      }
    case .claims(let ordinal):
      try await makeClaims(set, ordinal)
    case .delete(let pod):
      try await ignoringNotFound {
        try await tellingPod("delete", pod, set) {
          try await client.delete(
            Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, options: .uid(pod.metadata.uid))
        }
      }
    case .identify(let pod):
      try await ignoringNotFound { try await tellingPod("update", pod, set) { try await client.update(pod) } }
    case .own(let claim):
      try await ignoringNotFound { try await client.update(claim) }
    }
  }

  private func tellingPod(
    _ verb: String, _ pod: Pod, _ set: StatefulSet, _ body: () async throws -> Void
  ) async throws {
    let text = "\(verb) Pod \(pod.metadata.name) in StatefulSet \(set.metadata.name)"
    do {
      try await body()
      tell(set, "Successful\(verb.capitalizedWord)", "\(text) successful")
    } catch let error as StatusError
      where (error.isAlreadyExists && verb == "create") || error.isNotFound || error.isNamespaceTerminating
    {
      // Seen before by somebody else, or nothing that the set's owner could do anything about.
      throw error
    } catch {
      tell(set, "Failed\(verb.capitalizedWord)", "\(text) failed error: \(Self.words(error))", type: "Warning")
      throw error
    }
  }

  private func makeClaims(_ set: StatefulSet, _ ordinal: Int) async throws {
    for claim in StatefulSetPod.claims(set, ordinal) {
      if let present = claims.lister.get(claim.key) {
        if present.metadata.deletionTimestamp != nil {
          throw ClaimError(message: "pvc \(claim.metadata.name) is being deleted")
        }
        continue
      }
      let text = "Claim \(claim.metadata.name)"
      let pod = "Pod \(StatefulSetPod.name(set, ordinal)) in StatefulSet \(set.metadata.name)"
      do {
        try await client.create(claim)
        tell(set, "SuccessfulCreate", "create \(text) \(pod) success")
      } catch let error as StatusError where error.isAlreadyExists {
        continue
      } catch {
        tell(set, "FailedCreate", "create \(text) for \(pod) failed error: \(Self.words(error))", type: "Warning")
        throw error
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

  private static func words(_ error: any Error) -> String { (error as? StatusError)?.message ?? "\(error)" }

  private func tell(_ set: StatefulSet, _ reason: String, _ message: String, type: String = "Normal") {
    recorder.event(set, type: type, reason: reason, message: message)
  }
}

extension String {
  fileprivate var capitalizedWord: String { prefix(1).uppercased() + dropFirst() }
}
