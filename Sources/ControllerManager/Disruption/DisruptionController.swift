import API
import APIMachinery
import Client
import Logging

/// Keeps the status of PodDisruptionBudgets, by which evictions are allowed.
final class DisruptionController: Controller {
  let name = "disruption-controller"
  private let client: APIClient
  private let budgets: Informer<PodDisruptionBudget>
  private let pods: Informer<Pod>
  private let sets: Informer<ReplicaSet>
  private let deployments: Informer<Deployment>
  private let statefulSets: Informer<StatefulSet>
  private let controllers: Informer<ReplicationController>
  private let recorder: EventRecorder
  private let queue = WorkQueue<ObjectKey>("disruption")
  private let staleQueue = WorkQueue<ObjectKey>("stale_pod_disruption")
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    budgets = context.informers.informer(PodDisruptionBudget.self)
    pods = context.informers.informer(Pod.self)
    sets = context.informers.informer(ReplicaSet.self)
    deployments = context.informers.informer(Deployment.self)
    statefulSets = context.informers.informer(StatefulSet.self)
    controllers = context.informers.informer(ReplicationController.self)
    recorder = context.recorder("controllermanager")
    logger = context.logger(name)
    now = context.now
    let (queue, budgets, staleQueue) = (queue, budgets, staleQueue)
    budgets.addHandler { queue.add($0.object.key) }
    pods.addHandler { event in
      func enqueue(_ pod: Pod) {
        for budget in budgets.lister.list(namespace: pod.metadata.namespace)
        where Self.selects(budget, pod) {
          queue.add(budget.key)
        }
      }
      let pod = event.object
      if case .updated(let old, _) = event, old.metadata.labels != pod.metadata.labels { enqueue(old) }
      enqueue(pod)
      if let wait = Self.staleDisruption(pod, at: context.now()) { staleQueue.add(pod.key, after: .seconds(wait)) }
    }
  }

  func run() async throws {
    try await budgets.waitForSync()
    try await pods.waitForSync()
    try await sets.waitForSync()
    try await deployments.waitForSync()
    try await statefulSets.waitForSync()
    try await controllers.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await runWorkers(queue, count: 2, logger: logger) { [self] in try await reconcile($0) }
      }
      group.addTask { [self] in
        await runWorkers(staleQueue, count: 1, logger: logger) { [self] in try await clearStale($0) }
      }
    }
  }

  /// A budget without selector is for no pods, one with an empty selector for all.
  private static func selects(_ budget: PodDisruptionBudget, _ pod: Pod) -> Bool {
    guard let selector = try? budget.spec.selector?.selector() else { return false }
    return selector.matches(pod.metadata.labels)
  }

  // MARK: Budgets

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let budget = budgets.lister.get(key) else { return .done }
    let selected = pods.lister.list(namespace: key.namespace).filter { Self.selects(budget, $0) }
    if selected.isEmpty {
      recorder.event(budget, type: "Normal", reason: "NoPods", message: "No matching pods found")
    }
    let decision: DisruptionDecision
    var failure: (any Error)?
    do {
      let scales = try await scales(of: selected, budget)
      let expectation = DisruptionDecision.expectation(budget, pods: selected) { scales }
      decision = DisruptionDecision.decide(budget, pods: selected, expectation, now: now())
    } catch {
      let message = (error as? StatusError)?.message ?? "\(error)"
      recorder.event(
        budget, type: "Warning", reason: "CalculateExpectedPodCountFailed",
        message: "Failed to calculate the number of expected pods: \(message)")
      decision = DisruptionDecision.failed(budget, message, now: now())
      failure = error
    }
    for pod in decision.notDeleted {
      recorder.event(
        pod, type: "Warning", reason: "NotDeleted",
        message: "Pod was expected by PDB \(key.namespace)/\(key.name) to be deleted but it wasn't")
    }
    if decision.status != budget.status {
      var changed = budget
      changed.status = decision.status
      try await ignoringNotFound { try await client.updateStatus(changed) }
    }
    if let failure { throw failure }
    return decision.recheck.map { .after(.seconds($0)) } ?? .done
  }

  /// How many pods the controllers of some pods mean to run. Pods without one cannot be counted on.
  private func scales(of selected: [Pod], _ budget: PodDisruptionBudget) async throws -> Int {
    if budget.spec.maxUnavailable == nil {
      guard case .string = budget.spec.minAvailable else { return 0 }
    }
    var known: [String: Int] = [:]
    var unmanaged = 0
    for pod in selected {
      guard let owner = pod.metadata.controllerOwner else {
        unmanaged += 1
        continue
      }
      if known[owner.uid] != nil { continue }
      let (uid, scale) = try await scale(of: owner, pod.metadata.namespace)
      known[uid] = scale
      // A deployment's sets are counted once, as it.
      if uid != owner.uid { known[owner.uid] = 0 }
    }
    if unmanaged > 0 {
      let selector = budget.spec.selector.map { (try? $0.selector()).map { "\($0)" } ?? "" } ?? ""
      recorder.event(
        budget, type: "Warning", reason: "UnmanagedPods",
        message: "Pods selected by this PodDisruptionBudget (selector: \(selector)) were found to be unmanaged. As a "
          + "result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To "
          + "account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.")
    }
    return known.values.reduce(0, +)
  }

  private func scale(of owner: OwnerReference, _ namespace: String) async throws -> (uid: String, scale: Int) {
    let group = GroupVersion(apiVersion: owner.apiVersion).group
    switch (group, owner.kind) {
    case ("apps", ReplicaSet.kind):
      guard let set = sets.lister.get(namespace: namespace, name: owner.name), set.metadata.uid == owner.uid else {
        break
      }
      if let parent = set.metadata.controllerOwner, parent.kind == Deployment.kind,
        let deployment = deployments.lister.get(namespace: namespace, name: parent.name),
        deployment.metadata.uid == parent.uid
      {
        return (deployment.metadata.uid, Int(deployment.spec.replicas ?? 1))
      }
      return (set.metadata.uid, Int(set.spec.replicas ?? 1))
    case ("apps", StatefulSet.kind):
      guard let set = statefulSets.lister.get(namespace: namespace, name: owner.name), set.metadata.uid == owner.uid
      else { break }
      return (set.metadata.uid, Int(set.spec.replicas ?? 1))
    case ("", ReplicationController.kind):
      guard let controller = controllers.lister.get(namespace: namespace, name: owner.name),
        controller.metadata.uid == owner.uid
      else { break }
      return (controller.metadata.uid, Int(controller.spec.replicas ?? 1))
    default: return (owner.uid, try await customScale(of: owner, namespace))
    }
    // Gone meanwhile: nobody wants these pods.
    return (owner.uid, 0)
  }

  /// The scale of a controller of any kind that has one.
  private func customScale(of owner: OwnerReference, _ namespace: String) async throws -> Int {
    let version = GroupVersion(apiVersion: owner.apiVersion)
    let kinds = try await Discovery.fetch(client).byKind
    let kind = GroupVersionKind(group: version.group, version: version.version, kind: owner.kind)
    guard let location = kinds[kind]?.location else {
      throw Unscalable(description: "no resource serves \(owner.kind) of \(owner.apiVersion)")
    }
    let path = location.path(
      namespace: location.namespaced ? namespace : "", name: owner.name, subresource: "scale")
    do {
      let scale = try JSONValue(parsing: try await client.raw("GET", path))
      return Int(scale["spec"]?["replicas"]?.intValue ?? 0)
    } catch let error as StatusError where error.isNotFound {
      throw Unscalable(description: "\(location.resource).\(version.group) does not implement the scale subresource")
    }
  }

  private struct Unscalable: Error, CustomStringConvertible {
    var description: String
  }

  // MARK: Pods that were to be disrupted and were not

  private static let staleTimeout: Int64 = 120

  /// Seconds until a pod's announced disruption is stale; nil if none is announced.
  private static func staleDisruption(_ pod: Pod, at now: Time) -> Int64? {
    guard pod.metadata.deletionTimestamp == nil, !pod.isTerminal,
      let condition = pod.status.conditions.condition("DisruptionTarget"), condition.status == "True"
    else { return nil }
    return max(0, condition.lastTransitionTime.adding(seconds: staleTimeout).seconds(since: now))
  }

  private func clearStale(_ key: ObjectKey) async throws -> ReconcileResult {
    guard var pod = pods.lister.get(key), let left = Self.staleDisruption(pod, at: now()) else { return .done }
    if left > 0 { return .after(.seconds(left)) }
    _ = pod.status.conditions.set(
      PodCondition {
        $0.type = "DisruptionTarget"
        $0.status = "False"
        $0.observedGeneration = pod.metadata.generation
      }, now: now())
    let stale = pod
    try await ignoringNotFound { try await client.updateStatus(stale) }
    return .done
  }
}
