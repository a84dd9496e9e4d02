import API
import APIMachinery
import HTTP
import Logging

/// Keeps the use of nodes and pods at hand, from the kubelets' `/metrics/resource`.
///
/// Kubelets are asked once a minute, so that a rate is known from the first question on, and again when somebody asks
/// and what is at hand is older than `resolution`: a cluster that nobody looks at is left in peace.
actor ResourceMetrics {
  private let registry: Registry
  private let kubelets: KubeletProxy
  private let logger: Logger
  private var history = ResourceHistory()
  private var taken: ContinuousClock.Instant?
  private var taking: Task<Void, Never>?
  /// How old an answer may be.
  static let resolution = Duration.seconds(10)
  private static let period = Duration.seconds(60)
  private static let timeout = Duration.seconds(5)
  /// Kubelets that are asked at one time.
  private static let width = 16

  init(registry: Registry, kubelets: KubeletProxy, logger: Logger) {
    self.registry = registry
    self.kubelets = kubelets
    self.logger = logger
  }

  /// Asks now and then, until cancelled.
  func run() async {
    while !Task.isCancelled {
      await refresh(olderThan: Self.period / 2)
      // Until nodes are there and have a rate, the next look is soon.
      let isNew = !registry.list(Node.self).contains { history.node($0.metadata.name) != nil }
      try? await Task.sleep(for: isNew ? Self.resolution : Self.period)
    }
  }

  /// The newest use that is known.
  func current() async -> ResourceHistory {
    await refresh(olderThan: Self.resolution)
    return history
  }

  private func refresh(olderThan age: Duration) async {
    if let taken, ContinuousClock.now - taken < age { return }
    if let taking { return await taking.value }
    let task = Task { await take() }
    taking = task
    await task.value
    taking = nil
  }

  private func take() async {
    let nodes = registry.list(Node.self).map(\.metadata.name)
    var samples: [(String, ResourceSample)] = []
    await withTaskGroup(of: (String, ResourceSample?).self) { group in
      for (index, name) in nodes.enumerated() {
        if index >= Self.width, let (name, sample) = await group.next(), let sample { samples.append((name, sample)) }
        group.addTask { [kubelets, logger] in
          do { return (name, try await Self.ask(kubelets, name)) } catch {
            logger.debug("kubelet gave no metrics", metadata: ["node": "\(name)", "error": "\(error)"])
            return (name, nil)
          }
        }
      }
      for await (name, sample) in group { if let sample { samples.append((name, sample)) } }
    }
    history.keep(only: Set(nodes))
    for (name, sample) in samples { history.add(sample, node: name) }
    taken = .now
  }

  private static func ask(_ kubelets: KubeletProxy, _ node: String) async throws -> ResourceSample {
    var request = HTTPClientRequest(
      method: "GET", origin: try kubelets.origin(node: node), target: "/metrics/resource", headers: HTTPFields(),
      body: .none)
    request.timeout = timeout
    let answer = try await kubelets.kubelet.send(request)
    guard answer.status == 200 else {
      throw StatusError.serviceUnavailable("kubelet answered with status \(answer.status)")
    }
    return ResourceSample(text: answer.body)
  }
}
