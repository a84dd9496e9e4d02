import API
import APIMachinery
import Logging

/// The extenders of a scheduler, asked one after the other.
struct Extenders: Sendable {
  let all: [SchedulerExtender]
  let logger: Logger

  /// Those that have a say about a pod's nodes.
  func interested(in pod: Pod) -> [SchedulerExtender] { all.filter { $0.isInterested(in: pod) } }

  /// Whether a pod's placement has to wait for an answer.
  func haveSay(in pod: Pod) -> Bool {
    all.contains { (!$0.filterVerb.isEmpty || !$0.prioritizeVerb.isEmpty) && $0.isInterested(in: pod) }
  }

  /// What they make of the nodes that a pod fits. Throws when one that counts does not answer.
  func opinion(on pod: Pod, _ nodes: [Node]) async throws -> SchedulerCore.Opinion {
    var opinion = SchedulerCore.Opinion()
    var left = nodes
    for extender in interested(in: pod) {
      do {
        let verdict = try await extender.filter(pod, left)
        for node in left where !verdict.nodes.contains(node.metadata.name) {
          let name = node.metadata.name
          let why = verdict.unresolvable[name] ?? verdict.failed[name] ?? "node(s) were refused by extender"
          opinion.refusals[name] = Refusal(
            plugin: SchedulerExtender.plugin, reasons: [why], unresolvable: verdict.unresolvable[name] != nil)
        }
        left.removeAll { !verdict.nodes.contains($0.metadata.name) }
      } catch {
        guard extender.isIgnorable else { throw error }
        logger.warning("extender passed over", metadata: ["url": "\(extender.urlPrefix)", "error": "\(error)"])
      }
      if left.isEmpty { return opinion }
    }
    // Scores are no more than advice: who gives none is not waited for any longer.
    await withTaskGroup(of: [String: Int64].self) { [left] group in
      for extender in interested(in: pod) where !extender.prioritizeVerb.isEmpty {
        group.addTask { (try? await extender.prioritize(pod, left)) ?? [:] }
      }
      for await scores in group { opinion.scores.merge(scores, uniquingKeysWith: +) }
    }
    return opinion
  }

  /// The one that binds a pod in the scheduler's place.
  func binder(of pod: Pod) -> SchedulerExtender? {
    all.first { !$0.bindVerb.isEmpty && $0.isInterested(in: pod) }
  }

  /// Whether all who are asked let the victims go.
  func approve(_ choice: Preemption.Choice, for pod: Pod) async -> Bool {
    for extender in interested(in: pod) where !extender.preemptVerb.isEmpty {
      do {
        guard try await extender.approves(pod, node: choice.node, victims: choice.victims) else { return false }
      } catch {
        guard extender.isIgnorable else { return false }
      }
    }
    return true
  }
}
