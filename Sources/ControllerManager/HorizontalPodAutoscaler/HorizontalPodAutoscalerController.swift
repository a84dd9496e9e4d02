import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Sizes what HorizontalPodAutoscalers name by their figures.
final class HorizontalPodAutoscalerController: Controller {
  let name = "horizontal-pod-autoscaler-controller"
  private let client: APIClient
  private let scalers: Informer<HorizontalPodAutoscaler>
  private let pods: Informer<Pod>
  private let recorder: EventRecorder
  private let queue = WorkQueue<ObjectKey>("horizontalpodautoscaler")
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let settings: ControllerManager.Configuration.Autoscaling
  private let start = ContinuousClock.now
  /// Between the rounds of one autoscaler.
  private struct Memory {
    var history = ScalingHistory()
    var selector: Labels.Selector?
  }
  private let memories = Mutex<[ObjectKey: Memory]>([:])
  private let kinds = Mutex<[GroupVersionKind: Discovery.Resource]>([:])

  init(_ context: ControllerContext) {
    client = context.client
    scalers = context.informers.informer(HorizontalPodAutoscaler.self)
    pods = context.informers.informer(Pod.self)
    recorder = context.recorder("horizontal-pod-autoscaler")
    logger = context.logger(name)
    now = context.now
    settings = context.configuration.autoscaling
    let queue = queue
    scalers.addHandler { event in
      switch event {
      case .added(let scaler), .deleted(let scaler): queue.add(scaler.key)
      // Its own status is not news.
      case .updated(let old, let new): if old.spec != new.spec { queue.add(new.key) }
      }
    }
  }

  func run() async throws {
    try await scalers.waitForSync()
    try await pods.waitForSync()
    await runWorkers(queue, count: settings.workers, logger: logger) { [self] in try await reconcile($0) }
  }

  private var seconds: Double {
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let scaler = scalers.lister.get(key) else {
      memories.withLock { $0[key] = nil }
      return .done
    }
    do { try await autoscale(scaler) } catch {
      // The next round comes as soon as any other: figures that are missing are no reason to hurry.
      logger.debug("not autoscaled", metadata: ["hpa": "\(key)", "error": "\(error)"])
    }
    return .after(settings.syncPeriod)
  }

  // MARK: One round

  private func autoscale(_ original: HorizontalPodAutoscaler) async throws {
    var scaler = original
    let target: (path: String, scale: Scale)
    do { target = try await scale(of: scaler) } catch {
      let message = Self.message(error)
      recorder.event(scaler, type: "Warning", reason: "FailedGetScale", message: message)
      set(
        &scaler, "AbleToScale", "False", "FailedGetScale",
        "the HPA controller was unable to get the target's current scale: \(message)")
      try await write(scaler, original)
      throw error
    }
    set(
      &scaler, "AbleToScale", "True", "SucceededGetScale",
      "the HPA controller was able to get the target's current scale")
    let current = target.scale.spec.replicas
    let now = seconds
    memories.withLock { $0[scaler.key, default: Memory()].history.begin(current, now: now) }
    let least = scaler.spec.minReplicas ?? 1
    let most = scaler.spec.maxReplicas
    var desired: Int32 = 0
    var reason = ""
    var statuses: [MetricStatus] = []
    var failure: (any Error)?
    var rescales = true
    if current == 0, least != 0 {
      rescales = false
      set(
        &scaler, "ScalingActive", "False", "ScalingDisabled",
        "scaling is disabled since the replica count of the target is zero")
    } else if current > most {
      (desired, reason) = (most, "Current number of replicas above Spec.MaxReplicas")
    } else if current < least {
      (desired, reason) = (least, "Current number of replicas below Spec.MinReplicas")
    } else {
      let result: (replicas: Int32, name: String, statuses: [MetricStatus], failure: (any Error)?)
      do { result = try await reckon(&scaler, target.scale) } catch {
        scaler.status.currentReplicas = current
        try await write(scaler, original)
        recorder.event(
          scaler, type: "Warning", reason: "FailedComputeMetricsReplicas", message: Self.message(error))
        throw error
      }
      (statuses, failure) = (result.statuses, result.failure)
      desired = result.replicas
      if desired > current { reason = "\(result.name) above target" }
      if desired < current { reason = "All metrics below target" }
      let wanted = desired
      let (behavior, window) = (scaler.spec.behavior, settings.downscaleStabilization)
      let verdict = memories.withLock {
        $0[scaler.key, default: Memory()].history.normalize(
          wanted, current: current, min: least, max: most, behavior: behavior, window: window, now: now)
      }
      set(&scaler, "AbleToScale", "True", verdict.able.reason, verdict.able.message)
      set(&scaler, "ScalingLimited", verdict.isLimited ? "True" : "False", verdict.limit.reason, verdict.limit.message)
      desired = verdict.replicas
      rescales = desired != current
    }
    if rescales {
      do { try await resize(target, to: desired) } catch {
        let message = Self.message(error)
        recorder.event(
          scaler, type: "Warning", reason: "FailedRescale",
          message: "New size: \(desired); reason: \(reason); error: \(message)")
        set(
          &scaler, "AbleToScale", "False", "FailedUpdateScale",
          "the HPA controller was unable to update the target scale: \(message)")
        scaler.status.currentReplicas = current
        try await write(scaler, original)
        throw error
      }
      set(
        &scaler, "AbleToScale", "True", "SucceededRescale",
        "the HPA controller was able to update the target scale to \(desired)")
      recorder.event(
        scaler, type: "Normal", reason: "SuccessfulRescale", message: "New size: \(desired); reason: \(reason)")
      let (size, behavior) = (desired, scaler.spec.behavior)
      memories.withLock {
        $0[scaler.key]?.history.scaled(from: current, to: size, behavior: behavior, now: now)
      }
      scaler.status.lastScaleTime = self.now()
    } else {
      desired = current
    }
    scaler.status.currentReplicas = current
    scaler.status.desiredReplicas = desired
    scaler.status.currentMetrics = statuses
    try await write(scaler, original)
    if let failure { throw failure }
  }

