import API
import APIMachinery
import Client
import Logging

/// Runs pods to completion, and deletes finished Jobs whose time to live is over.
final class JobController: Controller {
  let name = "job-controller"
  private let client: APIClient
  /// Deletes what is over; upstream's TTL controller has an account of its own.
  private let expiryClient: APIClient
  private let jobs: Informer<Job>
  private let pods: Informer<Pod>
  private let recorder: EventRecorder
  private let control: PodControl
  private let expectations = Expectations()
  private let written = WrittenVersions()
  private let workers: Int
  private let runsJobs: Bool
  private let expires: Bool
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("job", baseDelay: .milliseconds(100), maxDelay: .seconds(360))

  init(_ context: ControllerContext) {
    client = context.client
    expiryClient = context.acting(as: "ttl-after-finished-controller").client
    jobs = context.informers.informer(Job.self)
    pods = context.informers.informer(Pod.self)
    recorder = context.recorder("job-controller")
    control = PodControl(client: context.client, recorder: recorder)
    workers = context.configuration.workers(.job)
    runsJobs = context.configuration.isEnabled("job-controller")
    expires = context.configuration.isEnabled("ttl-after-finished-controller")
    logger = context.logger(name)
    now = context.now
    pods.addIndex("controller") { $0.metadata.controllerOwner.map { [$0.uid] } ?? [] }
    jobs.addHandler { [queue] in queue.add($0.object.key) }
    pods.addHandler { [queue, expectations] event in
      let pod = event.object
      guard let owner = pod.metadata.controllerOwner, owner.kind == Job.kind else { return }
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
    try await jobs.waitForSync()
    try await pods.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let job = jobs.lister.get(key) else {
      expectations.forget(key)
      written.forget(key)
      return .done
    }
    // Somebody else's by name, or a state that is older than our last word about it.
    if let manager = job.spec.managedBy, manager != "kubernetes.io/job-controller" { return .done }
    guard written.isCurrent(key, cached: [job]) || queue.numRequeues(key) > 10 else { return .requeue }
    if expires, JobDecision.isFinished(job), let result = try await expire(job) { return result }
    guard runsJobs else { return .done }

    let owned = pods.lister.byIndex("controller", job.metadata.uid)
    let decision = JobDecision.decide(job, pods: owned, now: now())
    var failure: (any Error)?
    if expectations.satisfied(key) { failure = await carryOut(decision, job) }
    if decision.status != job.status {
      var changed = job
      changed.status = decision.status
      written.wrote(try await client.updateStatus(changed), for: key)
      tell(job, decision.status)
    }
    // Only what a written status names may lose its finalizer.
    let held = decision.release.filter { $0.metadata.finalizers.contains(JobDecision.finalizer) }
    let errors = await inParallel(count: held.count) { [self] in try await release(held[$0]) }
    if let first = errors.first { throw first }
    if let failure { throw failure }
    return decision.requeue.map { .after(.seconds($0)) } ?? .done
  }

  /// Lets a pod go by a patch, which is what the controller's role allows.
  private func release(_ pod: Pod) async throws {
    let rest = pod.metadata.finalizers.filter { $0 != JobDecision.finalizer }
    let patch = JSONValue.object([
      "metadata": .object([
        "uid": .string(pod.metadata.uid), "resourceVersion": .string(pod.metadata.resourceVersion),
        "finalizers": .array(rest.map { .string($0) }),
      ])
    ])
    try await ignoringNotFound {
      try await client.patch(
        Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, .merge(patch.encoded()))
    }
  }

  /// Deletes a finished Job when its time is over; nil when there is still something to do for it.
  private func expire(_ job: Job) async throws -> ReconcileResult? {
    let held = pods.lister.byIndex("controller", job.metadata.uid)
      .contains { $0.metadata.finalizers.contains(JobDecision.finalizer) }
    guard !held, job.metadata.deletionTimestamp == nil, let seconds = job.spec.ttlSecondsAfterFinished,
      let end = job.status.conditions.first(where: {
        ($0.type == "Complete" || $0.type == "Failed") && $0.status == "True"
      })?.lastTransitionTime
    else { return nil }
    let left = end.adding(seconds: Int64(seconds)).seconds(since: now())
    if left > 0 { return .after(.seconds(left)) }
    var options = DeleteOptions.uid(job.metadata.uid)
    options.propagationPolicy = "Foreground"
    try await ignoringNotFound {
      try await expiryClient.delete(
        Job.self, namespace: job.metadata.namespace, name: job.metadata.name, options: options)
    }
    return .done
  }

  private func carryOut(_ decision: JobDecision, _ job: Job) async -> (any Error)? {
    let key = job.key
    let doomed = decision.delete + decision.discard
    guard !decision.create.isEmpty || !doomed.isEmpty else { return nil }
    expectations.expect(key, creations: decision.create.count, deletions: doomed.map(\.metadata.uid))
    let (made, creationError) = await slowStart(count: decision.create.count) { [control] index in
      let random = TemplateHash.safe(String(UInt32.random(in: 10_000...99_999)))
      try await control.create(JobDecision.pod(job, decision.create[index], random: random), for: job)
    }
    if made < decision.create.count { expectations.created(key, count: decision.create.count - made) }
    let discarded = Set(decision.discard.map(\.metadata.uid))
    let errors = await inParallel(count: doomed.count) { [self] index in
      let pod = doomed[index]
      do {
        if discarded.contains(pod.metadata.uid) { try await release(pod) }
        try await control.delete(pod, for: job)
      } catch {
        expectations.deleted(key, pod.metadata.uid)
        if (error as? StatusError)?.isNotFound != true { throw error }
      }
    }
    return creationError ?? errors.first
  }

  private func tell(_ job: Job, _ status: JobStatus) {
    for condition in status.conditions
    where condition.status == "True" && !job.status.conditions.isTrue(condition.type) {
      switch condition.type {
      case "Complete": recorder.event(job, type: "Normal", reason: "Completed", message: "Job completed")
      case "Failed":
        recorder.event(job, type: "Warning", reason: condition.reason, message: condition.message)
      case "Suspended": recorder.event(job, type: "Normal", reason: "Suspended", message: "Job suspended")
      default: break
      }
    }
  }
}
