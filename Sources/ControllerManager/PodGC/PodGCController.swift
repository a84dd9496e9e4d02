import API
import APIMachinery
import Client
import Logging

/// Deletes pods that nobody will take care of any more.
final class PodGCController: Controller {
  let name = "pod-garbage-collector-controller"
  private let client: APIClient
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let configuration: ControllerManager.Configuration
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    pods = context.informers.informer(Pod.self)
    nodes = context.informers.informer(Node.self)
    configuration = context.configuration
    logger = context.logger(name)
    now = context.now
  }

  func run() async throws {
    try await pods.waitForSync()
    try await nodes.waitForSync()
    var suspects: [String: ContinuousClock.Instant] = [:]
    while !Task.isCancelled {
      await collect(&suspects, at: .now)
      try await Task.sleep(for: configuration.podGCPeriod)
    }
  }

  /// One pass. `suspects` are the nodes that were missing at the last one, and since when.
  func collect(_ suspects: inout [String: ContinuousClock.Instant], at instant: ContinuousClock.Instant) async {
    let all = pods.lister.list()
    let known = Dictionary(nodes.lister.list().map { ($0.metadata.name, $0) }, uniquingKeysWith: { $1 })
    let absent = Set(all.map(\.spec.nodeName)).filter { !$0.isEmpty && known[$0] == nil }
    suspects = suspects.filter { absent.contains($0.key) }
    var missing: Set<String> = []
    for node in absent {
      let since = suspects[node] ?? instant
      suspects[node] = since
      guard instant - since >= configuration.podGCQuarantine else { continue }
      // The cache may be behind: the server knows.
      if await isGone(node) { missing.insert(node) } else { suspects[node] = nil }
    }
    let victims = PodGCDecision.victims(
      pods: all, nodes: known, missing: missing, threshold: configuration.terminatedPodThreshold)
    for (pod, reason) in victims {
      do {
        try await delete(pod, reason)
      } catch {
        logger.debug("pod \(pod.key): \(error)")
      }
    }
  }

  private func isGone(_ node: String) async -> Bool {
    do {
      _ = try await client.get(Node.self, name: node)
      return false
    } catch let error as StatusError {
      return error.isNotFound
    } catch {
      return false
    }
  }

  private func delete(_ pod: Pod, _ reason: PodGCDecision.Reason) async throws {
    if !pod.isTerminal {
      var status: [String: JSONValue] = ["phase": .string("Failed")]
      if let condition = PodGCDecision.disruption(reason, now: now()) {
        var conditions = pod.status.conditions
        conditions.set(condition, now: now())
        let changed = conditions.filter { $0.type == condition.type }
        status["conditions"] = .array(try changed.map { try JSONValue(parsing: $0.encoded()) })
      }
      let patch = JSONValue.object([
        "metadata": .object(["uid": .string(pod.metadata.uid)]), "status": .object(status),
      ])
      try await ignoringNotFound {
        try await client.patch(
          Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, .strategic(patch.encoded()),
          subresource: "status")
      }
    }
    var options = DeleteOptions.uid(pod.metadata.uid)
    options.gracePeriodSeconds = 0
    try await ignoringNotFound {
      try await client.delete(
        Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name, options: options)
    }
  }
}