  /// The most that any figure asks for. Figures that fail count against scaling down.
  private func reckon(
    _ scaler: inout HorizontalPodAutoscaler, _ scale: Scale
  ) async throws -> (replicas: Int32, name: String, statuses: [MetricStatus], failure: (any Error)?) {
    let selector = try self.selector(&scaler, scale)
    let proposals = MetricProposals(
      metrics: MetricsClient(client: client), calculator: settings.calculator,
      tolerances: tolerances(scaler), namespace: scaler.metadata.namespace, selector: selector,
      pods: pods.lister.list(namespace: scaler.metadata.namespace).filter { selector.matches($0.metadata.labels) },
      specReplicas: scale.spec.replicas, statusReplicas: scale.status.replicas, now: now(),
      resources: { try await self.resource(of: $0) })
    var most: MetricProposals.Proposal?
    var statuses: [MetricStatus] = []
    var failures: [MetricProposals.Failure] = []
    for spec in scaler.spec.metrics {
      do {
        let proposal = try await proposals.proposal(spec)
        statuses.append(proposal.status)
        if most == nil || proposal.replicas > most?.replicas ?? 0 { most = proposal }
      } catch {
        recorder.event(scaler, type: "Warning", reason: error.reason, message: error.cause)
        failures.append(error)
        statuses.append(MetricStatus())
      }
    }
    statuses.removeAll { $0.type.isEmpty }
    let count = scaler.spec.metrics.count
    let failure = failures.first.map {
      ReplicaCalculator.Failure(
        "invalid metrics (\(failures.count) invalid out of \(count)), first error is: \($0)")
    }
    guard let most, failure == nil || most.replicas >= scale.spec.replicas else {
      if let first = failures.first {
        set(
          &scaler, "ScalingActive", "False", first.reason,
          "the HPA was unable to compute the replica count: \(first.cause)")
      }
      throw failure ?? ReplicaCalculator.Failure("no metrics to scale by")
    }
    set(
      &scaler, "ScalingActive", "True", "ValidMetricFound",
      "the HPA was able to successfully calculate a replica count from \(most.name)")
    return (most.replicas, most.name, statuses, failure)
  }

  private func tolerances(_ scaler: HorizontalPodAutoscaler) -> ReplicaCalculator.Tolerances {
    var result = ReplicaCalculator.Tolerances(scaleDown: settings.tolerance, scaleUp: settings.tolerance)
    if let own = scaler.spec.behavior?.scaleDown?.tolerance { result.scaleDown = own.approximate }
    if let own = scaler.spec.behavior?.scaleUp?.tolerance { result.scaleUp = own.approximate }
    return result
  }

