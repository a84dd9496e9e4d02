import API
import APIMachinery
import Client
import Logging

/// Brings pods to a Deployment's template, a few at a time, through ReplicaSets.
final class DeploymentController: Controller {
  let name = "deployment-controller"
  private let client: APIClient
  private let deployments: Informer<Deployment>
  private let sets: Informer<ReplicaSet>
  private let pods: Informer<Pod>
  private let queue = WorkQueue<ObjectKey>("deployment")
  private let recorder: EventRecorder
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    deployments = context.informers.informer(Deployment.self)
    sets = context.informers.informer(ReplicaSet.self)
    pods = context.informers.informer(Pod.self)
    recorder = context.recorder("deployment-controller")
    logger = context.logger(name)
    now = context.now
    workers = context.configuration.workers(.deployment)
    PodIndexes.add(to: pods)
    PodIndexes.add(to: sets)
    deployments.addHandler { [queue] in queue.add($0.object.key) }
    sets.addHandler { [weak self] in self?.setChanged($0) }
    pods.addHandler { [weak self] in if case .deleted(let pod) = $0 { self?.podDeleted(pod) } }
  }

  func run() async throws {
    try await deployments.waitForSync()
    try await sets.waitForSync()
    try await pods.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  // MARK: Events

  private func setChanged(_ event: InformerEvent<ReplicaSet>) {
    if case .updated(let old, let new) = event, let before = owner(of: old), before != owner(of: new) {
      queue.add(before)
    }
    let set = event.object
    if let owner = owner(of: set) {
      queue.add(owner)
    } else if set.metadata.controllerOwner == nil, set.metadata.deletionTimestamp == nil {
      for deployment in deployments.lister.list(namespace: set.metadata.namespace) {
        guard let selector = try? deployment.spec.selector.selector(), !selector.isEmpty else { continue }
        if selector.matches(set.metadata.labels) { queue.add(deployment.key) }
      }
    }
  }

  private func owner(of set: ReplicaSet) -> ObjectKey? {
    guard let reference = set.metadata.controllerOwner, reference.kind == Deployment.kind else { return nil }
    return ObjectKey(namespace: set.metadata.namespace, name: reference.name)
  }

  /// A Deployment that is recreated waits for the last old pod to go.
  private func podDeleted(_ pod: Pod) {
    guard let reference = pod.metadata.controllerOwner, reference.kind == ReplicaSet.kind,
      let set = sets.lister.get(namespace: pod.metadata.namespace, name: reference.name),
      let owner = owner(of: set), let deployment = deployments.lister.get(owner),
      !DeploymentMath.isRolling(deployment)
    else { return }
    queue.add(owner)
  }

  // MARK: Reconcile

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let deployment = deployments.lister.get(key) else { return .done }
    if deployment.spec.selector == LabelSelector() {
      recorder.event(
        deployment, type: "Warning", reason: "SelectingAll",
        message: "This deployment is selecting all pods. A non-empty selector is required.")
      if deployment.status.observedGeneration < deployment.metadata.generation {
        var changed = deployment
        changed.status.observedGeneration = deployment.metadata.generation
        try await client.updateStatus(changed)
      }
      return .done
    }
    let selector = try deployment.spec.selector.selector()
    let claims = Claims(
      of: PodIndexes.candidates(sets.lister, owner: deployment.metadata), owner: deployment.metadata.uid,
      selector: selector,
      isDeleting: deployment.metadata.deletionTimestamp != nil)
    let owned = try await Claimer<Deployment>(client: client).carryOut(claims, for: deployment)
    if let request = DeploymentRollback(deployment), deployment.metadata.deletionTimestamp == nil {
      try await rollBack(request, owned)
      return .done
    }
    var podsBySet: [String: [Pod]] = [:]
    for set in owned where !DeploymentMath.isRolling(deployment) {
      podsBySet[set.metadata.uid] = pods.lister.byIndex("controller", set.metadata.uid)
    }

    var result = ReconcileResult.done
    for action in DeploymentPlan.actions(for: deployment, sets: owned, pods: podsBySet, now: now()) {
      switch action {
      case .create(let set): try await create(set, for: deployment)
      case .update(let set, let from): try await update(set, scaledFrom: from, of: deployment)
      case .delete(let set):
        try await ignoringNotFound {
          try await client.delete(ReplicaSet.self, namespace: set.metadata.namespace, name: set.metadata.name)
        }
      case .updateStatus(let changed): try await writeStatus(changed)
      case .requeue(let seconds): result = .after(.seconds(seconds))
      }
    }
    return result
  }

  private func create(_ set: ReplicaSet, for deployment: Deployment) async throws {
    do {
      try await client.create(set)
    } catch let error as StatusError where error.isAlreadyExists {
      let live = try await client.get(ReplicaSet.self, namespace: set.metadata.namespace, name: set.metadata.name)
      // Ours from a pass whose result the cache does not show yet.
      if live.metadata.isControlled(by: deployment.metadata.uid),
        DeploymentPlan.sameTemplate(live.spec.template, deployment.spec.template)
      {
        return
      }
      var changed = deployment
      changed.status.collisionCount = (deployment.status.collisionCount ?? 0) + 1
      try await client.updateStatus(changed)
      throw error
    } catch let error as StatusError where error.isNamespaceTerminating {
      throw error
    } catch let error as StatusError {
      let message = "Failed to create new replica set \"\(set.metadata.name)\": \(error.message)"
      if DeploymentMath.hasDeadline(deployment) {
        var changed = deployment
        DeploymentConditions.set(
          &changed.status.conditions, "Progressing", "False", "ReplicaSetCreateError", message, now: now())
        if changed.status != deployment.status { _ = try? await client.updateStatus(changed) }
      }
      recorder.event(deployment, type: "Warning", reason: "ReplicaSetCreateError", message: message)
      throw error
    }
    if let size = set.spec.replicas, size > 0 { tellScaling(set, from: 0, to: size, deployment) }
  }

  private func rollBack(_ request: DeploymentRollback, _ sets: [ReplicaSet]) async throws {
    let (changed, event) = request.carriedOut(sets)
    try await client.update(changed)
    recorder.event(changed, type: event.type, reason: event.reason, message: event.message)
  }

  private func update(_ set: ReplicaSet, scaledFrom from: Int32?, of deployment: Deployment) async throws {
    try await client.update(set)
    if let from, let size = set.spec.replicas { tellScaling(set, from: from, to: size, deployment) }
  }

  private func tellScaling(_ set: ReplicaSet, from: Int32, to: Int32, _ deployment: Deployment) {
    recorder.event(
      deployment, type: "Normal", reason: "ScalingReplicaSet",
      message: "Scaled \(to > from ? "up" : "down") replica set \(set.metadata.name) from \(from) to \(to)")
  }

  private func writeStatus(_ changed: Deployment) async throws {
    let written = try await client.updateStatus(changed)
    // Upstream's status endpoint lets annotations through; one that does not gets them by an update.
    let key = DeploymentAnnotations.revision
    guard let revision = changed.metadata.annotations[key], written.metadata.annotations[key] != revision else {
      return
    }
    var annotated = written
    annotated.metadata.annotations[key] = revision
    try await client.update(annotated)
  }
}

/// Runs a write whose object may be gone already.
func ignoringNotFound(_ body: () async throws -> Void) async throws {
  do {
    try await body()
  } catch let error as StatusError where error.isNotFound {
    // What was to be done about it is done.
  }
}
