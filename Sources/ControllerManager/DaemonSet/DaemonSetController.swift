import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Keeps one pod on every node that suits.
final class DaemonSetController: Controller {
  let name = "daemonset-controller"
  /// The most that is created or deleted in one pass.
  private static let burst = 250

  private let client: APIClient
  private let sets: Informer<DaemonSet>
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let revisions: Informer<ControllerRevision>
  private let recorder: EventRecorder
  private let control: PodControl
  private let expectations = Expectations()
  private let backoff = Mutex(FailureBackoff())
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("daemonset")

  init(_ context: ControllerContext) {
    client = context.client
    sets = context.informers.informer(DaemonSet.self)
    pods = context.informers.informer(Pod.self)
    nodes = context.informers.informer(Node.self)
    revisions = context.informers.informer(ControllerRevision.self)
    recorder = context.recorder("daemonset-controller")
    control = PodControl(client: context.client, recorder: recorder)
    workers = context.configuration.workers(.daemonSet)
    logger = context.logger(name)
    now = context.now
    PodIndexes.add(to: pods)
    PodIndexes.add(to: revisions)
    sets.addHandler { [queue] in queue.add($0.object.key) }
    nodes.addHandler { [queue, sets] event in
      guard case .updated(let old, let new) = event else {
        for set in sets.lister.list() { queue.add(set.key) }
        return
      }
      if old.metadata.labels == new.metadata.labels, old.spec.taints == new.spec.taints { return }
      for set in sets.lister.list() where DaemonSetPlacement.fits(set, old) != DaemonSetPlacement.fits(set, new) {
        queue.add(set.key)
      }
    }
    pods.addHandler { [weak self] in self?.podChanged($0) }
  }

  func run() async throws {
    try await sets.waitForSync()
    try await pods.waitForSync()
    try await nodes.waitForSync()
    try await revisions.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    if case .updated(let old, _) = event, let owner = old.metadata.controllerOwner, owner.kind == DaemonSet.kind,
      owner.uid != pod.metadata.controllerOwner?.uid
    {
      queue.add(ObjectKey(namespace: pod.metadata.namespace, name: owner.name))
    }
    guard let owner = pod.metadata.controllerOwner else {
      if case .deleted = event { return }
      for set in sets.lister.list(namespace: pod.metadata.namespace) {
        guard let selector = try? set.spec.selector.selector(), !selector.isEmpty,
          selector.matches(pod.metadata.labels)
        else { continue }
        queue.add(set.key)
      }
      return
    }
    guard owner.kind == DaemonSet.kind else { return }
    let key = ObjectKey(namespace: pod.metadata.namespace, name: owner.name)
    switch event {
    case .added: expectations.created(key)
    case .deleted: expectations.deleted(key, pod.metadata.uid)
    case .updated(let old, let new):
      guard OwnersView.differs(old, new) || old.spec.nodeName != new.spec.nodeName else { return }
      if pod.isBeingDeleted { expectations.deleted(key, pod.metadata.uid) }
    }
    let size = Int(sets.lister.get(key)?.status.desiredNumberScheduled ?? 0)
    queue.add(key, size: size, urgent: size < 250 || expectations.isDone(key))
  }