  /// The target's pods. No two autoscalers may size the same ones.
  private func selector(_ scaler: inout HorizontalPodAutoscaler, _ scale: Scale) throws -> Labels.Selector {
    guard !scale.status.selector.isEmpty else {
      recorder.event(scaler, type: "Warning", reason: "SelectorRequired", message: "selector is required")
      set(&scaler, "ScalingActive", "False", "InvalidSelector", "the HPA target's scale is missing a selector")
      throw ReplicaCalculator.Failure("selector is required")
    }
    let selector: Labels.Selector
    do { selector = try Labels.Selector.parse(scale.status.selector) } catch {
      let message = "couldn't convert selector into a corresponding internal selector object: \(error)"
      recorder.event(scaler, type: "Warning", reason: "InvalidSelector", message: message)
      set(&scaler, "ScalingActive", "False", "InvalidSelector", message)
      throw ReplicaCalculator.Failure(message)
    }
    let key = scaler.key
    let others = memories.withLock { memories in
      memories[key]?.selector = selector
      return memories.filter { $0.key != key && $0.key.namespace == key.namespace }
    }
    let own = pods.lister.list(namespace: key.namespace).filter { selector.matches($0.metadata.labels) }
    let rivals = others.filter { _, other in
      other.selector.map { selector in own.contains { selector.matches($0.metadata.labels) } } ?? false
    }
    guard rivals.isEmpty else {
      let names = ([key] + rivals.keys).map { "\($0.namespace)/\($0.name)" }.sorted()
      let message = "pods by selector \(selector) are controlled by multiple HPAs: [\(names.joined(separator: " "))]"
      recorder.event(scaler, type: "Warning", reason: "AmbiguousSelector", message: message)
      set(&scaler, "ScalingActive", "False", "AmbiguousSelector", message)
      throw ReplicaCalculator.Failure(message)
    }
    return selector
  }

  // MARK: The target

  private func scale(of scaler: HorizontalPodAutoscaler) async throws -> (path: String, scale: Scale) {
    let resource = try await resource(of: scaler.spec.scaleTargetRef)
    let path = resource.location.path(
      namespace: resource.location.namespaced ? scaler.metadata.namespace : "",
      name: scaler.spec.scaleTargetRef.name, subresource: "scale")
    return (path, try Scale.decode(try await client.raw("GET", path)))
  }

  private func resize(_ target: (path: String, scale: Scale), to replicas: Int32) async throws {
    var scale = target.scale
    scale.spec.replicas = replicas
    _ = try await client.raw("PUT", target.path, body: scale.encoded())
  }

  /// What serves a kind: remembered, and looked up anew for a kind that is not known.
  private func resource(of reference: CrossVersionObjectReference) async throws -> Discovery.Resource {
    let version = GroupVersion(apiVersion: reference.apiVersion)
    let kind = GroupVersionKind(group: version.group, version: version.version, kind: reference.kind)
    if let known = kinds.withLock({ $0[kind] }) { return known }
    let all = try await Discovery.fetch(client).byKind
    kinds.withLock { $0 = all }
    guard let found = all[kind] else {
      throw ReplicaCalculator.Failure(
        "unable to determine resource for scale target reference: no matches for kind \(goQuoted(reference.kind)) in "
          + "version \(goQuoted(reference.apiVersion))")
    }
    return found
  }

  // MARK: Status

  private func set(
    _ scaler: inout HorizontalPodAutoscaler, _ type: String, _ status: String, _ reason: String, _ message: String
  ) {
    _ = scaler.status.conditions.set(
      HorizontalPodAutoscalerCondition {
        $0.type = type
        $0.status = status
        $0.reason = reason
        $0.message = message
      }, now: now())
  }

  private func write(_ scaler: HorizontalPodAutoscaler, _ original: HorizontalPodAutoscaler) async throws {
    guard scaler.status != original.status else { return }
    do { try await ignoringNotFound { try await client.updateStatus(scaler) } } catch {
      recorder.event(scaler, type: "Warning", reason: "FailedUpdateStatus", message: Self.message(error))
      throw error
    }
  }

  private static func message(_ error: any Error) -> String { (error as? StatusError)?.message ?? "\(error)" }
}
