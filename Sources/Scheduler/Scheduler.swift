public import API
public import Client
public import Logging
import Synchronization

/// The shell around `SchedulerCore`: feeds it from informers, carries out what it decides, and tells the cluster why a
/// pod waits. Decisions are made one after the other; bindings go out side by side.
public final class Scheduler: Sendable {
  /// What KubeSchedulerConfiguration v1 offers and this scheduler knows.
  public struct Configuration: Sendable {
    /// Pods are this scheduler's by `spec.schedulerName`, which chooses the profile.
    public var profiles = [SchedulerProfile()]
    /// The first profile's name.
    public var schedulerName: String {
      get { profiles.first?.schedulerName ?? "default-scheduler" }
      set { if profiles.isEmpty { profiles = [SchedulerProfile()] }; profiles[0].schedulerName = newValue }
    }
    /// Seconds before a refused pod's second try; doubles with each.
    public var podInitialBackoffSeconds = 1.0
    /// The longest of these pauses.
    public var podMaxBackoffSeconds = 10.0
    /// Other programs that have a say in where pods go.
    public var extenders: [SchedulerExtender] = []
    /// Bindings under way at one time.
    public var maxBindings = 64

    public init() {}
  }

  private let client: APIClient
  private let recorder: EventRecorder
  private let core: Mutex<SchedulerCore>
  private let framework: Framework
  private let volumeBinding: VolumeBinding
  private let volumeRules: VolumeRules
  private let preemptor: Preemptor
  private let extenders: Extenders
  private let workloads: WorkloadSelectors
  private let budgets: Informer<PodDisruptionBudget>
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let waits: [@Sendable () async throws -> Void]
  private let configuration: Configuration
  private let logger: Logger
  private let wakeUp: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation
  private let start = ContinuousClock.now

