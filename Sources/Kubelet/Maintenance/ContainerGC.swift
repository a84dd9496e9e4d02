import API
import CRI
import Logging

/// Decides which ended containers and sandboxes are no longer needed. Pure.
enum ContainerGCDecision {
  struct Ended: Sendable, Equatable {
    var id: String
    var uid: String
    var name: String
    var createdAt: Int64
  }

  /// Containers to remove: all of gone pods, all but the newest few of each name of others.
  static func containers(_ ended: [Ended], livePods: Set<String>, keep: Int, minimumAge: Duration, now: ContinuousTime)
    -> [String]
  {
    var out: [String] = []
    for (_, group) in Dictionary(grouping: ended, by: { "\($0.uid)/\($0.name)" }) {
      let newest = group.sorted { $0.createdAt > $1.createdAt }
      let spared = livePods.contains(group[0].uid) ? keep : 0
      for container in newest.dropFirst(spared)
      where ContinuousTime(nanoseconds: container.createdAt).duration(to: now) >= minimumAge {
        out.append(container.id)
      }
    }
    return out.sorted()
  }

  /// Sandboxes to remove: those without containers that are not ready, the newest of each living pod spared.
  static func sandboxes(
    _ all: [(id: String, uid: String, ready: Bool, createdAt: Int64)], withContainers: Set<String>,
    livePods: Set<String>
  ) -> [String] {
    var out: [String] = []
    for (uid, group) in Dictionary(grouping: all, by: \.uid) {
      let newest = group.sorted { $0.createdAt > $1.createdAt }
      for sandbox in newest.dropFirst(livePods.contains(uid) ? 1 : 0)
      where !sandbox.ready && !withContainers.contains(sandbox.id) { out.append(sandbox.id) }
    }
    return out.sorted()
  }
}

/// Removes what ended containers leave behind.
struct ContainerGC: Sendable {
  let engine: any ContainerEngine
  let configuration: KubeletConfiguration
  let clock: @Sendable () -> ContinuousTime
  let logger: Logger

  /// One round.
  func run(livePods: Set<String>) async {
    do {
      let containers = try await engine.listContainers(CRIContainerFilter())
      let ended = containers.filter { $0.state == .containerExited }.compactMap { one -> ContainerGCDecision.Ended? in
        guard let uid = one.labels[RuntimeKey.podUID], let name = one.labels[RuntimeKey.containerName] else {
          return nil
        }
        return .init(id: one.id, uid: uid, name: name, createdAt: one.createdAt)
      }
      let doomed = ContainerGCDecision.containers(
        ended, livePods: livePods, keep: configuration.maxPerPodContainerCount,
        minimumAge: configuration.minimumContainerTTL, now: clock())
      var logs: [String] = []
      for id in doomed {
        if let status = try? await engine.containerStatus(id) { logs.append(status.logPath) }
        try await engine.removeContainer(id)
      }
      for log in logs where !log.isEmpty {
        try? Files.remove(log)
        for old in (try? Files.list(Files.directory(of: log))) ?? [] where old.hasPrefix(Files.name(of: log) + ".") {
          try? Files.remove("\(Files.directory(of: log))/\(old)")
        }
      }
      if let links = configuration.containerLogsDirectory { PodRemains.removeLinks(of: doomed, in: links) }
      let left = Set(containers.filter { !doomed.contains($0.id) }.map(\.podSandboxID))
      let sandboxes = try await engine.listPodSandboxes(CRIPodSandboxFilter()).compactMap {
        one -> (id: String, uid: String, ready: Bool, createdAt: Int64)? in
        guard let uid = one.labels[RuntimeKey.podUID] else { return nil }
        return (one.id, uid, one.state == .sandboxReady, one.createdAt)
      }
      for id in ContainerGCDecision.sandboxes(sandboxes, withContainers: left, livePods: livePods) {
        try await engine.removePodSandbox(id)
      }
    } catch {
      logger.debug("collecting containers failed", metadata: ["error": "\(describe(error))"])
    }
  }
}
