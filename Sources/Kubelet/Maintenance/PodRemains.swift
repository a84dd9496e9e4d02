import API
import CRI
import Logging

/// Removes what a gone pod leaves in the runtime and among the logs.
enum PodRemains {
  static func remove(
    uid: String, logDirectory: String?, engine: any ContainerEngine, linksDirectory: String?, logger: Logger
  ) async {
    do {
      var containers = CRIContainerFilter()
      containers.labelSelector = [RuntimeKey.podUID: uid]
      var ids: [String] = []
      for container in try await engine.listContainers(containers) where container.state != .containerRunning {
        try await engine.removeContainer(container.id)
        ids.append(container.id)
      }
      var sandboxes = CRIPodSandboxFilter()
      sandboxes.labelSelector = [RuntimeKey.podUID: uid]
      for sandbox in try await engine.listPodSandboxes(sandboxes) {
        try await engine.stopPodSandbox(sandbox.id)
        try await engine.removePodSandbox(sandbox.id)
      }
      if let logDirectory { try Files.removeTree(logDirectory) }
      if let linksDirectory { removeLinks(of: ids, in: linksDirectory) }
    } catch {
      // The housekeeping finds it again.
      logger.debug("removing a pod's remains failed", metadata: ["uid": "\(uid)", "error": "\(describe(error))"])
    }
  }

  static func removeLinks(of ids: [String], in directory: String) {
    guard !ids.isEmpty, let names = try? Files.list(directory) else { return }
    for name in names where ids.contains(where: { name.hasSuffix("-\($0).log") }) {
      try? Files.remove("\(directory)/\(name)")
    }
  }
}