  public init(client: APIClient, informers: InformerFactory, configuration: Configuration, logger: Logger) {
    self.client = client
    self.configuration = configuration
    self.logger = logger
    recorder = EventRecorder(client: client, component: configuration.schedulerName)
    volumeBinding = VolumeBinding(
      client: client, informers: informers,
      timeout: .seconds(configuration.profiles.first?.bindTimeoutSeconds ?? 600))
    volumeRules = VolumeRules(binding: volumeBinding, informers: informers)
    var framework = Framework.deciding
    framework.reserve = [volumeBinding]
    framework.preBind = [volumeBinding]
    framework.bind = [DefaultBinder(client: client)]
    self.framework = framework
    let extenders = Extenders(all: configuration.extenders, logger: logger)
    self.extenders = extenders
    let ignored = Set(configuration.extenders.flatMap(\.ignored))
    core = Mutex(
      SchedulerCore(
        profiles: Dictionary(
          configuration.profiles.map { profile in
            var profile = profile
            profile.ignoredResources.formUnion(ignored)
            return (profile.schedulerName, profile.framework())
          }, uniquingKeysWith: { first, _ in first }),
        initialBackoff: configuration.podInitialBackoffSeconds, maxBackoff: configuration.podMaxBackoffSeconds,
        consults: { extenders.haveSay(in: $0) }))
    pods = informers.informer(Pod.self)
    nodes = informers.informer(Node.self)
    let claims = informers.informer(PersistentVolumeClaim.self)
    let volumes = informers.informer(PersistentVolume.self)
    let classes = informers.informer(StorageClass.self)
    let namespaces = informers.informer(Namespace.self)
    let services = informers.informer(Service.self)
    let sets = informers.informer(ReplicaSet.self)
    let statefulSets = informers.informer(StatefulSet.self)
    let controllers = informers.informer(ReplicationController.self)
    budgets = informers.informer(PodDisruptionBudget.self)
    preemptor = Preemptor(client: client, recorder: recorder, logger: logger)
    workloads = WorkloadSelectors(
      services: services.lister, sets: sets.lister, statefulSets: statefulSets.lister, controllers: controllers.lister)
    waits =
      [
        pods.waitForSync, nodes.waitForSync, claims.waitForSync, volumes.waitForSync, classes.waitForSync,
        namespaces.waitForSync, services.waitForSync, sets.waitForSync, statefulSets.waitForSync,
        controllers.waitForSync, budgets.waitForSync,
      ] + volumeRules.waits
    (wakeUp, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    volumeBinding.useNodes(nodes.lister)
    namespaces.addHandler { [self] event in
      change { core, now in
        if case .deleted(let namespace) = event {
          core.namespaceChanged(namespace.metadata.name, labels: nil, now: now)
        } else {
          core.namespaceChanged(event.object.metadata.name, labels: event.object.metadata.labels, now: now)
        }
      }
    }
    follow(claims, volumes, classes)
    volumeRules.follow { [self] in change { $0.volumeChanged(now: $1) } }
  }

  private func follow(
    _ claims: Informer<PersistentVolumeClaim>, _ volumes: Informer<PersistentVolume>, _ classes: Informer<StorageClass>
  ) {
    pods.addHandler { [self] event in
      change { core, now in
        switch event {
        case .added(let pod), .updated(_, let pod): core.podChanged(pod, now: now)
        case .deleted(let pod): core.podDeleted(pod.metadata.uid, now: now)
        }
      }
    }
    nodes.addHandler { [self] event in
      change { core, now in
        switch event {
        case .added(let node), .updated(_, let node): core.nodeChanged(node, now: now)
        case .deleted(let node): core.nodeDeleted(node.metadata.name)
        }
      }
    }
    claims.addHandler { [self] _ in change { $0.volumeChanged(now: $1) } }
    volumes.addHandler { [self] _ in change { $0.volumeChanged(now: $1) } }
    classes.addHandler { [self] _ in change { $0.volumeChanged(now: $1) } }
  }

  private func change(_ body: (inout SchedulerCore, Double) -> Void) {
    let now = now
    core.withLock { body(&$0, now) }
    wake.yield()
  }

  private var now: Double {
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
  }

  /// Places pods until the task is cancelled.
  public func run() async throws {
    for wait in waits { try await wait() }
    logger.info("scheduling begins")
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.keepTime() }
      var bindings = 0
      wake.yield()
      for await _ in wakeUp {
        let knowledge = SchedulerCore.Knowledge(
          volumes: volumeRules.verdict, workload: workloads.selector, budgets: { [budgets] in budgets.lister.list() })
        while let decision = core.withLock({ $0.next(now: now, knowledge) }) {
          if bindings >= configuration.maxBindings {
            await group.next()
            bindings -= 1
          }
          bindings += 1
          group.addTask { await self.follow(decision, knowledge) }
        }
        if Task.isCancelled { break }
      }
      group.cancelAll()
    }
  }

  /// Lets back-offs run out. The stream ends with the task, which ends `run`.
  private func keepTime() async {
    while !Task.isCancelled {
      let next = core.withLock { $0.flush(now: now) }
      wake.yield()
      let pause = next.map { max(0.02, min($0 - now, 1)) } ?? 1
      try? await Task.sleep(for: .seconds(pause))
    }
    wake.finish()
  }

  private func follow(_ decision: SchedulerCore.Decision, _ knowledge: SchedulerCore.Knowledge) async {
    switch decision {
    case .place(let pod, let node): await carryOut(PodInfo(pod), on: node)
    case .refuse(let pod, let message, let choice): await turnDown(pod, message, choice)
    case .consult(let pod, let nodes):
      let opinion: SchedulerCore.Opinion
      do {
        let known = core.withLock { core in nodes.compactMap { core.snapshot.nodes[$0]?.node } }
        opinion = try await extenders.opinion(on: pod, known)
      } catch {
        let now = now
        core.withLock { $0.forget(pod, now: now) }
        wake.yield()
        if Task.isCancelled { return }
        return await report(pod, reason: "SchedulerError", message: "\(error)")
      }
      let now = now
      guard let next = core.withLock({ $0.settle(pod, opinion, now: now, knowledge) }) else { return }
      await follow(next, knowledge)
    }
  }

  private func carryOut(_ pod: PodInfo, on node: String) async {
    do {
      for plugin in framework.reserve {
        if let refusal = await plugin.reserve(pod, on: node) { throw PlacementRefused(refusal: refusal) }
      }
      for plugin in framework.permit {
        if let refusal = await plugin.permit(pod, on: node) { throw PlacementRefused(refusal: refusal) }
      }
      for plugin in framework.preBind { try await plugin.preBind(pod, to: node) }
      if let binder = extenders.binder(of: pod.pod) {
        try await binder.bind(pod.pod, to: node)
      } else {
        for plugin in framework.bind { try await plugin.bind(pod, to: node) }
      }
      core.withLock { $0.bound(pod.pod) }
      let name = "\(pod.pod.metadata.namespace)/\(pod.pod.metadata.name)"
      recorder.event(
        pod.pod, type: "Normal", reason: "Scheduled", message: "Successfully assigned \(name) to \(node)")
      for plugin in framework.postBind { await plugin.postBind(pod, to: node) }
    } catch {
      for plugin in framework.reserve.reversed() { await plugin.unreserve(pod, on: node) }
      let refused = (error as? PlacementRefused)?.refusal
      let now = now
      core.withLock { $0.forget(pod.pod, refusedBy: refused.map { [$0.plugin] } ?? [], now: now) }
      wake.yield()
      if Task.isCancelled { return }
      if let status = error as? StatusError, status.code == 404 || status.code == 409 { return }
      await report(pod.pod, reason: refused == nil ? "SchedulerError" : "Unschedulable", message: "\(error)")
    }
  }

  /// Says why a pod waits, and makes room for it where that is the decision.
  private func turnDown(_ pod: Pod, _ message: String, _ wanted: Preemption.Choice?) async {
    var choice = wanted
    if let found = choice, !(await extenders.approve(found, for: pod)) { choice = nil }
    await report(pod, reason: "Unschedulable", message: message, nominated: choice?.node ?? "")
    guard let choice else { return }
    for other in core.withLock({ $0.outrankedNominations(by: pod, on: choice.node) }) {
      await preemptor.clearNomination(of: other)
    }
    await preemptor.carryOut(choice, for: pod)
  }

  /// The condition and the event of a pod that waits. The condition is written only when it says something new.
  private func report(_ pod: Pod, reason: String, message: String, nominated: String? = nil) async {
    recorder.event(pod, type: "Warning", reason: "FailedScheduling", message: message)
    guard let current = pods.lister.get(pod.key), current.metadata.uid == pod.metadata.uid else { return }
    var changed = current
    var condition = PodCondition()
    condition.type = "PodScheduled"
    condition.status = "False"
    condition.reason = reason
    condition.message = message
    condition.lastTransitionTime = Time.now
    if let old = current.status.conditions.condition("PodScheduled") {
      let isNominated = nominated == nil || nominated == current.status.nominatedNodeName
      if old.status == "False", old.reason == reason, old.message == message, isNominated { return }
      if old.status == "False" { condition.lastTransitionTime = old.lastTransitionTime }
    }
    if let nominated { changed.status.nominatedNodeName = nominated }
    changed.status.conditions.removeAll { $0.type == "PodScheduled" }
    changed.status.conditions.append(condition)
    do {
      _ = try await client.updateStatus(changed)
    } catch {
      logger.debug("condition not written", metadata: ["pod": "\(pod.key)", "error": "\(error)"])
    }
  }
}

private struct PlacementRefused: Error, CustomStringConvertible {
  var refusal: Refusal
  var description: String { refusal.reasons.joined(separator: ", ") }
}
