import API
import APIMachinery
import Client
import Logging

/// Says which ranges of Service addresses are ready, and keeps those in use from being deleted.
final class ServiceCIDRController: Controller {
  let name = "service-cidr-controller"
  private let client: APIClient
  private let ranges: Informer<ServiceCIDR>
  private let addresses: Informer<IPAddress>
  private let recorder: EventRecorder
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<String>("ipaddresses")

  init(_ context: ControllerContext) {
    client = context.client
    ranges = context.informers.informer(ServiceCIDR.self)
    addresses = context.informers.informer(IPAddress.self)
    recorder = context.recorder(name)
    logger = context.logger(name)
    now = context.now
    ranges.addHandler { [queue, ranges] event in
      queue.add(event.object.metadata.name)
      if case .updated = event { return }
      // One range more or less decides whether others may go.
      for range in ServiceCIDRDecision.overlapping(event.object, ranges.lister.list()) {
        queue.add(range.metadata.name)
      }
    }
    addresses.addHandler { [queue, ranges] event in
      if case .updated = event { return }
      let all = ranges.lister.list().filter { $0.metadata.deletionTimestamp != nil }
      for range in ServiceCIDRDecision.containing(event.object, all) { queue.add(range.metadata.name) }
    }
  }

  func run() async throws {
    try await ranges.waitForSync()
    try await addresses.waitForSync()
    await runWorkers(queue, count: 5, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard let range = ranges.lister.get(name: name) else { return .done }
    let taken = range.metadata.deletionTimestamp == nil ? [] : addresses.lister.list()
    switch ServiceCIDRDecision.decide(range, others: ranges.lister.list(), addresses: taken, now: now()) {
    case .nothing: return .done
    case .wait(let seconds): return .after(.seconds(seconds))
    case .release(let changed):
      try await ignoringNotFound { try await client.update(changed) }
    case .write(let changed):
      var written = try await client.update(changed)
      guard written.status != changed.status else { return .done }
      written.status = changed.status
      try await writeStatus(written)
    case .writeStatus(let changed):
      try await writeStatus(changed)
    }
    return .done
  }

  private func writeStatus(_ range: ServiceCIDR) async throws {
    do {
      try await client.updateStatus(range)
    } catch let error as StatusError where !error.isConflict && !error.isNotFound {
      recorder.event(
        range, type: "Warning", reason: "KubernetesServiceCIDRError",
        message: "The ServiceCIDR Status can not be set to Ready=True")
      throw error
    }
  }
}
