import API
import CRI
import Logging
import Synchronization

/// Asks the runtime for its containers again and again, and tells which pods changed.
final class PLEG: Sendable {
  private struct State {
    var last: [String: [String: Int]] = [:]
    var lastSuccess: ContinuousTime?
    var identities: [String: (name: String, namespace: String)] = [:]
  }

  private let engine: any ContainerEngine
  private let reader: RuntimeReader
  private let period: Duration
  private let clock: @Sendable () -> ContinuousTime
  private let onChange: @Sendable (_ uid: String) -> Void
  private let logger: Logger
  private let state = Mutex(State())

  init(
    engine: any ContainerEngine, reader: RuntimeReader, period: Duration,
    clock: @escaping @Sendable () -> ContinuousTime, logger: Logger, onChange: @escaping @Sendable (String) -> Void
  ) {
    self.engine = engine
    self.reader = reader
    self.period = period
    self.clock = clock
    self.logger = logger
    self.onChange = onChange
  }

  /// Lists until cancelled.
  func run() async {
    while !Task.isCancelled {
      await relist()
      do { try await Task.sleep(for: period) } catch { return }
    }
  }

  /// Lists once.
  func relist() async {
    do {
      let sandboxes = try await engine.listPodSandboxes(CRIPodSandboxFilter())
      let containers = try await engine.listContainers(CRIContainerFilter())
      var seen: [String: [String: Int]] = [:]
      var identities: [String: (String, String)] = [:]
      for sandbox in sandboxes {
        guard let uid = sandbox.labels[RuntimeKey.podUID] else { continue }
        seen[uid, default: [:]][sandbox.id] = sandbox.state.rawValue
        identities[uid] = (sandbox.metadata.name, sandbox.metadata.namespace)
      }
      for container in containers {
        guard let uid = container.labels[RuntimeKey.podUID] else { continue }
        seen[uid, default: [:]][container.id] = 16 + container.state.rawValue
        identities[uid] = (
          container.labels[RuntimeKey.podName] ?? "", container.labels[RuntimeKey.podNamespace] ?? ""
        )
      }
      reader.forget(except: Set(containers.map(\.id)))
      let now = clock()
      let changed = state.withLock { s -> [String] in
        let before = s.last
        s.last = seen
        s.identities = identities
        s.lastSuccess = now
        return Set(before.keys).union(seen.keys).filter { before[$0] != seen[$0] }
      }
      for uid in changed { onChange(uid) }
    } catch {
      logger.debug("listing containers failed", metadata: ["error": "\(describe(error))"])
    }
  }

  /// Pods of which the runtime has anything.
  var known: [(uid: String, name: String, namespace: String)] {
    state.withLock { s in s.identities.map { ($0.key, $0.value.name, $0.value.namespace) } }
  }

  /// Why the listing cannot be relied on; nil when it can.
  var problem: String? {
    let last = state.withLock { $0.lastSuccess }
    guard let last else { return "pleg has yet to be successful" }
    let age = last.duration(to: clock())
    return age > .seconds(180) ? "pleg was last seen active \(age.goText) ago; threshold is 3m0s" : nil
  }
}
