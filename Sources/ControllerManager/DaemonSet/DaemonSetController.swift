import API
import APIMachinery
import Client
import Logging

/// Keeps one pod on every node that suits.
final class DaemonSetController: Controller {
  let name = "daemonset-controller"
  private let client: APIClient
  private let sets: Informer<DaemonSet>
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let revisions: Informer<ControllerRevision>
  private let recorder: EventRecorder
  private let control: PodControl
  private let expectations = Expectations()
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
    logger = context.logger(name)
    now = context.now
    revisions.addIndex("controller") { $0.metadata.controllerOwner.map { [$0.uid] } ?? [] }
    sets.addHandler { [queue] in queue.add($0.object.key) }
    nodes.addHandler { [queue, sets] event in
      if case .updated(let old, let new) = event, old.metadata.labels == new.metadata.labels,
        old.spec.taints == new.spec.taints
      {
        return
      }
      for set in sets.lister.list() { queue.add(set.key) }
    }
    pods.addHandler { [queue, expectations] event in
      let pod = event.object
      guard let owner = pod.metadata.controllerOwner, owner.kind == DaemonSet.kind else { return }
      let key = ObjectKey(namespace: pod.metadata.namespace, name: owner.name)
      switch event {
      case .added: expectations.created(key)
      case .deleted: expectations.deleted(key, pod.metadata.uid)
      case .updated: if pod.isBeingDeleted { expectations.deleted(key, pod.metadata.uid) }
      }
      queue.add(key)
    }
  }

  func run() async throws {
    try await sets.waitForSync()
    try await pods.waitForSync()
    try await nodes.waitForSync()
    try await revisions.waitForSync()
    await runWorkers(queue, count: 2, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard var set = sets.lister.get(key) else {
      expectations.forget(key)
      return .done
    }
    let mayAct = expectations.satisfied(key)
    let selector = try set.spec.selector.selector()
    let claims = Claims(
      of: pods.lister.list(namespace: key.namespace), owner: set.metadata.uid, selector: selector,
      isDeleting: set.metadata.deletionTimestamp != nil)
    let owned = try await Claimer<DaemonSet>(client: client).carryOut(claims, for: set)
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
    let revision = Revisions.hash(update)
    let decision = DaemonSetDecision.decide(
      set, nodes: nodes.lister.list(), pods: owned, revision: revision, now: now())
    let failure = mayAct ? await carryOut(decision, set, revision) : nil
    if decision.status != set.status {
      var changed = set
      changed.status = decision.status
      try await ignoringNotFound { try await client.updateStatus(changed) }
    }
    if let failure { throw failure }
    let inUse = Set(owned.compactMap { $0.metadata.labels[Revisions.hashLabel] }).union([revision])
    for old in Revisions.surplus(existing, inUse: inUse, limit: Int(set.spec.revisionHistoryLimit ?? 10)) {
      try await ignoringNotFound {
        try await client.delete(
          ControllerRevision.self, namespace: old.metadata.namespace, name: old.metadata.name)
      }
    }
    return set.spec.minReadySeconds > 0 && decision.status.numberReady != decision.status.numberAvailable
      ? .after(.seconds(1)) : .done
  }

  private func carryOut(_ decision: DaemonSetDecision, _ set: DaemonSet, _ revision: String) async -> (any Error)? {
    let victims = decision.delete + decision.failed
    guard !decision.create.isEmpty || !victims.isEmpty else { return nil }
    let key = set.key
    expectations.expect(key, creations: decision.create.count, deletions: victims.map(\.metadata.uid))
    for pod in decision.failed {
      recorder.event(
        set, type: "Warning", reason: "FailedDaemonPod",
        message: "Found failed daemon pod \(pod.key) on node \(pod.spec.nodeName), will try to kill it")
    }
    let (made, creationError) = await slowStart(count: decision.create.count) { [control] index in
      try await control.create(
        DaemonSetDecision.pod(set, node: decision.create[index], revision: revision), for: set)
    }
    if made < decision.create.count { expectations.created(key, count: decision.create.count - made) }
    var first = creationError
    for pod in victims {
      do {
        try await control.delete(pod, for: set)
      } catch {
        expectations.deleted(key, pod.metadata.uid)
        if (error as? StatusError)?.isNotFound != true { first = first ?? error }
      }
    }
    return first
  }
}
