import API
import APIMachinery
import Client
import Logging

/// Makes Jobs at the times that CronJobs name.
final class CronJobController: Controller {
  let name = "cronjob-controller"
  private let client: APIClient
  private let cronJobs: Informer<CronJob>
  private let jobs: Informer<Job>
  private let recorder: EventRecorder
  private let queue = WorkQueue<ObjectKey>("cronjob")
  private let written = WrittenVersions()
  private let workers: Int
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    cronJobs = context.informers.informer(CronJob.self)
    jobs = context.informers.informer(Job.self)
    recorder = context.recorder("cronjob-controller")
    workers = context.configuration.workers(.cronJob)
    logger = context.logger(name)
    now = context.now
    jobs.addIndex("cronjob") { $0.metadata.controllerOwner.map { [$0.uid] } ?? [] }
    cronJobs.addHandler { [queue] in queue.add($0.object.key) }
    jobs.addHandler { [queue] event in
      let job = event.object
      guard let owner = job.metadata.controllerOwner, owner.kind == CronJob.kind else { return }
      queue.add(ObjectKey(namespace: job.metadata.namespace, name: owner.name))
    }
  }

  func run() async throws {
    try await cronJobs.waitForSync()
    try await jobs.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let cronJob = cronJobs.lister.get(key) else {
      written.forget(key)
      return .done
    }
    guard written.isCurrent(key, cached: [cronJob]) || queue.numRequeues(key) > 10 else { return .requeue }
    let owned = jobs.lister.byIndex("cronjob", cronJob.metadata.uid)
    let decision = CronJobDecision.decide(cronJob, jobs: owned, now: now())
    for event in decision.events {
      recorder.event(cronJob, type: event.type, reason: event.reason, message: event.message)
    }
    var status = decision.status
    for job in decision.expired { try await delete(job, cronJob, &status) }
    if let due = decision.start {
      for job in decision.replaced { try await delete(job, cronJob, &status) }
      if let made = try await create(CronJobDecision.job(cronJob, due), cronJob) {
        status.active.append(
          ObjectReference {
            $0.apiVersion = Job.apiVersion
            $0.kind = Job.kind
            $0.namespace = made.metadata.namespace
            $0.name = made.metadata.name
            $0.uid = made.metadata.uid
            $0.resourceVersion = made.metadata.resourceVersion
          })
        status.lastScheduleTime = due
      }
    }
    if status != cronJob.status {
      var changed = cronJob
      changed.status = status
      try await ignoringNotFound { written.wrote(try await client.updateStatus(changed), for: key) }
    }
    return decision.requeue.map { .after(.seconds($0) + .milliseconds(100)) } ?? .done
  }

  private func delete(_ job: Job, _ cronJob: CronJob, _ status: inout CronJobStatus) async throws {
    var options = DeleteOptions.uid(job.metadata.uid)
    options.propagationPolicy = "Background"
    do {
      try await client.delete(
        Job.self, namespace: job.metadata.namespace, name: job.metadata.name, options: options)
    } catch let error as StatusError where !error.isNotFound && !error.isConflict {
      recorder.event(cronJob, type: "Warning", reason: "FailedDelete", message: "Deleted job: \(error.message)")
      throw error
    }
    status.active.removeAll { $0.uid == job.metadata.uid }
    recorder.event(
      cronJob, type: "Normal", reason: "SuccessfulDelete", message: "Deleted job \(job.metadata.name)")
  }

  /// The Job, also if it was made before and the status could not be written; nil if its name is somebody else's or the
  /// namespace is going away.
  private func create(_ job: Job, _ cronJob: CronJob) async throws -> Job? {
    do {
      let made = try await client.create(job)
      recorder.event(
        cronJob, type: "Normal", reason: "SuccessfulCreate", message: "Created job \(made.metadata.name)")
      return made
    } catch let error as StatusError where error.isNamespaceTerminating {
      return nil
    } catch let error as StatusError where error.isAlreadyExists {
      let present = try await client.get(Job.self, namespace: job.metadata.namespace, name: job.metadata.name)
      return present.metadata.controllerOwner?.uid == cronJob.metadata.uid && JobDecision.finish(of: present) == nil
        ? present : nil
    } catch {
      recorder.event(cronJob, type: "Warning", reason: "FailedCreate", message: "Error creating job: \(error)")
      throw error
    }
  }
}