  // MARK: Reconcile

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let set = sets.lister.get(key) else {
      expectations.forget(key)
      return .done
    }
    if set.spec.selector == LabelSelector() {
      recorder.event(
        set, type: "Warning", reason: "SelectingAll",
        message: "This daemon set is selecting all pods. A non-empty selector is required.")
      return .done
    }
    // What is left of it is the garbage collector's.
    guard set.metadata.deletionTimestamp == nil else { return .done }
    let mayAct = expectations.satisfied(key)
    let selector = try set.spec.selector.selector()
    let claimer = Claimer<DaemonSet>(client: client)
    let existing = try await claimer.carryOut(
      Claims(
        of: PodIndexes.candidates(revisions.lister, owner: set.metadata), owner: set.metadata.uid,
        selector: selector, isDeleting: false), for: set)
    let owned = try await claimer.carryOut(
      Claims(
        of: PodIndexes.candidates(pods.lister, owner: set.metadata), owner: set.metadata.uid, selector: selector,
        isDeleting: false), for: set)
    guard let history = try await history(of: set, existing, owned) else { return .requeue }
    let revision = Revisions.hash(history.present)
    let decision = DaemonSetDecision.decide(
      set, nodes: nodes.lister.list(), pods: owned, revision: revision, now: now())
    var failure: (any Error)?
    var wait: Int64?
    if mayAct {
      let doomed = victims(decision, set)
      wait = doomed.wait
      failure = await carryOut(decision, Array(doomed.pods.prefix(Self.burst)), set, revision)
    }
    if decision.status != set.status {
      var changed = set
      changed.status = decision.status
      try await ignoringNotFound { try await client.updateStatus(changed) }
    }
    if let failure { throw failure }
    for old in DaemonSetHistory.surplus(history.past, pods: owned, limit: set.spec.revisionHistoryLimit) {
      try await ignoringNotFound {
        try await client.delete(
          ControllerRevision.self, namespace: old.metadata.namespace, name: old.metadata.name)
      }
    }
    let available = owned.secondsToAvailability(minReadySeconds: set.spec.minReadySeconds, now: now())
    return [wait, available].compactMap { $0 }.min().map { .after(.seconds($0)) } ?? .done
  }

  /// The present template's revision and those before it; nil when its name belonged to another, and the next pass is
  /// to take another name.
  private func history(
    of set: DaemonSet, _ existing: [ControllerRevision], _ pods: [Pod]
  ) async throws -> (present: ControllerRevision, past: [ControllerRevision])? {
    let plan = try DaemonSetHistory.plan(set, existing, pods: pods)
    for pod in plan.relabel { try await relabel(pod) }
    for revision in plan.duplicates {
      try await ignoringNotFound {
        try await client.delete(
          ControllerRevision.self, namespace: revision.metadata.namespace, name: revision.metadata.name)
      }
    }
    do {
      return (try await Revisions.carryOut(plan.present, client: client), plan.past)
    } catch is RevisionCollision {
      var changed = set
      changed.status.collisionCount = (set.status.collisionCount ?? 0) + 1
      try await client.updateStatus(changed)
      return nil
    }
  }

  /// By a patch, which is what the controller's role allows.
  private func relabel(_ pod: Pod) async throws {
    let hash = pod.metadata.labels[Revisions.hashLabel] ?? ""
    let patch = JSONValue.object([
      "metadata": .object([
        "uid": .string(pod.metadata.uid), "labels": .object([Revisions.hashLabel: .string(hash)]),
      ])
    ])
    try await ignoringNotFound {
      try await client.patch(
        Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, .strategic(patch.encoded()))
    }
  }

  // MARK: Acting

  /// What is to be deleted now, with what is to be said of it: a node on which pods fail one after the other is left
  /// alone for longer and longer.
  private func victims(_ decision: DaemonSetDecision, _ set: DaemonSet) -> (pods: [Pod], wait: Int64?) {
    var victims = decision.delete
    var wait: Int64?
    for pod in decision.failed {
      let node = DaemonSetPlacement.node(of: pod) ?? ""
      let left = backoff.withLock { $0.wait("\(set.metadata.uid)/\(node)", now: now()) }
      guard left == 0 else {
        wait = min(wait ?? left, left)
        continue
      }
      recorder.event(
        set, type: "Warning", reason: "FailedDaemonPod",
        message: "Found failed daemon pod \(pod.key) on node \(node), will try to kill it")
      victims.append(pod)
    }
    for pod in decision.succeeded {
      recorder.event(
        set, type: "Normal", reason: "SucceededDaemonPod",
        message: "Found succeeded daemon pod \(pod.key) on node \(pod.spec.nodeName), will try to delete it")
      victims.append(pod)
    }
    return (victims, wait)
  }

  private func carryOut(
    _ decision: DaemonSetDecision, _ victims: [Pod], _ set: DaemonSet, _ revision: String
  ) async -> (any Error)? {
    let create = Array(decision.create.prefix(Self.burst))
    guard !create.isEmpty || !victims.isEmpty else { return nil }
    let key = set.key
    expectations.expect(key, creations: create.count, deletions: victims.map(\.metadata.uid))
    let (made, creationError) = await slowStart(count: create.count) { [control] index in
      try await control.create(DaemonSetPlacement.pod(set, node: create[index], revision: revision), for: set)
    }
    if made < create.count { expectations.created(key, count: create.count - made) }
    var first = creationError
    if let status = first as? StatusError, status.isNamespaceTerminating { first = nil }
    let errors = await inParallel(count: victims.count) { [control, expectations] index in
      do {
        try await control.delete(victims[index], for: set)
      } catch {
        expectations.deleted(key, victims[index].metadata.uid)
        if (error as? StatusError)?.isNotFound != true { throw error }
      }
    }
    return first ?? errors.first
  }
}
